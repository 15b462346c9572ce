"""Whether a task runs, by the states of what is upstream of it.

A trigger is called with the states by edge, once all of them are finished. It returns True to let
the task run, or raises the signal whose state the task gets instead: TRIGGERFAIL, SKIP or PAUSE.
A mapped upstream counts as its children.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from penstock.graph.ambient import context
from penstock.graph.signals import PAUSE, SKIP, TRIGGERFAIL
from penstock.graph.state import Mapped, Pending, Success

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from penstock.graph.state import State

    UpstreamStates: TypeAlias = Mapping[Any, State]
    Trigger: TypeAlias = Callable[[UpstreamStates], bool]

__all__ = [
    "all_failed",
    "all_finished",
    "all_successful",
    "always_run",
    "any_failed",
    "any_successful",
    "manual_only",
    "not_all_skipped",
    "resource_cleanup",
    "some_failed",
    "some_successful",
]


def all_finished(upstream_states: UpstreamStates) -> bool:
    """Run whatever happened upstream, once it is finished; also called `always_run`.

    Parameters:
        upstream_states: the states by edge.

    Returns:
        True.

    Raises:
        TRIGGERFAIL: one of them is not finished.
    """
    if not all(state.is_finished() for state in _expanded(upstream_states)):
        raise _failure("all_finished", "some of the upstream tasks were not finished")
    return True


always_run = all_finished


def all_successful(upstream_states: UpstreamStates) -> bool:
    """Run if all upstream tasks succeeded or were skipped: what tasks do unless told otherwise.

    Parameters:
        upstream_states: the states by edge.

    Returns:
        True, also without upstream tasks.

    Raises:
        TRIGGERFAIL: one of them was not successful.
    """
    for state in upstream_states.values():
        if not isinstance(state, Success) or isinstance(state, Mapped):
            break
    else:
        return True  # hot: what most tasks see
    if not all(state.is_successful() for state in _expanded(upstream_states)):
        raise _failure("all_successful", "some of the upstream tasks were not successful")
    return True


def all_failed(upstream_states: UpstreamStates) -> bool:
    """Run if all upstream tasks failed.

    Parameters:
        upstream_states: the states by edge.

    Returns:
        True, also without upstream tasks.

    Raises:
        TRIGGERFAIL: one of them did not fail.
    """
    if not all(state.is_failed() for state in _expanded(upstream_states)):
        raise _failure("all_failed", "some of the upstream tasks did not fail")
    return True


def any_successful(upstream_states: UpstreamStates) -> bool:
    """Run if at least one upstream task succeeded or was skipped.

    Parameters:
        upstream_states: the states by edge.

    Returns:
        True, also without upstream tasks.

    Raises:
        TRIGGERFAIL: none of them was successful.
    """
    states = _expanded(upstream_states)
    if upstream_states and not any(state.is_successful() for state in states):
        raise _failure("any_successful", "none of the upstream tasks was successful")
    return True


def any_failed(upstream_states: UpstreamStates) -> bool:
    """Run if at least one upstream task failed.

    Parameters:
        upstream_states: the states by edge.

    Returns:
        True, also without upstream tasks.

    Raises:
        TRIGGERFAIL: none of them failed.
    """
    states = _expanded(upstream_states)
    if upstream_states and not any(state.is_failed() for state in states):
        raise _failure("any_failed", "none of the upstream tasks failed")
    return True


def manual_only(upstream_states: UpstreamStates) -> bool:
    """Run only when somebody resumes the task, whatever happened upstream.

    Parameters:
        upstream_states: the states by edge; not looked at.

    Returns:
        True, when the task is being resumed.

    Raises:
        PAUSE: it is not: the task waits as Paused.
    """
    del upstream_states
    if context.get("resume"):
        return True
    raise PAUSE('Trigger was "manual_only": the task waits until it is resumed.')


def not_all_skipped(upstream_states: UpstreamStates) -> bool:
    """Run if all upstream tasks were successful and not all of them skipped.

    Of use to what comes after branches: it goes with `skip_on_upstream_skip=False`.

    Parameters:
        upstream_states: the states by edge.

    Returns:
        True, also without upstream tasks.

    Raises:
        SKIP: all of them were skipped.
        TRIGGERFAIL: one of them was not successful.
    """
    states = _expanded(upstream_states)
    if states and all(state.is_skipped() for state in states):
        message = 'Trigger was "not_all_skipped" and all of the upstream tasks were skipped.'
        raise SKIP(message, result=None)
    if not all(state.is_successful() for state in states):
        raise _failure("not_all_skipped", "some of the upstream tasks were not successful")
    return True


_ROUNDING = 1e-9
"""What a fraction times a number of tasks may be off: 0.1 of 30 is a little more than 3."""


class _Some:
    """A trigger that counts states; a class because it must be picklable.

    Parameters:
        name: what it is called.
        verb: what is counted, for the message.
        at_least: the fewest that let the task run; below 1 a fraction of all.
        at_most: the most that let the task run; below 1 a fraction of all.
    """

    __slots__ = ("__name__", "at_least", "at_most", "is_counted", "verb")

    def __init__(
        self,
        name: str,
        verb: str,
        is_counted: Callable[[State], bool],
        at_least: float | None,
        at_most: float | None,
    ) -> None:
        self.__name__ = name
        self.verb = verb
        self.is_counted = is_counted
        self.at_least = at_least
        self.at_most = at_most

    def __repr__(self) -> str:
        return f"{self.__name__}(at_least={self.at_least!r}, at_most={self.at_most!r})"

    def __call__(self, upstream_states: UpstreamStates) -> bool:
        if not upstream_states:
            return True
        states = _expanded(upstream_states)
        count = sum(map(self.is_counted, states))
        least = _threshold(self.at_least, len(states), 0)
        most = _threshold(self.at_most, len(states), len(states))
        if not least - _ROUNDING <= count <= most + _ROUNDING:
            what = (
                f"{count} of {len(states)} upstream tasks {self.verb}, not {least:g} to {most:g}"
            )
            raise _failure(self.__name__, what)
        return True


def some_failed(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that lets a task run if some, but not too many, upstream tasks failed.

    Parameters:
        at_least: the fewest; below 1 a fraction of the upstream tasks, from 1 on a number of them;
            None for 0.
        at_most: the most, likewise; None for all.

    Returns:
        The trigger. Without upstream tasks it returns True.

    Example:
        >>> some_failed(at_least=1, at_most=0.5)
        some_failed(at_least=1, at_most=0.5)
    """
    return _Some("some_failed", "failed", _is_failed, at_least, at_most)


def some_successful(at_least: float | None = None, at_most: float | None = None) -> Trigger:
    """Make a trigger that lets a task run if some, but not too many, upstream tasks succeeded.

    Parameters:
        at_least: the fewest; below 1 a fraction of the upstream tasks, from 1 on a number of them;
            None for 0.
        at_most: the most, likewise; None for all.

    Returns:
        The trigger. Without upstream tasks it returns True.

    Example:
        >>> some_successful(at_least=0.9)
        some_successful(at_least=0.9, at_most=None)
    """
    return _Some("some_successful", "succeeded", _is_successful, at_least, at_most)


def resource_cleanup(upstream_states: UpstreamStates) -> bool:
    """Clean a resource up whatever its users did, if there is one: the trigger of cleanup tasks.

    Parameters:
        upstream_states: the states by edge. The edge with the key "mgr" comes from the task that
            made the manager, the one with the key "resource" from the one that set it up.

    Returns:
        True.

    Raises:
        TRIGGERFAIL: one of them is not finished.
        SKIP: the manager or the resource failed or was skipped: there is nothing to clean up.
    """
    if not all(state.is_finished() for state in _expanded(upstream_states)):
        raise _failure("resource_cleanup", "some of the upstream tasks were not finished")
    by_key = {getattr(edge, "key", None): state for edge, state in upstream_states.items()}
    for key, stage in (("mgr", "init"), ("resource", "setup")):
        state = by_key.get(key)
        if state is not None and state.is_skipped():
            raise SKIP(f"Resource manager {stage} skipped: there is nothing to clean up.")
        if state is not None and not state.is_successful():
            raise SKIP(f"Resource manager {stage} failed: there is nothing to clean up.")
    return True


def _expanded(upstream_states: UpstreamStates) -> set[State]:
    """Give the states, of a mapped task those of its children; the same object counts once."""
    states: set[State] = set()
    for state in upstream_states.values():
        if isinstance(state, Mapped):
            states.update(_children(state))
        else:
            states.add(state)
    return states


def _children(state: Mapped) -> Iterable[State]:
    """Give the states of children; one of which nothing is known counts as unfinished."""
    children: list[State | None] = state.map_states
    return [Pending() if child is None else child for child in children]


def _is_failed(state: State) -> bool:
    return state.is_failed()


def _is_successful(state: State) -> bool:
    return state.is_successful()


def _threshold(given: float | None, count: int, default: int) -> float:
    if given is None:
        return default
    return given if given >= 1 else given * count


def _failure(trigger: str, what: str) -> TRIGGERFAIL:
    return TRIGGERFAIL(f'Trigger was "{trigger}" but {what}.')
