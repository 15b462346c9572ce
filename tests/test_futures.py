"""Futures: waiting for a task run, its result and its state (spec 2.5)."""

from __future__ import annotations

import asyncio
import dataclasses
import pickle
import threading
from collections import OrderedDict
from typing import Any

import pydantic
import pytest

from penstock import flow, task
from penstock.futures import (
    PenstockFuture,
    PrefectFuture,
    call_repr,
    resolve_futures_to_data,
    resolve_futures_to_states,
)
from penstock.states import Completed, Failed, State
from penstock.utilities.annotations import allow_failure, quote


@task
def gives(x):
    return x


@task
def fails(text="boom"):
    raise ValueError(text)


@task
async def gives_async(x):
    await asyncio.sleep(0)
    return x


def run(work):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


def run_async(work):
    given = []

    @flow
    async def runs():
        given.append(await work())
        return "fine"

    asyncio.run(runs())
    return given[0]


def test_both_names_are_the_same():
    assert PrefectFuture is PenstockFuture


def test_what_a_future_knows():
    def work():
        future = gives.submit(1)
        assert future.name == "gives-0"
        assert future.asynchronous is False
        assert future.task_run.name == "gives-0"
        assert future.task_run.id == future.key
        assert repr(future) == "PenstockFuture('gives-0')"
        return True

    assert run(work)


# -- waiting --------------------------------------------------------------------------------------


@pytest.fixture
def gate():
    """A task that ends when the test says so."""
    event = threading.Event()

    @task
    def waits():
        assert event.wait(20)
        return "done"

    waits.event = event
    yield waits
    event.set()


class TestSync:
    def test_wait_gives_the_final_state(self):
        state = run(lambda: gives.submit(1).wait())

        assert isinstance(state, State)
        assert state.is_completed()

    @pytest.mark.parametrize("timeout", [0, 0.01, -1])
    def test_wait_gives_none_when_the_time_is_over(self, timeout, gate):
        def work():
            future = gate.submit()
            assert future.wait(timeout) is None
            assert not future.get_state().is_final()
            gate.event.set()
            return future.wait(20).result()

        assert run(work) == "done"

    @pytest.mark.parametrize("timeout", [0, 0.01])
    def test_result_raises_when_the_time_is_over(self, timeout, gate):
        def work():
            future = gate.submit()
            with pytest.raises(
                TimeoutError, match=f"'waits-0' did not finish within {timeout:g} s"
            ):
                future.result(timeout=timeout)
            gate.event.set()
            return future.result(timeout=20)

        assert run(work) == "done"

    def test_a_failed_run(self):
        def work():
            future = fails.submit()
            assert future.wait().is_failed()
            with pytest.raises(ValueError, match="boom"):
                future.result()
            error = future.result(raise_on_failure=False)
            assert isinstance(error, ValueError)
            return future.get_state().is_failed()

        assert run(work)

    def test_the_present_state(self, gate):
        def work():
            future = gate.submit()
            before = future.get_state()
            gate.event.set()
            future.wait()
            return before.is_final(), future.get_state().name

        assert run(work) == (False, "Completed")

    def test_many_threads_wait_for_one(self, gate):
        values = []

        def work():
            future = gate.submit()
            threads = [
                threading.Thread(target=lambda: values.append(future.result())) for _ in range(8)
            ]
            for thread in threads:
                thread.start()
            gate.event.set()
            for thread in threads:
                thread.join(20)

        run(work)

        assert values == ["done"] * 8

    def test_after_the_flow_has_ended(self):
        """A future outlives its flow run: what it gave can still be had."""
        future, failed = run(lambda: (gives.submit(1), fails.submit()))

        assert future.result() == 1
        assert future.wait().is_completed()
        assert failed.result(raise_on_failure=False).args == ("boom",)
        assert future.get_state().is_completed()

    def test_as_the_argument_of_a_task_after_the_flow_has_ended(self):
        future = run(lambda: gives.submit(1))

        assert gives(future) == 1
        assert run(lambda: gives.submit([future]).result()) == [1]


class TestAsync:
    def test_wait_result_and_state_are_awaited(self):
        async def work():
            future = await gives_async.submit(1)
            assert future.asynchronous is True
            state = await future.wait()
            return state.is_completed(), await future.result(), (await future.get_state()).name

        assert run_async(work) == (True, 1, "Completed")

    def test_timeouts(self):
        async def work():
            event = asyncio.Event()

            @task
            async def waits():
                await event.wait()
                return "done"

            future = await waits.submit()
            assert await future.wait(0.01) is None
            with pytest.raises(TimeoutError, match=r"'waits-0' did not finish within 0\.01 s"):
                await future.result(timeout=0.01)
            event.set()
            return await future.result(timeout=20)

        assert run_async(work) == "done"

    def test_a_failed_run(self):
        @task
        async def fails_async():
            raise ValueError("boom")

        async def work():
            future = await fails_async.submit()
            with pytest.raises(ValueError, match="boom"):
                await future.result()
            return await future.result(raise_on_failure=False)

        assert isinstance(run_async(work), ValueError)

    def test_several_wait_for_one(self):
        async def work():
            future = await gives_async.submit(1)
            return await asyncio.gather(*(future.result() for _ in range(5)))

        assert run_async(work) == [1] * 5

    def test_of_an_async_task_in_a_sync_flow_are_not_awaited(self):
        assert run(lambda: gives_async.submit(1).result()) == 1


# -- as objects -----------------------------------------------------------------------------------


def test_a_future_is_true_with_a_warning():
    def work():
        future = gives.submit(False)
        with pytest.warns(UserWarning, match=r"future.result\(\)"):
            assert future
        return True

    assert run(work)


def test_futures_are_hashed_and_compared_by_key():
    def work():
        first, second = gives.submit(1), gives.submit(1)
        assert len({first, second, first}) == 2
        assert first == first  # noqa: PLR0124 - what is tested
        assert first != second
        assert first != 1
        return True

    assert run(work)


def test_a_future_cannot_be_pickled():
    with pytest.raises(TypeError, match=r"'gives-0' cannot be pickled.*argument"):
        pickle.dumps(run(lambda: gives.submit(1)))


# -- in collections -------------------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: Any


class Model(pydantic.BaseModel, arbitrary_types_allowed=True):
    x: Any


COLLECTIONS = {
    "itself": (lambda f: f(1), 1),
    "list": (lambda f: [f(1), 2], [1, 2]),
    "tuple": (lambda f: (f(1), [f(2)]), (1, [2])),
    "set": (lambda f: {f(1)}, {1}),
    "dictionary": (lambda f: {f("k"): f("v")}, {"k": "v"}),
    "ordered dictionary": (lambda f: OrderedDict(a=f(1)), OrderedDict(a=1)),
    "dataclass": (lambda f: Point([f(1)]), Point([1])),
    "model": (lambda f: Model(x=f(1)), Model(x=1)),
    "generator": (lambda f: (f(n) for n in range(2)), [0, 1]),
    "nothing": (lambda f: [1, "a", None], [1, "a", None]),
}


@pytest.mark.parametrize("kind", COLLECTIONS)
class TestCollections:
    def test_to_data(self, kind):
        build, expected = COLLECTIONS[kind]

        assert run(lambda: resolve_futures_to_data(build(gives.submit))) == expected

    def test_to_states(self, kind):
        build, expected = COLLECTIONS[kind]

        made = run(lambda: resolve_futures_to_states(build(gives.submit)))

        assert resolve_futures_to_data(made) == expected
        assert "PenstockFuture" not in repr(made)


def test_failures_raise_or_stand_in_their_place():
    def work():
        futures = [gives.submit(1), fails.submit()]
        with pytest.raises(ValueError, match="boom"):
            resolve_futures_to_data(futures)
        return resolve_futures_to_data(futures, raise_on_failure=False)

    value, error = run(work)

    assert value == 1
    assert isinstance(error, ValueError)


def test_states_are_resolved_to_data_too():
    assert resolve_futures_to_data([Completed(data=1)]) == [1]
    assert isinstance(resolve_futures_to_data(Failed(), raise_on_failure=False), Exception)


def test_what_has_asynchronous_futures_is_awaited():
    async def work():
        future = await gives_async.submit(1)
        data = await resolve_futures_to_data({"a": [future]})
        states = await resolve_futures_to_states(each for each in [future])
        return data, [state.name for state in states]

    assert run_async(work) == ({"a": [1]}, ["Completed"])


def test_what_is_quoted_is_left_alone():
    def work():
        quoted = quote([gives.submit(1)])
        return quoted, resolve_futures_to_data([quoted]), resolve_futures_to_states([quoted])

    quoted, data, states = run(work)

    assert data == states == [quoted]
    assert isinstance(data[0].unquote()[0], PenstockFuture)


def test_other_annotations_are_kept():
    made = run(lambda: resolve_futures_to_data([allow_failure(gives.submit(1))]))

    assert made == [allow_failure(1)]


# -- calls as text --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "kwargs", "text"),
    [
        ((), {}, "f()"),
        ((1, "a"), {}, "f(1, 'a')"),
        ((1,), {"x": [2]}, "f(1, x=[2])"),
    ],
)
def test_call_repr(args, kwargs, text):
    def f(*args, **kwargs): ...

    assert call_repr(f, *args, **kwargs) == text
