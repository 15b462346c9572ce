"""Random graphs against a small evaluation of what the specification says of them (5, 6.4, 7)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.graph import Flow, Task, signals, triggers
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.task import FunctionTask

OUTCOMES = ("ok", "fail", "skip")
TRIGGERS = (
    "all_successful",
    "all_failed",
    "any_successful",
    "any_failed",
    "all_finished",
    "not_all_skipped",
)
SUCCESSFUL = {"Success", "Skipped", "Mapped"}
FAILED = {"Failed", "TriggerFailed"}


@dataclass
class Spec:
    """One task of a random graph: what it does, and what it comes after."""

    kind: str
    """`plain`, `list` (gives what to map over), `map`."""
    outcome: str = "ok"
    items: tuple[str, ...] = ()
    """Of a `list`: what becomes of each child of a task that is mapped over it."""
    upstream: tuple[int, ...] = ()
    over: int = 0
    """Of a `map`: what it is mapped over."""
    trigger: str = "all_successful"
    skips: bool = True


@dataclass
class Wanted:
    """What becomes of a task: its state's class, and those of its children."""

    state: str
    children: list[str] | None = None
    elements: list[Any] = field(default_factory=list)


@st.composite
def graphs(draw: st.DrawFn) -> list[Spec]:
    """Draw tasks, each after some of those before it."""
    specs: list[Spec] = []
    for index in range(draw(st.integers(1, 9))):
        mappable = [i for i, one in enumerate(specs) if one.kind in ("list", "map")]
        kinds = ["plain", "list"] + (["map", "map"] if mappable else [])
        kind = draw(st.sampled_from(kinds))
        spec = Spec(
            kind,
            trigger=draw(st.sampled_from(TRIGGERS)),
            skips=draw(st.booleans()),
        )
        if kind == "list":
            spec.items = tuple(draw(st.lists(st.sampled_from(OUTCOMES), max_size=4)))
            spec.outcome = draw(st.sampled_from(("ok", "ok", "ok", *OUTCOMES)))
        elif kind == "map":
            spec.over = draw(st.sampled_from(mappable))
        else:
            spec.outcome = draw(st.sampled_from(OUTCOMES))
        others = range(index)
        if index:
            spec.upstream = tuple(draw(st.sets(st.sampled_from(others), max_size=3)))
        specs.append(spec)
    return specs


# -- what the specification says ------------------------------------------------------------------


def evaluate(specs: list[Spec]) -> list[Wanted]:
    """Give what becomes of each task."""
    done: list[Wanted] = []
    for spec in specs:
        beside = [one for i in spec.upstream for one in expanded(done[i])]
        if spec.kind != "map":
            state = outcome(spec, beside, spec.outcome, is_root=not spec.upstream)
            elements = list(spec.items) if state == "Success" else []
            done.append(Wanted(state, None, elements))
            continue
        done.append(mapped(spec, beside, done[spec.over]))
    return done


def expanded(wanted: Wanted) -> list[str]:
    if wanted.state == "Mapped" and wanted.children is not None:
        return wanted.children
    return [wanted.state]


def outcome(spec: Spec, upstream: list[str], own: str, *, is_root: bool = False) -> str:
    """Take one task through its checks: skips first, then the trigger, then its own code."""
    if spec.skips and "Skipped" in upstream:
        return "Skipped"
    good = sum(one in SUCCESSFUL for one in upstream)
    bad = sum(one in FAILED for one in upstream)
    count = len(upstream)
    passes = {
        "all_successful": good == count,
        "all_failed": bad == count,
        "any_successful": good > 0 or is_root,
        "any_failed": bad > 0 or is_root,
        "all_finished": True,
        "not_all_skipped": good == count,
    }[spec.trigger]
    if spec.trigger == "not_all_skipped" and all(one == "Skipped" for one in upstream):
        return "Skipped" if count else "Success-or-skip"
    if not passes:
        return "TriggerFailed"
    return {"ok": "Success", "fail": "Failed", "skip": "Skipped"}[own]


def mapped(spec: Spec, beside: list[str], over: Wanted) -> Wanted:
    """Map: the parent looks at skips, and whether it can be mapped; each child decides alone."""
    if spec.skips and ("Skipped" in beside or over.state == "Skipped"):
        return Wanted("Skipped")
    if over.state not in SUCCESSFUL:
        return Wanted("Failed")
    if over.state == "Skipped":
        return Wanted("Failed")  # nothing comes over the edge that could be mapped over
    children: list[str] = []
    elements: list[Any] = []
    each = over.children if over.children is not None else ["Success"] * len(over.elements)
    for index, above in enumerate(each):
        item = over.elements[index] if index < len(over.elements) else "ok"
        if above != "Success":
            item = "ok"  # it brings no word
        children.append(outcome(spec, [*beside, above], item))
        elements.append(item if above == "Success" else "ok")
    return Wanted("Mapped", children, elements)


# -- the same as a flow ---------------------------------------------------------------------------


def act(own: str, value: Any = None) -> Any:
    if own == "fail":
        raise ValueError("as asked for")
    if own == "skip":
        raise signals.SKIP("as asked for")
    return value


def build(specs: list[Spec], executor: Any) -> tuple[Flow, list[Task]]:
    """Make the flow of a random graph."""
    tasks: list[Any] = []
    with Flow("random", executor=executor) as flow:
        for index, spec in enumerate(specs):
            options: dict[str, Any] = {
                "name": f"task-{index}",
                "trigger": getattr(triggers, spec.trigger),
                "skip_on_upstream_skip": spec.skips,
            }
            upstream = [unmapped_in(spec, tasks[i]) for i in spec.upstream]
            if spec.kind == "map":
                task = FunctionTask(lambda item: act(word(item), word(item)), **options)
                made = task.map(tasks[spec.over], upstream_tasks=upstream)
            else:
                value = list(spec.items)
                task = FunctionTask(
                    lambda own=spec.outcome, value=value: act(own, value), **options
                )
                made = task(upstream_tasks=upstream)
            tasks.append(made)
    return flow, tasks


def word(item: Any) -> str:
    """Take what comes from a child that failed or was skipped for `ok`."""
    return item if isinstance(item, str) else "ok"


def unmapped_in(spec: Spec, task: Task) -> Any:
    from penstock.graph import unmapped

    return unmapped(task) if spec.kind == "map" else task


def compare(state: Any, tasks: list[Task], wanted: list[Wanted]) -> None:
    for index, (task, want) in enumerate(zip(tasks, wanted, strict=True)):
        got = state.result[task]
        assert type(got).__name__ == want.state, (index, got)
        if want.children is not None:
            names = [type(child).__name__ for child in got.map_states]
            assert names == want.children, (index, got.map_states)


def is_decided(wanted: list[Wanted]) -> bool:
    """Tell whether the specification leaves nothing open (an empty `not_all_skipped`)."""
    return all("Success-or-skip" not in (one.state, *(one.children or ())) for one in wanted)


@pytest.mark.parametrize("how", ["local", "threads", "one pass"])
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(specs=graphs())
def test_states_are_those_of_the_specification(how: str, specs: list[Spec]) -> None:
    wanted = evaluate(specs)
    if not is_decided(wanted):
        return
    executor = LocalDaskExecutor(num_workers=3) if how == "threads" else LocalExecutor()
    flow, tasks = build(specs, executor)
    state = FlowRunner(flow).run(return_tasks=tasks) if how == "one pass" else flow.run()
    compare(state, tasks, wanted)
    ends = {task for task in tasks if not flow.edges_from(task)}
    decisive = [
        one
        for task, want in zip(tasks, wanted, strict=True)
        if task in ends
        for one in expanded(want)
    ]
    assert state.is_failed() == any(one in FAILED for one in decisive)
