"""Which runs a task run's inputs are recorded to come from: `task_inputs` (spec 5.3)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from penstock import allow_failure, flow, task, unmapped
from penstock.states import Completed
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner
from penstock.utilities.annotations import quote


@task
def gives(x):
    return x


@task
def takes(x, y=None):
    return x


@task
def fails():
    raise ValueError("boom")


@dataclass
class Pair:
    first: list[int]
    second: list[int]


class Model(BaseModel, extra="allow"):
    part: list[str]


@flow
def child(x):
    return x


@pytest.fixture
def links(records):
    """Give, for each task run of `takes`, the names of the runs that its inputs come from."""

    def read(name="takes"):
        names = {run.id: run.name for run in records.task_runs()}
        return [
            {
                parameter: sorted(names[source.id] for source in sources)
                for parameter, sources in run.task_inputs.items()
            }
            for run in records.task_runs(name)
        ]

    return read


def run(work, **options):
    @flow(**options)
    def runs():
        work()
        return "fine"

    runs()


NONE = {"x": [], "y": []}

CASES = {
    "a future": (lambda: takes(gives.submit(1)), {"x": ["gives-0"], "y": []}),
    "a state": (lambda: takes(gives(1, return_state=True)), {"x": ["gives-0"], "y": []}),
    "in the other parameter": (lambda: takes(1, y=gives.submit(1)), {"x": [], "y": ["gives-0"]}),
    "in both": (
        lambda: takes(gives.submit(1), y=gives.submit(2)),
        {"x": ["gives-0"], "y": ["gives-1"]},
    ),
    "nested": (
        lambda: takes({"a": [gives.submit(1), (gives.submit(2),)]}),
        {"x": ["gives-0", "gives-1"], "y": []},
    ),
    "the same twice": (lambda: twice(gives.submit(1)), {"x": ["gives-0"], "y": []}),
    "one that may fail": (
        lambda: takes(allow_failure(fails.submit())),
        {"x": ["fails-0"], "y": []},
    ),
    "a subflow's state": (
        lambda: takes(child(1, return_state=True)),
        {"x": ["child-0"], "y": []},
    ),
    "nothing": (lambda: takes(1), NONE),
    "something that is not looked into": (lambda: takes(quote(gives.submit(1))), NONE),
    "a field of a data class": (
        lambda: takes(gives(Pair([1], [2])).second),
        {"x": ["gives-0"], "y": []},
    ),
    "a field of a model": (
        lambda: takes(gives(Model(part=["a text"], more=["another"])).more),
        {"x": ["gives-0"], "y": []},
    ),
    "something to wait for": (
        lambda: takes(1, wait_for=[gives.submit(1), [gives.submit(2)]]),
        {**NONE, "wait_for": ["gives-0", "gives-1"]},
    ),
    "one that was submitted": (
        lambda: takes.submit(gives.submit(1)).wait(),
        {"x": ["gives-0"], "y": []},
    ),
    "a value": (lambda: takes(gives("a text of its own")), {"x": ["gives-0"], "y": []}),
    "a large number": (lambda: takes(gives(257)), {"x": ["gives-0"], "y": []}),
    "a list": (lambda: takes(gives([1, 2])), {"x": ["gives-0"], "y": []}),
    "a part of a result": (
        lambda: takes(gives(("a text of its own", [1, 2]))[1]),
        {"x": ["gives-0"], "y": []},
    ),
    "a value of a dictionary": (
        lambda: takes(gives({"key": [1, 2]})["key"]),
        {"x": ["gives-0"], "y": []},
    ),
    "a value in a list": (lambda: takes([gives([1, 2]), 3]), {"x": ["gives-0"], "y": []}),
    "a value that was passed on": (
        lambda: takes(gives(gives([1, 2]))),
        {"x": ["gives-1"], "y": []},
    ),
    "a value in a subflow's result": (lambda: takes(child([1, 2])), {"x": ["child-0"], "y": []}),
}


def twice(future):
    return takes([future, future])


@pytest.mark.parametrize("runner", [SequentialTaskRunner, ConcurrentTaskRunner])
@pytest.mark.parametrize("case", CASES)
def test_links(case, runner, links):
    work, expected = CASES[case]

    run(work, task_runner=runner)

    assert links() == [expected]


UNLINKED = {
    "a constant": lambda: takes(1),
    "what is quoted": lambda: takes(quote(gives.submit(1))),
    "a state made by hand": lambda: takes(Completed(data=[1])),
    "a small number": lambda: takes(gives(5)),
    "True": lambda: takes(gives(True)),
    "None": lambda: takes(gives(None)),
    "an equal value": lambda: (gives([1, 2]), takes([1, 2])),
    "what is deeper in a result": lambda: takes(gives([1, [2, [3, 4]]])[1][1]),
}


@pytest.mark.parametrize("case", UNLINKED)
def test_what_is_not_linked(case, links):
    run(UNLINKED[case])

    assert all(not any(found.values()) for found in links())


def test_a_part_that_cannot_be_tracked_is_noted(records):
    def work():
        gives(5)
        gives([1, 2])
        gives("a text of its own")
        gives([257, "another text"])

    run(work)

    noted = [r.state.state_details.untrackable_result for r in records.task_runs()]
    assert noted == [True, True, False, False]


class TestMapped:
    def test_the_whole_is_on_every_child(self, links):
        run(lambda: takes.map(gives.submit([1, 2])))

        assert links() == [{"x": ["gives-0"], "y": []}] * 2

    def test_a_value_that_is_a_result_is_on_every_child(self, links):
        run(lambda: takes.map(gives([1, 2])))

        assert links() == [{"x": ["gives-0"], "y": []}] * 2

    def test_an_element_is_on_its_own_child_only(self, links):
        run(lambda: takes.map([gives.submit(1), 2, gives.submit(3)]))

        assert sorted(links(), key=str) == [
            {"x": ["gives-0"], "y": []},
            {"x": ["gives-1"], "y": []},
            NONE,
        ] or links() == [{"x": ["gives-0"], "y": []}, NONE, {"x": ["gives-1"], "y": []}]

    @pytest.mark.parametrize("annotation", [unmapped, allow_failure])
    def test_what_all_get_is_on_every_child(self, annotation, links):
        run(lambda: takes.map([1, 2], y=annotation(gives.submit([3]))))

        assert links() == [{"x": [], "y": ["gives-0"]}] * 2

    def test_what_all_wait_for_is_on_every_child(self, links):
        run(lambda: takes.map([1, 2], wait_for=[gives.submit([3])]))

        assert links() == [{**NONE, "wait_for": ["gives-0"]}] * 2


def test_one_that_is_not_ready_is_linked_too(links, records):
    run(lambda: takes(fails.submit(), return_state=True))

    assert records.task_run("takes").state_name == "NotReady"
    assert links() == [{"x": ["fails-0"], "y": []}]


def test_in_an_async_flow(links):
    @task(name="gives")
    async def gives_async(x):
        return x

    @task(name="takes")
    async def takes_async(x, y):
        return x

    @flow
    async def runs():
        value = await gives_async([1])
        await takes_async(value, await gives_async.submit(2))

    asyncio.run(runs())

    assert links() == [{"x": ["gives-0"], "y": ["gives-1"]}]


def test_in_a_task(links):
    @task
    def parent():
        takes(gives.submit([1]))

    run(parent)

    assert links() == [{"x": ["gives-0"], "y": []}]


def test_results_of_another_flow_run_are_not_linked(links):
    value = [1]

    run(lambda: gives(value))
    run(lambda: takes(value))

    assert links() == [NONE]


def test_a_new_object_in_the_place_of_an_old_one_is_not_taken_for_it(links):  # spec 13
    @task
    def makes(n):
        return f"text {n}"

    def work():
        for number in range(50):
            makes(number)
            takes(f"other {number}")

    run(work)

    assert all(not any(found.values()) for found in links())


def test_the_dummy_of_a_subflow_has_the_subflows_inputs(records, links):
    run(lambda: child(gives.submit(1), wait_for=[gives.submit(2)]))

    assert links("child") == [{"x": ["gives-0"], "wait_for": ["gives-1"]}]


def test_a_cached_result_is_linked(links):
    @task(cache_key_fn=lambda *_: "key")
    def lists():
        return [1, 2]

    def work():
        lists()
        takes(lists())
        takes(lists.submit())

    run(work)

    assert links() == [{"x": ["lists-1"], "y": []}, {"x": ["lists-2"], "y": []}]
