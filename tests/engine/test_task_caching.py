"""Results that are taken from an earlier run of the same key (spec 6.5, 4.3 T1; PAINS 8)."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from penstock import flow, task, unmapped
from penstock.clock import VirtualClock, use_clock
from penstock.context import TaskRunContext
from penstock.exceptions import PenstockException
from penstock.settings import temporary_settings
from penstock.tasks import task_input_hash


@pytest.fixture
def executed():
    """What was executed: a list that task functions add to."""
    return []


@pytest.fixture
def adds(executed):
    @task(cache_key_fn=task_input_hash)
    def adds(x, y=1):
        executed.append((x, y))
        return [x + y]

    return adds


@pytest.fixture
def clock():
    with use_clock(VirtualClock()) as virtual:
        yield virtual


def run(work, **options):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


def call(made, *args, **kwargs):
    return made(*args, return_state=True, **kwargs)


def submit(made, *args, **kwargs):
    return made.submit(*args, **kwargs).wait()


def map_one(made, *args, **kwargs):
    return made.map([args[0]], **kwargs)[0].wait()


HOW = pytest.mark.parametrize("how", [call, submit, map_one])


# -- hits -----------------------------------------------------------------------------------------


@HOW
def test_a_second_run_takes_the_result_of_the_first(how, adds, executed, records, history):
    first, second = run(lambda: (how(adds, 1), how(adds, 1)))

    assert (first.name, second.name) == ("Completed", "Cached")
    assert second.is_completed()
    assert second.result() == first.result() == [2]
    assert executed == [(1, 1)]
    made = records.task_runs()
    assert history(made[0]) == ["Pending", "Running", "Completed"]
    assert history(made[1]) == ["Pending", "Cached"]
    assert made[1].run_count == 0
    assert made[1].state.result() == [2]
    assert made[0].cache_key == made[1].cache_key
    assert len(made[0].cache_key) >= 32


def test_of_an_async_task(executed):
    @task(cache_key_fn=task_input_hash)
    async def adds(x):
        executed.append(x)
        return x + 1

    @flow
    async def runs():
        first = await adds(1, return_state=True)
        second = await (await adds.submit(1)).wait()
        return first.name, second.name, await adds(1)

    assert asyncio.run(runs()) == ("Completed", "Cached", 2)
    assert executed == [1]


def test_between_flow_runs_and_outside_of_them(adds, executed):
    assert run(lambda: call(adds, 1)).name == "Completed"
    assert run(lambda: call(adds, 1)).name == "Cached"
    assert call(adds, 1).name == "Cached"
    assert adds(1) == [2]
    assert executed == [(1, 1)]


def test_between_processes(run_script):
    source = """
        from penstock import flow, task
        from penstock.tasks import task_input_hash

        class Thing:
            def __init__(self, x):
                self.x = x

        @task(cache_key_fn=task_input_hash)
        def reads(path, options, thing):
            print("executed")
            return {"path": path, "options": options, "x": thing.x}

        @flow
        def runs():
            state = reads("a", {"b": {1, 2, 3}, "c": (1.5, None)}, Thing(7), return_state=True)
            print(state.name, state.result())

        if __name__ == "__main__":
            runs()
    """
    first, second = run_script(source), run_script(source)

    shown = "{'path': 'a', 'options': {'b': {1, 2, 3}, 'c': (1.5, None)}, 'x': 7}"
    assert first.stdout.splitlines() == ["executed", f"Completed {shown}"], first.stderr
    assert second.stdout.splitlines() == [f"Cached {shown}"], second.stderr


def test_a_large_result_between_processes(run_script):
    source = """
        from penstock import task
        from penstock.tasks import task_input_hash

        @task(cache_key_fn=task_input_hash)
        def makes(n):
            print("executed")
            return b"x" * n

        if __name__ == "__main__":
            state = makes(1_000_000, return_state=True)
            print(state.name, len(state.result()))
    """
    first, second = run_script(source), run_script(source)

    assert first.stdout.splitlines() == ["executed", "Completed 1000000"], first.stderr
    assert second.stdout.splitlines() == ["Cached 1000000"], second.stderr


def test_children_of_a_map(adds, executed):
    states = run(lambda: (adds(1), adds.map([1, 2], y=unmapped(1), return_state=True))[1])

    assert [state.name for state in states] == ["Cached", "Completed"]
    assert executed == [(1, 1), (2, 1)]


def test_the_same_key_many_times_at_once(executed):
    """Whoever comes first executes; nobody gets anything but that key's result."""

    @task(cache_key_fn=task_input_hash)
    def doubles(x):
        executed.append(x)
        return x * 2

    values = run(lambda: [future.result() for future in doubles.map([1, 2] * 20)])

    assert values == [2, 4] * 20
    assert set(executed) == {1, 2}


def test_a_cached_run_counts_as_completed_for_the_flow(adds):
    @flow
    def runs():
        adds(1)

    runs()

    assert runs(return_state=True).message == "All states completed."


def test_it_is_passed_on_like_any_result(adds):
    gives = task(lambda x: x, name="gives")

    assert run(lambda: (adds(1), gives(adds.submit(1)))[1]) == [2]


def test_a_retry_of_a_cached_task(executed):
    @task(cache_key_fn=task_input_hash, retries=1)
    def flaky(x):
        executed.append(x)
        if len(executed) == 1:
            raise ValueError("boom")
        return x

    states = run(lambda: (call(flaky, 1), call(flaky, 1)))

    assert [state.name for state in states] == ["Completed", "Cached"]
    assert executed == [1, 1]


def test_failures_are_not_cached(executed):
    @task(cache_key_fn=task_input_hash)
    def fails(x):
        executed.append(x)
        raise ValueError("boom")

    states = run(lambda: (call(fails, 1), call(fails, 1)))

    assert [state.name for state in states] == ["Failed", "Failed"]
    assert executed == [1, 1]


def test_a_result_that_is_not_kept_is_not_cached(executed):
    @task(cache_key_fn=task_input_hash, persist_result=False)
    def makes(x):
        executed.append(x)
        return x

    assert run(lambda: (makes(1), makes(1))) == (1, 1)
    assert executed == [1, 1]


def test_a_value_that_cannot_be_pickled_is_not_cached(executed):
    @task(cache_key_fn=task_input_hash)
    def makes(x):
        executed.append(x)
        return threading.Lock()

    first, second = run(lambda: (makes(1), makes(1)))

    assert first is not second
    assert executed == [1, 1]


# -- keys -----------------------------------------------------------------------------------------


class TestInputHash:
    def test_position_keyword_and_default_are_the_same(self, adds, executed):
        run(lambda: (adds(1), adds(x=1), adds(1, 1), adds(y=1, x=1)))

        assert executed == [(1, 1)]

    def test_other_values_are_others(self, adds, executed):
        run(lambda: (adds(1), adds(2), adds(1, 2), adds(True), adds(1.0)))

        assert len(executed) == 5

    def test_futures_count_by_their_value(self, adds, executed):
        gives = task(lambda x: x, name="gives")

        run(lambda: (adds(1), adds(gives.submit(1)), adds(gives(1, return_state=True))))

        assert executed == [(1, 1)]

    def test_other_functions_are_others(self, executed):
        def make(body):
            return task(name="same", cache_key_fn=task_input_hash)(body)

        values = run(
            lambda: [make(body)(3) for body in (lambda x: x + 1, lambda x: x * 2, lambda x: x + 2)]
        )

        assert values == [4, 6, 5]

    def test_other_tasks_of_the_same_function_are_others(self, adds, executed):
        run(lambda: (adds(1), adds.with_options(name="other")(1)))

        assert len(executed) == 2

    @pytest.mark.parametrize("how", [call, submit])
    def test_an_argument_without_a_hash_is_an_error_that_says_where_it_is(
        self, how, adds, executed, records
    ):
        state = run(lambda: how(adds, {"config": [1, threading.Lock()]}))

        assert state.is_failed()
        with pytest.raises(PenstockException, match=r"^arguments\['x'\]\['config'\]\[1\] cannot"):
            state.result()
        assert "cache_key_fn" in state.message
        assert executed == []
        assert records.task_run().state_type == "FAILED"

    def test_such_a_call_is_not_half_a_key(self, adds, executed):
        """Two calls that differ only in what has no hash are not taken for the same."""
        run(lambda: (call(adds, [1, threading.Lock()]), call(adds, [1, threading.Lock()])))

        assert executed == []


def test_a_key_function_is_given_context_and_resolved_parameters():
    given = []

    def key(context, parameters):
        given.append((type(context), context.task, context.task_run.name, parameters))
        return "key"

    @task(cache_key_fn=key)
    def takes(x, *rest, y=2, **named):
        return x

    gives = task(lambda x: x, name="gives")
    run(lambda: takes(gives.submit(1), 5, z=gives.submit(6)))

    assert given == [
        (TaskRunContext, takes, "takes-0", {"x": 1, "rest": (5,), "y": 2, "named": {"z": 6}})
    ]


def test_one_key_for_several_tasks(executed):
    first = task(lambda: executed.append(1) or "first", name="a", cache_key_fn=lambda *_: "key")
    second = task(lambda: executed.append(2) or "second", name="b", cache_key_fn=lambda *_: "key")

    assert run(lambda: (first(), second())) == ("first", "first")
    assert executed == [1]


@HOW
def test_no_key_is_no_caching(how, executed, records):
    @task(cache_key_fn=lambda *_: None)
    def makes(x):
        executed.append(x)
        return x

    states = run(lambda: (how(makes, 1), how(makes, 1)))

    assert [state.name for state in states] == ["Completed", "Completed"]
    assert executed == [1, 1]
    assert records.task_runs()[0].cache_key is None


def raises(context, parameters):
    raise RuntimeError("no key today")


BAD_KEYS = {
    "raises": (raises, "RuntimeError: no key today"),
    "a number": (lambda *_: 7, "cache_key_fn of task 'makes' must return a str or None, not int"),
    "bytes": (lambda *_: b"k", "must return a str or None, not bytes"),
    "wrong arguments": (lambda: "key", "TypeError"),
}


@HOW
@pytest.mark.parametrize("case", BAD_KEYS)
@pytest.mark.parametrize("retries", [0, 1])
def test_a_key_that_cannot_be_made_fails_the_run(retries, case, how, executed, records, history):
    key, text = BAD_KEYS[case]  # spec 13: fails, does not crash

    @task(cache_key_fn=key, retries=retries)
    def makes(x):
        executed.append(x)

    state = run(lambda: how(makes, 1))

    assert state.name == "Failed"
    assert state.message.startswith("The cache_key_fn failed: ")
    assert text in state.message
    assert executed == []
    assert history(records.task_run())[-1] == "Failed"


def test_a_key_function_may_be_a_coroutine_function():
    @task(cache_key_fn=task_input_hash)
    async def makes(x):
        return x

    async def key(context, parameters):
        await asyncio.sleep(0)
        return "key"

    @flow
    async def runs():
        of = makes.with_options(cache_key_fn=key)
        return (await of(1, return_state=True)).name, (await of(2, return_state=True)).name

    assert asyncio.run(runs()) == ("Completed", "Cached")


# -- expiration and refreshing --------------------------------------------------------------------


def test_an_entry_expires(executed, clock, records):
    @task(cache_key_fn=lambda *_: "key", cache_expiration=timedelta(seconds=60))
    def makes():
        executed.append(clock.time())
        return len(executed)

    def names():
        return run(lambda: call(makes)).name

    assert names() == "Completed"
    clock.sleep(59)
    assert names() == "Cached"
    clock.sleep(2)
    assert names() == "Completed"
    clock.sleep(59)
    assert makes() == 2
    assert len(executed) == 2
    first = records.task_runs()[0].state
    assert first.state_details.cache_expiration == first.timestamp + timedelta(seconds=60)


def test_without_expiration_it_stays(executed, clock):
    @task(cache_key_fn=lambda *_: "key")
    def makes():
        executed.append(1)

    makes()
    clock.sleep(10 * 365 * 86400)

    assert call(makes).name == "Cached"


@pytest.mark.parametrize("expiration", [timedelta(0), timedelta(seconds=-1)])
def test_an_entry_that_has_expired_when_it_is_made(expiration, executed):
    @task(cache_key_fn=lambda *_: "key", cache_expiration=expiration)
    def makes():
        executed.append(1)

    run(lambda: (makes(), makes()))

    assert len(executed) == 2


@HOW
def test_a_refresh_executes_and_replaces(how, executed):
    @task(cache_key_fn=lambda *_: "key")
    def makes(x):
        executed.append(x)
        return len(executed)

    fresh = makes.with_options(refresh_cache=True)

    states = run(lambda: [how(of, 1) for of in (makes, fresh, makes)])

    assert [state.name for state in states] == ["Completed", "Completed", "Cached"]
    assert [state.result() for state in states] == [1, 2, 2]


@pytest.mark.parametrize(
    ("setting", "option", "is_executed"),
    [(True, None, True), (True, False, False), (False, True, True), (False, None, False)],
)
def test_refreshing_by_setting(setting, option, is_executed, adds, executed):
    adds(1)

    with temporary_settings({"PENSTOCK_TASKS_REFRESH_CACHE": setting}):
        run(lambda: adds.with_options(refresh_cache=option)(1))

    assert len(executed) == 1 + is_executed


# -- hooks ----------------------------------------------------------------------------------------


@HOW
@pytest.mark.parametrize("setting", [True, False])
def test_hooks_of_a_cached_run(setting, how):
    seen = []

    @task(
        cache_key_fn=lambda *_: "key",
        on_completion=[lambda task, task_run, state: seen.append(state.name)],
        on_failure=[lambda task, task_run, state: seen.append("failure")],
    )
    def makes(x):
        return x

    with temporary_settings({"PENSTOCK_RUN_ON_COMPLETION_HOOKS_ON_CACHED": setting}):
        run(lambda: (how(makes, 1), how(makes, 1)))

    assert seen == ["Completed", "Cached"] if setting else ["Completed"]
