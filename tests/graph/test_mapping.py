"""Tasks that are mapped over what others gave: widths, children, flatten, mapping again (6.4)."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter, defaultdict
from typing import Any

import pytest

from penstock.client import get_client
from penstock.graph import Edge, Flow, Parameter, context, flatten, mapped, signals, task, triggers
from penstock.graph import unmapped as shared
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.results import NoResult
from penstock.graph.signals import SKIP, TRIGGERFAIL
from penstock.graph.state import (
    Cached,
    Failed,
    Mapped,
    Paused,
    Pending,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    Success,
    TriggerFailed,
)
from penstock.graph.task_calls import run_task
from penstock.graph.task_runner import TaskRunner

LONG_AGO = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
LATER = dt.datetime(2120, 1, 1, tzinfo=dt.UTC)


def local() -> Any:
    return LocalExecutor()


def threads() -> Any:
    return LocalDaskExecutor(num_workers=2)


def one_by_one() -> Any:
    return LocalDaskExecutor(scheduler="synchronous")


class Protocol(LocalExecutor):
    """One of a user's own: only the protocol is known of it."""

    def submit(self, fn, *args, extra_context=None, **kwargs):
        return super().submit(fn, *args, extra_context=extra_context, **kwargs)


@pytest.fixture(params=[local, threads, one_by_one, Protocol], ids=lambda make: make.__name__)
def executor(request: pytest.FixtureRequest) -> Any:
    return request.param()


@task
def give(value):
    return value


@task
def inc(x):
    return x + 1


@task
def add(x, y):
    return x + y


@task
def total(xs):
    return sum(xs)


def kinds(state: Any) -> list[str]:
    return [type(child).__name__ for child in state.map_states]


def run(flow: Flow, executor: Any = None, **options: Any) -> Any:
    return FlowRunner(flow).run(return_tasks=flow.tasks, executor=executor, **options)


# -- widths ---------------------------------------------------------------------------------------


def test_a_task_has_a_child_for_each_element(executor):
    with Flow("map") as flow:
        made = inc.map(give([1, 2, 3]))
    state = run(flow, executor)
    assert state.is_successful()
    assert isinstance(state.result[made], Mapped)
    assert state.result[made].result == [2, 3, 4]
    assert kinds(state.result[made]) == ["Success"] * 3


@pytest.mark.parametrize(
    ("left", "right", "wanted"),
    [
        ([1, 2, 3], [10, 20], [11, 22]),
        ([1, 2], [10, 20, 30], [11, 22]),
        ([1], [10], [11]),
        ([], [10], []),
        ((1, 2), [10, 20], [11, 22]),
        ("ab", ["c", "d"], ["ac", "bd"]),
        (range(2), range(5, 7), [5, 7]),
        ({0: 1, 1: 2}, [10, 20], [11, 22]),
    ],
)
def test_the_shortest_decides(executor, left, right, wanted):
    with Flow("zip") as flow:
        made = add.map(give(left), give(right))
    state = run(flow, executor)
    assert state.is_successful()
    assert state.result[made].result == wanted
    assert len(state.result[made].map_states) == len(wanted)


def test_all_edges_unmapped_is_an_ordinary_task(executor):
    with Flow("ordinary") as flow:
        made = total.map(shared(give([1, 2, 3])))
    state = run(flow, executor)
    assert type(state.result[made]) is Success
    assert state.result[made].result == 6


def test_nothing_to_map_over(executor):
    with Flow("empty") as flow:
        first = inc.map(give([]))
        second = inc.map(first)
        summed = total(second)
    state = run(flow, executor)
    assert state.is_successful()
    for made in (first, second):
        assert isinstance(state.result[made], Mapped)
        assert state.result[made].result == []
        assert state.result[made].map_states == []
    assert state.result[summed].result == 0


def test_what_is_unmapped_goes_to_each_child(executor):
    with Flow("shared") as flow:
        made = add.map(give([1, 2]), shared(give(10)))
        constant = add.map(give([1, 2]), shared(100))
    state = run(flow, executor)
    assert state.result[made].result == [11, 12]
    assert state.result[constant].result == [101, 102]


def test_each_child_may_have_the_whole_of_a_mapped_task(executor):
    @task
    def with_all(x, everything):
        return (x, everything)

    with Flow("whole") as flow:
        first = inc.map(give([1, 2]))
        made = with_all.map(give(["a", "b", "c"]), shared(first))
    state = run(flow, executor)
    assert state.result[made].result == [(each, [2, 3]) for each in "abc"]


def test_an_edge_without_a_key_only_fixes_the_width(executor):
    @task
    def index():
        return context.map_index

    with Flow("width") as flow:
        made = index.map(upstream_tasks=[give(["a", "b", "c"])])
    state = run(flow, executor)
    assert state.result[made].result == [0, 1, 2]


def test_children_know_their_index_and_names(executor):
    @task(task_run_name="{x}-{map_index}")
    def who(x):
        return (context.map_index, context.task_full_name, context.task_run_name)

    with Flow("named") as flow:
        made = who.map(give(["a", "b"]))
    state = run(flow, executor)
    assert state.result[made].result == [(0, "who[0]", "a-0"), (1, "who[1]", "b-1")]


def test_maps_over_maps_and_sums(executor):
    with Flow("nested") as flow:
        first = inc.map(give([1, 2, 3]))
        second = inc.map(first)
        third = add.map(first, second)
        summed = total(third)
    state = run(flow, executor)
    assert state.result[third].result == [5, 7, 9]
    assert state.result[summed].result == 21


def test_an_annotated_argument_maps_without_map(executor):
    with Flow("annotated") as flow:
        made = add(mapped(give([1, 2])), 10)
    state = run(flow, executor)
    assert state.result[made].result == [11, 12]


def test_parameters_are_mapped_over(executor):
    with Flow("parameter") as flow:
        made = inc.map(Parameter("numbers", default=[1, 2]))
    assert run(flow, executor).result[made].result == [2, 3]
    again = run(flow, executor, parameters={"numbers": [5]})
    assert again.result[made].result == [6]


def test_what_counts_its_elements_only_when_asked(executor):
    class Three:
        def __getitem__(self, index):
            if index > 2:
                raise IndexError
            return index * 10

    with Flow("counted") as flow:
        made = inc.map(give(Three()))
    assert run(flow, executor).result[made].result == [1, 11, 21]


# -- what cannot be mapped over -------------------------------------------------------------------


def elements():
    yield 1


class Cheats:
    """Says that it has three elements, and has one."""

    def __len__(self):
        return 3

    def __getitem__(self, index):
        if index in (0, 2):
            return index
        raise LookupError("lost")


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"a": 1}, "dict"),
        ({0: 1, 2: 3}, "dict"),
        (defaultdict(list, a=1), "defaultdict"),
        ({1, 2}, "set"),
        (5, "int"),
        (None, "NoneType"),
    ],
    ids=["dict", "dict with a hole", "defaultdict", "set", "int", "None"],
)
def test_what_has_no_elements_by_place(executor, value, kind):
    with Flow("bad") as flow:
        made = inc.map(x=give(value, task_args={"name": "source"}))
        below = inc.map(made)
        beside = give(1)
    state = run(flow, executor)
    assert state.is_failed()
    found = state.result[made]
    assert type(found) is Failed
    assert found.message == "At least one upstream state has an unmappable result."
    for part in ("'source'", "'x'", "'inc'", kind):
        assert part in str(found.result)
    assert type(state.result[below]) is Failed
    assert state.result[beside].result == 1


def test_what_cannot_be_mapped_over_is_recorded_as_failed(executor):
    with Flow("bad") as flow:
        inc.map(give({"a": 1}))
    flow.run(executor=executor)
    with get_client(sync_client=True) as client:
        found = {each.name: each.state_name for each in client.read_task_runs()}
    assert found == {"give": "Completed", "inc": "Failed"}


def test_an_element_that_cannot_be_had_fails_its_child(executor, caplog):
    with Flow("cheats") as flow:
        made = inc.map(give(Cheats(), task_args={"name": "source"}))
        seen = give.map(made, task_args={"trigger": triggers.all_finished})
    state = run(flow, executor)
    assert state.is_failed() is False
    assert kinds(state.result[made]) == ["Success", "TriggerFailed", "Success"]
    assert kinds(state.result[seen]) == ["Success"] * 3
    assert "'source'" in caplog.text
    assert "Cheats" in caplog.text


def test_a_generator(executor):
    with Flow("generator") as flow:
        made = inc.map(x=elements())
    state = run(flow, executor)
    assert type(state.result[made]) is Failed
    assert "generator" in str(state.result[made].result)


def test_a_task_that_is_a_generator_function_gives_a_list(executor):
    @task
    def counting():
        yield from range(3)

    with Flow("generator") as flow:
        made = inc.map(counting())
    assert run(flow, executor).result[made].result == [1, 2, 3]


@pytest.mark.parametrize("value", [{1, 2}, elements()], ids=["set", "generator"])
def test_a_positional_argument_is_looked_at_at_once(value):
    with Flow("bad"), pytest.raises(TypeError, match="inc"):
        inc.map(value)


# -- upstream of a map ----------------------------------------------------------------------------


def coming_to(signal: BaseException) -> Any:
    @task
    def come():
        raise signal

    return come


@pytest.mark.parametrize(
    ("signal", "kind"),
    [
        (signals.SKIP("no"), Skipped),
        (signals.FAIL("no"), Failed),
        (ValueError("no"), Failed),
        (signals.PAUSE("no"), Pending),
        (signals.RETRY("no", start_time=LATER), Pending),
    ],
    ids=repr,
)
def test_an_upstream_that_did_not_succeed(executor, signal, kind):
    with Flow("upstream") as flow:
        made = inc.map(coming_to(signal)())
    found = run(flow, executor).result[made]
    assert type(found) is kind
    assert not hasattr(found, "map_states")
    if kind is Failed:
        assert found.message == "No upstream states can be mapped over."


def test_one_of_two_is_enough(executor):
    @task(trigger=triggers.any_successful)
    def either(x, y):
        return x

    with Flow("either") as flow:
        made = either.map(give([1, 2]), coming_to(signals.FAIL("no"))())
    found = run(flow, executor).result[made]
    assert found.result == [1, 2]


def test_an_unmapped_upstream_that_failed_fails_each_child(executor):
    with Flow("beside") as flow:
        made = add.map(give([1, 2]), shared(coming_to(ValueError("no"))()))
    state = run(flow, executor)
    assert kinds(state.result[made]) == ["TriggerFailed"] * 2


def test_the_parent_does_not_ask_its_trigger(executor):
    asked = []

    def trigger(upstream):
        asked.append(context.map_index)
        return True

    with Flow("trigger") as flow:
        made = inc.map(give([1, 2]), task_args={"trigger": trigger})
        failing = inc.map(give([1]), task_args={"trigger": triggers.all_failed})
    state = run(flow, executor)
    assert sorted(asked) == [0, 1]
    assert state.result[made].is_mapped()
    assert kinds(state.result[failing]) == ["TriggerFailed"]


# -- children -------------------------------------------------------------------------------------


@task
def inverse(x):
    if x == 9:
        raise SKIP("no nine")
    return 1 / x


def test_a_child_that_fails_leaves_the_others(executor):
    with Flow("fails") as flow:
        first = inverse.map(give([1, 0, 2]))
        second = inc.map(first)
    state = run(flow, executor)
    assert state.is_failed()
    assert kinds(state.result[first]) == ["Success", "Failed", "Success"]
    assert kinds(state.result[second]) == ["Success", "TriggerFailed", "Success"]
    assert isinstance(state.result[first].result[1], ZeroDivisionError)
    assert isinstance(state.result[second].result[1], TRIGGERFAIL)


def test_a_child_that_skips_itself(executor):
    with Flow("skips") as flow:
        first = inverse.map(give([1, 9, 2]))
        second = inc.map(first)
        all_of_it = give(second)
    state = run(flow, executor)
    assert state.is_successful()
    assert isinstance(state.result[first].map_states[1].result, SKIP)
    below = state.result[second].map_states[1]
    assert isinstance(below, Skipped)
    assert below._result == NoResult
    assert isinstance(state.result[all_of_it], Skipped)


def test_a_sum_over_children_sees_each_of_them(executor):
    with Flow("reduce") as flow:
        first = inverse.map(give([1, 0]))
        strict = give(first)
        lenient = give(first, task_args={"trigger": triggers.any_failed})
    state = run(flow, executor)
    assert isinstance(state.result[strict], TriggerFailed)
    assert state.result[lenient].result[0] == 1
    assert isinstance(state.result[lenient].result[1], ZeroDivisionError)


def test_a_sum_waits_for_a_child_that_waits(executor):
    @task(max_retries=1, retry_delay=dt.timedelta(hours=1))
    def flaky(x):
        return 1 / x

    with Flow("waits") as flow:
        first = flaky.map(give([1, 0]))
        second = inc.map(first)
        made = total(first)
    state = run(flow, executor)
    assert isinstance(state, Running)
    assert kinds(state.result[first]) == ["Success", "Retrying"]
    assert kinds(state.result[second]) == ["Success", "Pending"]
    assert isinstance(state.result[made], Pending)


def test_children_retry_each_by_itself(executor):
    tries = Counter()

    @task(max_retries=2, retry_delay=dt.timedelta(0))
    def flaky(x):
        tries[x] += 1
        if tries[x] <= x:
            raise ValueError(x)
        return context.task_run_count

    with Flow("retries") as flow:
        made = flaky.map(give([0, 1, 2]))
    state = flow.run(executor=executor)
    assert state.is_successful()
    assert state.result[made].result == [1, 2, 3]
    assert tries == {0: 1, 1: 2, 2: 3}


def test_children_loop_each_by_itself(executor):
    @task
    def loop(x):
        turn = context.get("task_loop_count", 1)
        if turn < x:
            raise signals.LOOP(result=turn)
        return turn

    with Flow("loops") as flow:
        made = loop.map(give([1, 3, 2]))
    assert run(flow, executor).result[made].result == [1, 3, 2]


# -- the order ------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [20, 3000])
def test_on_threads_elements_go_through_one_by_one(count):
    order: list[tuple[str, int]] = []

    @task
    def first(x):
        order.append(("first", x))
        return x

    @task
    def second(x):
        order.append(("second", x))

    with Flow("deep") as flow:
        second.map(first.map(give(list(range(count)))))
    assert run(flow, threads()).is_successful()
    assert len(order) == 2 * count
    places = {each: place for place, each in enumerate(order)}
    last_of_first = max(places["first", x] for x in range(count))
    earlier = sum(places["second", x] < last_of_first for x in range(count))
    assert earlier > count / 2, "most elements are through before the last one is begun"


def test_in_this_thread_tasks_run_in_the_order_of_the_graph():
    order: list[tuple[str, int]] = []

    @task
    def note(x, word):
        order.append((word, x))
        return x

    with Flow("order") as flow:
        note.map(note.map([1, 2], shared("a")), shared("b"))
    run(flow, local())
    assert order == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_children_of_a_map_do_not_wait_for_those_of_another():
    came = threading.Event()

    @task
    def first(x):
        if x == 1:
            assert came.wait(10), "child 0 of the second map has run meanwhile"
        return x

    @task
    def second(x):
        if x == 0:
            came.set()

    with Flow("pipelined") as flow:
        second.map(first.map([0, 1]))
    assert run(flow, threads()).is_successful()


# -- mapping again --------------------------------------------------------------------------------


def test_a_half_finished_map_goes_on_where_it_was(executor):
    ran = []

    @task
    def note(x):
        ran.append(x)
        return x * 10

    with Flow("again") as flow:
        source = give([1, 2, 3])
        made = note.map(source)
        below = inc.map(made)
    former = Mapped(map_states=[Success(result=-1), None, Pending()])
    state = run(flow, executor, task_states={source: Success(result=[5, 6, 7]), made: former})
    assert sorted(ran) == [6, 7]
    assert state.result[made].result == [-1, 60, 70]
    assert state.result[below].result == [0, 61, 71]


@pytest.mark.parametrize(
    ("former", "wanted"),
    [
        (Mapped(map_states=[None, Success(result=100)]), [6, 100]),
        (Mapped(map_states=[Failed(result=3), Success(result=100)]), [3, 100]),
        (Mapped(map_states=[Cached(result=3), Skipped(result=4)]), [3, 4]),
        (Mapped(map_states=[Retrying(start_time=LONG_AGO)]), [6]),
        (Mapped(map_states=[]), [6, 7]),
        (Mapped(n_map_states=1), [6]),
        (Mapped(n_map_states=2), [6, 7]),
    ],
    ids=["missing", "failed", "cached", "shorter", "empty", "a number", "two"],
)
def test_former_states_of_children(executor, former, wanted):
    with Flow("again") as flow:
        source = give(None)
        made = inc.map(source)
    state = run(flow, executor, task_states={source: Success(result=[5, 6]), made: former})
    assert state.result[made].result == wanted


def test_a_former_map_of_which_only_the_width_is_known(executor):
    @task
    def note(x):
        return (context.map_index, x)

    with Flow("width") as flow:
        source = give(None)
        made = note.map(source)
    state = run(flow, executor, task_states={source: Success(), made: Mapped(n_map_states=3)})
    assert state.is_successful()
    assert state.result[made].result == [(0, None), (1, None), (2, None)]


def test_a_retry_of_one_child_by_hand(executor):
    allowed = []

    @task(max_retries=1, retry_delay=dt.timedelta(0))
    def flaky(x):
        if not allowed and x == 2:
            raise ValueError(x)
        return (x, context.task_run_count)

    with Flow("by hand") as flow:
        made = flaky.map(give([1, 2, 3]))
    first = run(flow, executor)
    assert isinstance(first, Running)
    assert kinds(first.result[made]) == ["Success", "Retrying", "Success"]
    allowed.append(True)
    second = run(flow, executor, task_states=first.result)
    assert second.is_successful()
    assert second.result[made].result == [(1, 1), (2, 2), (3, 1)]


def test_children_take_the_states_of_a_parent_that_is_no_map(executor):
    @task
    def count(x):
        return context.task_run_count

    with Flow("due") as flow:
        made = count.map(give([1, 2]))
    due = Retrying(start_time=LONG_AGO, run_count=4)
    state = run(flow, executor, task_states={made: due})
    assert state.result[made].result == [5, 5]
    later = run(flow, executor, task_states={made: Scheduled(start_time=LATER)})
    assert type(later.result[made]) is Scheduled


def test_a_cached_state_of_a_parent_is_not_taken_for_its_children(executor):
    with Flow("cached") as flow:
        made = inc.map(give([1, 2]))
    state = run(flow, executor, task_states={made: Cached(result=[10, 20])})
    assert state.result[made].result == [2, 3]


def test_a_given_map_of_a_task_that_is_not_mapped(executor):
    with Flow("given") as flow:
        source = give(None)
        made = inc.map(source)
        summed = total(source)
    former = Mapped(map_states=[Success(result=1), Success(result=2)], result=[1, 2])
    state = run(flow, executor, task_states={source: former})
    assert state.result[made].result == [2, 3]
    assert state.result[summed].result == 3


def test_recorded_runs_of_children():
    with Flow("recorded") as flow:
        first = inverse.map([1, 0])
        inc.map(first)
    flow.run()
    with get_client(sync_client=True) as client:
        found = {each.name: each for each in client.read_task_runs()}
    states = {name: each.state_name for name, each in found.items()}
    assert states == {
        "inverse": "Mapped",
        "inverse[0]": "Completed",
        "inverse[1]": "Failed",
        "inc": "Mapped",
        "inc[0]": "Completed",
        "inc[1]": "TriggerFailed",
    }


# -- flatten --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ([[1, 2], [3]], [2, 3, 4]),
        ([[], [1], []], [2]),
        ([(1,), [2]], [2, 3]),
        ([1, 2, 3], [2, 3, 4]),
        ([], []),
        ([[]], []),
    ],
)
def test_flatten_of_a_list(executor, value, wanted):
    with Flow("flat") as flow:
        made = inc.map(flatten(give(value)))
    state = run(flow, executor)
    assert state.is_successful()
    assert state.result[made].result == wanted


def test_flatten_is_for_one_level(executor):
    with Flow("flat") as flow:
        made = give(flatten(give([[[1], [2]], [[3]]])))
        mapped_over = give.map(flatten(give([["ab"], ["cd", {"e": 1}]])))
        words = give(flatten(give(["ab", "cd"])))
    state = run(flow, executor)
    assert state.result[made].result == [[1], [2], [3]]
    assert state.result[mapped_over].result == ["ab", "cd", {"e": 1}]
    # Decided otherwise: a text is one value, not its letters.
    assert state.result[words].result == ["ab", "cd"]


@pytest.mark.parametrize("value", [1, None])
def test_flatten_of_what_is_no_list(executor, value):
    with Flow("flat") as flow:
        alone = give(flatten(give(value)))
        made = inc.map(flatten(give(value)))
    state = run(flow, executor)
    assert state.result[alone].result == value
    assert type(state.result[made]) is Failed
    assert "unmappable" in str(state.result[made].message)


@task
def nest(x):
    if x == "skip":
        raise SKIP("no")
    if x == "fail":
        raise ValueError("no")
    return x


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([[1], [2, 3], []], [2, 3, 4]),
        ([[1], "skip", [3]], [2, None, 4]),
        ([[1], "fail", [3]], [2, TRIGGERFAIL, 4]),
        ([], []),
        ([[]], []),
    ],
)
def test_flatten_of_a_map(executor, values, wanted):
    with Flow("flat") as flow:
        made = inc.map(flatten(nest.map(give(values))))
        below = inc.map(made)
    state = run(flow, executor)
    found = state.result[made].result
    assert len(found) == len(wanted)
    for got, want in zip(found, wanted, strict=True):
        assert isinstance(got, want) if isinstance(want, type) else got == want
    assert state.result[made].n_map_states == len(wanted)
    assert len(state.result[below].map_states) == len(wanted)


def test_flatten_of_children_that_give_no_lists(executor, caplog):
    with Flow("flat") as flow:
        made = inc.map(flatten(nest.map(give([1, [2], 3]))))
    state = run(flow, executor)
    assert state.result[made].result == [2, 3, 4]
    assert "`flatten` used on a task that did not return an iterable" in caplog.text


def test_a_sum_over_flattened_children(executor):
    with Flow("flat") as flow:
        made = total(flatten(nest.map(give([[1, 2], [3]]))))
        beside = add.map(give([1, 2]), shared(flatten(give([[10], [20]]))))
    state = run(flow, executor)
    assert state.result[made].result == 6
    assert state.is_failed()  # a list is not added to a number
    assert kinds(state.result[beside]) == ["Failed", "Failed"]


def test_flatten_twice(executor):
    with Flow("flat") as flow:
        source = give([[1, 2], [3]])
        first = inc.map(flatten(source))
        again = inc.map(flatten(source))
        made = add.map(first, again)
    assert run(flow, executor).result[made].result == [4, 6, 8]


# -- run_task (6.3) -------------------------------------------------------------------------------


def test_what_an_executor_executes_puts_children_into_the_mapped_state():
    upstream = Mapped(n_map_states=2)
    source, made = give.copy(), total.copy()
    edge = Edge(source, made, key="xs")
    children = [Success(result=1), Success(result=2)]
    ran = run_task(
        task=made,
        state=None,
        upstream_states={edge: upstream},
        context={"here": 1},
        flow_result=None,
        task_runner_cls=TaskRunner,
        upstream_mapped_states={edge: children},
    )
    assert ran.result == 3
    assert upstream.map_states == children
    assert upstream.result == [1, 2]


def test_a_paused_child_rests_and_goes_on(executor):
    with Flow("paused") as flow:
        made = inc.map(give([1, 2]), task_args={"trigger": triggers.manual_only})
    first = run(flow, executor)
    assert isinstance(first, Running)
    assert kinds(first.result[made]) == ["Paused", "Paused"]
    assert type(first.result[made].map_states[0]) is Paused
