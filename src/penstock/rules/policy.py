"""An ordered list of rules, and how a proposal goes through it (section 4.1)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from penstock.records import FlowRun, TaskRun
from penstock.rules.answers import Answer, Facts, Status, Verdict, abort
from penstock.states import TERMINAL_STATES, State, StateType

if TYPE_CHECKING:
    from collections.abc import Iterable

R = TypeVar("R", FlowRun, TaskRun)

Origins = frozenset[StateType | None]
Targets = frozenset[StateType]
Judge = Callable[[R, State, Facts], Verdict]

SCHEDULED = StateType.SCHEDULED
PENDING = StateType.PENDING
RUNNING = StateType.RUNNING
COMPLETED = StateType.COMPLETED
FAILED = StateType.FAILED
CANCELLED = StateType.CANCELLED
CRASHED = StateType.CRASHED
PAUSED = StateType.PAUSED
CANCELLING = StateType.CANCELLING

ANY: Targets = frozenset(StateType)
ANY_OR_NONE: Origins = frozenset({None, *StateType})
TERMINAL: Origins = frozenset(TERMINAL_STATES)

_ACCEPT = Status.ACCEPT


def to(*kinds: StateType) -> Targets:
    """Name the types that a rule is about when they are asked for."""
    return frozenset(kinds)


def of(*kinds: StateType | None) -> Origins:
    """Name the types that a rule is about when a run leaves them; None is a run without state."""
    return frozenset(kinds)


class Rule(NamedTuple, Generic[R]):
    """A rule: its name in section 4, the moves it is about, and the function that judges."""

    name: str
    origins: Origins
    targets: Targets
    judge: Judge[R]


class Policy(Generic[R]):
    """An ordered list of rules.

    The rules that are about a pair of types are chosen once and remembered. A rule that gives
    another state in place of the proposed one starts a new answer, so what the rules before it
    wanted to change is dropped; of the rules after it, those about the new pair are asked.
    """

    __slots__ = ("_chosen", "_rest", "rules")

    def __init__(self, rules: Iterable[Rule[R]]) -> None:
        self.rules = tuple(rules)
        self._chosen: dict[tuple[StateType | None, StateType], tuple[Rule[R], ...]] = {}
        self._rest: dict[str, Policy[R]] = {}

    def rules_for(self, origin: StateType | None, target: StateType) -> tuple[Rule[R], ...]:
        """Give the rules that are about a move from `origin` to `target`, in order."""
        pair = (origin, target)
        chosen = self._chosen.get(pair)
        if chosen is None:
            chosen = self._chosen[pair] = tuple(
                rule for rule in self.rules if origin in rule.origins and target in rule.targets
            )
        return chosen

    def decide(self, run: R, proposed: State, facts: Facts) -> Answer:
        """Say what becomes of a proposal. A rule that raises makes it an ABORT."""
        current = run.state
        origin = None if current is None else current.type
        answer = Answer(_ACCEPT, proposed)
        rules = self.rules_for(origin, proposed.type)
        for rule in rules:
            try:
                verdict = rule.judge(run, proposed, facts)
            except Exception as exc:  # noqa: BLE001 - becomes an ABORT: nothing passes unjudged
                return abort(f"Rule {rule.name} broke on {proposed}: {type(exc).__name__}: {exc}")
            if verdict is None:
                continue
            if verdict.status is not _ACCEPT:
                if verdict.state is None:
                    return verdict
                return self._replaced(run, verdict, facts, rule)
            _add(answer, verdict)
            if verdict.state is not None:
                proposed = verdict.state
        return answer

    def _replaced(self, run: R, answer: Answer, facts: Facts, by: Rule[R]) -> Answer:
        """Ask the rules after `by` about the state that it put in place of the proposed one."""
        state = answer.state
        assert state is not None
        rest = self._rest.get(by.name)
        if rest is None:
            place = self.rules.index(by) + 1
            rest = self._rest[by.name] = Policy(self.rules[place:])
        further = rest.decide(run, state, facts)
        if further.status is not _ACCEPT:
            return further
        _add(answer, further)
        return answer


def _add(answer: Answer, verdict: Answer) -> None:
    if verdict.state is not None:
        answer.state = verdict.state
    if verdict.changes is not None:
        answer.changes = (answer.changes or {}) | verdict.changes
    if verdict.after:
        answer.after += verdict.after
