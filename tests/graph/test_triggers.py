"""Triggers by the states of what is upstream: the tables of section 7, row by row."""

from __future__ import annotations

import pickle

import cloudpickle
import pytest

from penstock.graph import triggers
from penstock.graph.ambient import context
from penstock.graph.edge import Edge
from penstock.graph.signals import PAUSE, SKIP, TRIGGERFAIL
from penstock.graph.state import (
    Cached,
    Cancelled,
    Failed,
    Looped,
    Mapped,
    Pending,
    Resume,
    Retrying,
    Running,
    Skipped,
    State,
    Success,
    TimedOut,
    TriggerFailed,
    ValidationFailed,
)
from penstock.graph.task import Task
from penstock.graph.task_runner import TaskRunner


def by_edge(*states: State) -> dict[Edge, State]:
    below = Task(name="below")
    return {Edge(Task(name=f"above {i}"), below): state for i, state in enumerate(states)}


def outcome(trigger, *states: State) -> str:
    try:
        passed = trigger(by_edge(*states))
    except (PAUSE, SKIP, TRIGGERFAIL) as signal:
        return type(signal).__name__
    assert passed is True
    return "pass"


NAMES = (
    "all_successful",
    "all_failed",
    "any_successful",
    "any_failed",
    "all_finished",
    "not_all_skipped",
)
P, F, K = "pass", "TRIGGERFAIL", "SKIP"

TRUTH = {
    "S": ([Success], (P, F, P, F, P, P)),
    "SS": ([Success, Success], (P, F, P, F, P, P)),
    "F": ([Failed], (F, P, F, P, P, F)),
    "FF": ([Failed, Failed], (F, P, F, P, P, F)),
    "K": ([Skipped], (P, F, P, F, P, K)),
    "KK": ([Skipped, Skipped], (P, F, P, F, P, K)),
    "SF": ([Success, Failed], (F, F, P, P, P, F)),
    "SK": ([Success, Skipped], (P, F, P, F, P, P)),
    "FK": ([Failed, Skipped], (F, F, P, P, P, F)),
    "SP": ([Success, Pending], (F, F, P, F, F, F)),
    "SR": ([Success, Running], (F, F, P, F, F, F)),
    "SKF": ([Success, Skipped, Failed], (F, F, P, P, P, F)),
    "retrying": ([Retrying], (F, F, F, F, F, F)),
    "cached": ([Cached], (P, F, P, F, P, P)),
    "timed out": ([TimedOut], (F, P, F, P, P, F)),
    "trigger failed": ([TriggerFailed], (F, P, F, P, P, F)),
    "invalid": ([ValidationFailed], (F, P, F, P, P, F)),
    "cancelled": ([Cancelled], (F, F, F, F, P, F)),
    "looped": ([Looped], (F, F, F, F, P, F)),
    "empty": ([], (P, P, P, P, P, P)),
}


@pytest.mark.parametrize("upstream", TRUTH)
@pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)
def test_the_truth_table(upstream, place):
    kinds, outcomes = TRUTH[upstream]
    trigger = getattr(triggers, NAMES[place])
    assert outcome(trigger, *(kind() for kind in kinds)) == outcomes[place]


@pytest.mark.parametrize("upstream", ["S", "F", "SF", "FK", "SP", "SKF"])
@pytest.mark.parametrize("place", range(len(NAMES)), ids=NAMES)
def test_children_of_a_map_count_like_tasks(upstream, place):
    kinds, outcomes = TRUTH[upstream]
    trigger = getattr(triggers, NAMES[place])
    assert outcome(trigger, Mapped(map_states=[kind() for kind in kinds])) == outcomes[place]
    first, *rest = (kind() for kind in kinds)
    assert outcome(trigger, first, Mapped(map_states=rest)) == outcomes[place]


@pytest.mark.parametrize("name", NAMES)
def test_a_map_without_children_contributes_nothing(name):
    # There are upstream tasks, and one that was successful, or failed, is not among them.
    wanted = F if name.startswith("any") else P
    assert outcome(getattr(triggers, name), Mapped()) == wanted


def test_a_map_without_children_has_none_to_be_counted():
    assert outcome(triggers.some_failed(at_least=1), Mapped()) == F
    assert outcome(triggers.some_successful(at_least=1), Mapped()) == F
    assert outcome(triggers.some_successful(at_least=0.5), Mapped()) == P
    assert outcome(triggers.some_failed(at_most=0), Mapped()) == P


@pytest.mark.parametrize("mapped", [True, False])
def test_children_count_whatever_the_edge(mapped):
    edge = Edge(Task(name="above"), Task(name="below"), mapped=mapped)
    states = {edge: Mapped(map_states=[Success(), Failed()])}
    with pytest.raises(TRIGGERFAIL):
        triggers.all_successful(states)
    assert triggers.any_failed(states)


def test_a_child_of_which_nothing_is_known_is_unfinished():
    assert outcome(triggers.all_finished, Mapped(map_states=[Success(), None])) == "TRIGGERFAIL"
    assert outcome(triggers.all_finished, Mapped(n_map_states=2, map_states=[None, None])) == F


def test_one_state_under_two_edges_counts_once():
    same = Failed()
    assert outcome(triggers.some_failed(at_most=1), same, same) == "pass"
    assert outcome(triggers.some_failed(at_most=1), Failed(), Failed()) == "TRIGGERFAIL"


def test_always_run_is_another_name():
    assert triggers.always_run is triggers.all_finished


@pytest.mark.parametrize("states", [(), (Success,), (Failed,), (Pending,), (Skipped,)])
def test_manual_only_minds_only_whether_it_is_resumed(states):
    with context(resume=False):
        assert outcome(triggers.manual_only, *(kind() for kind in states)) == "PAUSE"
    with context(resume=True):
        assert outcome(triggers.manual_only, *(kind() for kind in states)) == "pass"


SOME = [
    # at_least, at_most, how many count, of how many, passes
    (None, None, 0, 3, True),
    (None, None, 3, 3, True),
    (1, None, 0, 3, False),
    (1, None, 1, 3, True),
    (1.0, None, 1, 3, True),
    (1.0, None, 0, 3, False),
    (None, 1, 1, 3, True),
    (None, 1, 2, 3, False),
    (None, 1.0, 2, 3, False),
    (None, 0, 0, 3, True),
    (None, 0, 1, 3, False),
    (0.5, None, 1, 4, False),
    (0.5, None, 2, 4, True),
    (0.5, None, 1, 3, False),
    (0.5, None, 2, 3, True),
    (None, 0.5, 2, 4, True),
    (None, 0.5, 3, 4, False),
    (None, 0.5, 2, 3, False),
    (2, 2, 2, 5, True),
    (2, 2, 3, 5, False),
    (0.1, 2, 2, 20, True),
    (0.1, 2, 1, 19, False),
    (0.1, 2, 3, 21, False),
    (2, 0.1, 2, 20, True),
    (2, 0.1, 1, 19, False),
    (2, 0.1, 3, 21, False),
    (0.1, None, 3, 30, True),  # 0.1 * 30 is more than 3 by rounding
    (None, 0.7, 7, 10, True),
    (4, None, 3, 3, False),
]


@pytest.mark.parametrize(("at_least", "at_most", "count", "total", "passes"), SOME)
@pytest.mark.parametrize(
    ("make", "counted", "other"),
    [
        (triggers.some_failed, Failed, Success),
        (triggers.some_failed, TriggerFailed, Skipped),
        (triggers.some_failed, Failed, Pending),
        (triggers.some_successful, Success, Failed),
        (triggers.some_successful, Skipped, Failed),
        (triggers.some_successful, Success, Pending),
    ],
)
def test_some_counts(make, counted, other, at_least, at_most, count, total, passes):
    states = [counted() for _ in range(count)] + [other() for _ in range(total - count)]
    expected = "pass" if passes else "TRIGGERFAIL"
    assert outcome(make(at_least=at_least, at_most=at_most), *states) == expected


@pytest.mark.parametrize("make", [triggers.some_failed, triggers.some_successful])
def test_some_without_upstream_passes(make):
    assert outcome(make(at_least=2, at_most=0.1)) == "pass"


def test_some_counts_children():
    children = [Success(), Failed(), Failed()]
    assert outcome(triggers.some_failed(2, 2), Mapped(map_states=children)) == "pass"
    assert outcome(triggers.some_successful(2), Mapped(map_states=children)) == "TRIGGERFAIL"


@pytest.mark.parametrize("pickler", [pickle, cloudpickle])
@pytest.mark.parametrize("make", [triggers.some_failed, triggers.some_successful])
def test_some_can_be_pickled(make, pickler):
    copied = pickle.loads(pickler.dumps(make(at_least=1, at_most=0.5)))
    assert outcome(copied, Success(), Failed()) == "pass"
    assert repr(copied) == repr(make(at_least=1, at_most=0.5))


FAILING = {
    "all_successful": (triggers.all_successful, Failed),
    "all_failed": (triggers.all_failed, Success),
    "any_successful": (triggers.any_successful, Failed),
    "any_failed": (triggers.any_failed, Success),
    "all_finished": (triggers.all_finished, Pending),
    "not_all_skipped": (triggers.not_all_skipped, Failed),
    "some_failed": (triggers.some_failed(at_least=1), Success),
    "some_successful": (triggers.some_successful(at_least=1), Failed),
}


@pytest.mark.parametrize("name", FAILING)
def test_what_fails_says_which_trigger_it_was(name):
    trigger, kind = FAILING[name]
    with pytest.raises(TRIGGERFAIL, match=f'Trigger was "{name}"'):
        trigger(by_edge(kind()))


def test_some_says_what_it_counted():
    with pytest.raises(TRIGGERFAIL, match="1 of 3 upstream tasks failed, not 2 to 3"):
        triggers.some_failed(at_least=2)(by_edge(Failed(), Success(), Success()))


def test_not_all_skipped_skips_without_a_result():
    with pytest.raises(SKIP) as caught:
        triggers.not_all_skipped(by_edge(Skipped()))
    assert caught.value.state.result is None


# -- the trigger of cleanup tasks -----------------------------------------------------------------


def resource_states(mgr: State, resource: State, *others: State) -> dict[Edge, State]:
    cleanup = Cleanup(name="cleanup")
    states = {
        Edge(Task(name="init"), cleanup, key="mgr"): mgr,
        Edge(Task(name="setup"), cleanup, key="resource"): resource,
    }
    return states | {Edge(Task(name=f"{i}"), cleanup): s for i, s in enumerate(others)}


class Cleanup(Task):
    def run(self, mgr, resource):
        return None


CLEANUPS = [
    (Success, Success, (), "pass", ""),
    (Success, Success, (Success, Failed, Skipped, TriggerFailed), "pass", ""),
    (Success, Success, (Pending,), "TRIGGERFAIL", "not finished"),
    (Success, Pending, (), "TRIGGERFAIL", "not finished"),
    (Success, Failed, (TriggerFailed,), "SKIP", "setup failed"),
    (Success, Skipped, (), "SKIP", "setup skipped"),
    (Failed, TriggerFailed, (TriggerFailed,), "SKIP", "init failed"),
    (Skipped, Skipped, (Skipped,), "SKIP", "init skipped"),
    (Success, Cached, (Retrying,), "TRIGGERFAIL", "not finished"),
]


@pytest.mark.parametrize(("mgr", "resource", "others", "expected", "text"), CLEANUPS)
def test_cleanup_runs_when_there_is_something_to_clean_up(mgr, resource, others, expected, text):
    states = resource_states(mgr(), resource(), *(kind() for kind in others))
    if expected == "pass":
        assert triggers.resource_cleanup(states) is True
        return
    with pytest.raises((SKIP, TRIGGERFAIL), match=text) as caught:
        triggers.resource_cleanup(states)
    assert caught.type.__name__ == expected


def test_cleanup_waits_for_the_children_of_a_mapped_task():
    mapped = Mapped(map_states=[Success(), Pending()])
    with pytest.raises(TRIGGERFAIL, match="not finished"):
        triggers.resource_cleanup(resource_states(Success(), Success(), mapped))


def test_cleanup_without_upstream_passes():
    assert triggers.resource_cleanup({}) is True


# -- in a task run --------------------------------------------------------------------------------


def test_a_task_whose_trigger_fails_does_not_run():
    task = Task(trigger=triggers.all_failed)
    state = TaskRunner(task).run(upstream_states={Edge(Task(), task): Success()})
    assert isinstance(state, TriggerFailed)
    assert 'Trigger was "all_failed"' in str(state.message)


def test_a_task_whose_trigger_skips_is_skipped():
    task = Task(trigger=triggers.not_all_skipped, skip_on_upstream_skip=False)
    state = TaskRunner(task).run(upstream_states={Edge(Task(), task): Skipped()})
    assert isinstance(state, Skipped)
    assert state.result is None


def test_a_manual_task_waits_until_it_is_resumed():
    runner = TaskRunner(Task(trigger=triggers.manual_only))
    paused = runner.run()
    assert type(paused).__name__ == "Paused"
    assert runner.run(paused) is paused
    assert runner.run(Resume()).is_successful()
