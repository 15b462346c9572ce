"""Parameters that do not fit, the names of runs, and what a run's record holds (spec 3.3, 2.1)."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Literal

import pydantic
import pytest

from penstock import flow, task
from penstock.context import get_run_context
from penstock.exceptions import ParameterTypeError, SignatureMismatchError


class City(pydantic.BaseModel):
    name: str
    people: int = 0


# -- fitting --------------------------------------------------------------------------------------


def test_parameters_are_cast():
    @flow
    def ingest(count: int, day: date, city: City, kinds: list[Path] = [Path("x")]):  # noqa: B006
        return count, day, city, kinds

    assert ingest("3", "2024-05-01", {"name": "Oslo", "people": "7"}) == (
        3,
        date(2024, 5, 1),
        City(name="Oslo", people=7),
        [Path("x")],
    )


def test_parameters_are_taken_as_they_are_without_validation():
    @flow(validate_parameters=False)
    def ingest(count: int):
        return count

    assert ingest("3") == "3"


def test_what_is_given_is_not_changed():
    given = {"a": ["1"]}

    @flow
    def ingest(table: dict[str, list[int]]):
        table["a"].append(2)
        return table

    assert ingest(given) == {"a": [1, 2]}
    assert given == {"a": ["1"]}


# -- not fitting ----------------------------------------------------------------------------------

MISFITS = [
    ({"count": "three"}, ["count"]),
    ({"count": None}, ["count"]),
    ({"count": 1, "kind": "c"}, ["kind"]),
    ({"count": "x", "kind": "c", "day": "noday"}, ["count", "kind", "day"]),
]


@pytest.mark.parametrize(("given", "named"), MISFITS, ids=str)
def test_parameters_that_do_not_fit_make_a_failed_run(records, history, given, named):
    called, hooked = [], []

    @flow(on_failure=[lambda flow, flow_run, state: hooked.append((flow_run.id, state.name))])
    def ingest(count: int, kind: Literal["a", "b"] = "a", day: date | None = None):
        called.append(1)

    with pytest.raises(ParameterTypeError) as caught:
        ingest(**given)

    for name in named:
        assert name in str(caught.value)
    run = records.flow_run()
    assert called == []
    assert history(run) == ["Pending", "Failed"]
    assert run.state.message.startswith("Validation of flow parameters failed with error:")
    assert "ParameterTypeError" in run.state.message
    assert run.start_time is None
    assert hooked == [(run.id, "Failed")]
    assert isinstance(run.state.result(raise_on_failure=False), ParameterTypeError)
    assert any("Validation of flow parameters failed" in line for line in records.logs())


def test_the_state_of_a_run_that_did_not_fit():
    @flow
    def ingest(count: int): ...

    state = ingest("three", return_state=True)

    assert state.is_failed()
    with pytest.raises(ParameterTypeError):
        state.result()


def test_an_async_flow_that_did_not_fit(records):
    hooked = []

    async def hook(flow, flow_run, state):
        hooked.append(state.name)

    @flow(on_failure=[hook])
    async def ingest(count: int): ...

    with pytest.raises(ParameterTypeError):
        asyncio.run(ingest("three"))
    assert asyncio.run(ingest("three", return_state=True)).is_failed()
    assert hooked == ["Failed", "Failed"]


def test_a_subflow_that_did_not_fit_lets_its_parent_go_on(records, history):  # [better]: hooks
    hooked = []

    @flow(on_failure=[lambda flow, flow_run, state: hooked.append(state.name)])
    def child(count: int):
        raise AssertionError

    @flow
    def parent():
        state = child("three", return_state=True)
        with pytest.raises(ParameterTypeError):
            child("four")
        return state.message

    assert "Validation of flow parameters failed" in parent()
    assert hooked == ["Failed", "Failed"]
    children = [run for run in records.flow_runs() if run.flow_name == "child"]
    assert [history(run) for run in children] == [["Pending", "Failed"]] * 2
    assert [run.state.name for run in records.task_runs("child")] == ["Failed", "Failed"]
    assert [run.parent_task_run_id for run in children] == [
        run.id for run in records.task_runs("child")
    ]


def test_a_validator_that_breaks_fails_the_run(records):
    class Touchy(pydantic.BaseModel):
        x: int

        @pydantic.model_validator(mode="before")
        @classmethod
        def _break(cls, value):
            raise RuntimeError("I am broken")

    @flow
    def ingest(value: Touchy): ...

    with pytest.raises(Exception, match="I am broken"):
        ingest({"x": 1})
    assert "I am broken" in records.flow_run().state.message


def test_a_failed_validation_is_not_retried(history, records):
    @flow(retries=2)
    def ingest(count: int): ...

    assert ingest("x", return_state=True).is_failed()
    assert history(records.flow_run()) == ["Pending", "Failed"]


def test_recorded_parameters_that_a_flow_does_not_have(records):
    @flow(name="same")
    def before(x, y):
        raise ValueError("boom")

    @flow(name="same")
    def after(x):
        return x

    before(1, 2, return_state=True)

    with pytest.raises(SignatureMismatchError, match="y"):
        after.resume(records.flow_run().id)


# -- what is recorded of them ---------------------------------------------------------------------


@dataclasses.dataclass
class Point:
    x: int


class Opaque:
    def __init__(self, x):
        self.x = x


def test_parameters_are_recorded(records):
    @flow
    def ingest(x, y=2, *rest, named=None, **more): ...

    ingest(1, 3, 4, 5, other="z")

    assert records.flow_run().parameters == {
        "x": 1,
        "y": 3,
        "rest": [4, 5],
        "named": None,
        "more": {"other": "z"},
    }


def test_what_json_does_not_know_is_recorded_as_well_as_can_be(records):
    @flow
    def ingest(day, city, point, opaque, numbers, endless): ...

    day = datetime(2024, 5, 1, tzinfo=UTC)
    ingest(day, City(name="Oslo"), Point(3), Opaque(1), {1, 2}, float("inf"))

    recorded = records.flow_run().parameters
    assert recorded["day"].startswith("2024-05-01T00:00:00")
    assert recorded["city"] == {"name": "Oslo", "people": 0}
    assert recorded["point"] == {"x": 3}
    assert recorded["opaque"] == "<Opaque>"
    assert sorted(recorded["numbers"]) == [1, 2]


def test_a_parameter_that_contains_itself_is_no_error(records):
    endless = []
    endless.append(endless)

    @flow(validate_parameters=False)
    def ingest(x):
        return len(x)

    assert ingest(endless) == 1
    assert records.flow_run().state.is_completed()


def test_the_policy_and_version_are_recorded(records):
    @flow(retries=2, retry_delay_seconds=0.5, version="v7")
    def ingest(): ...

    ingest()

    run = records.flow_run()
    assert (run.empirical_policy.retries, run.empirical_policy.retry_delay) == (2, 0.5)
    assert run.flow_version == "v7"


# -- names ----------------------------------------------------------------------------------------


def test_a_run_gets_a_name_of_two_words(records):
    @flow
    def ingest(): ...

    ingest()
    ingest()

    first, second = (run.name for run in records.flow_runs())
    assert len(first.split("-")) == 2
    assert first != second


def test_a_template_over_the_parameters(records):
    @flow(flow_run_name="{city.name}-{day:%Y}-{limit}")
    def ingest(city, day, limit=3):
        return get_run_context().flow_run.name

    assert ingest(City(name="Oslo"), date(2024, 5, 1)) == "Oslo-2024-3"
    assert records.flow_run().name == "Oslo-2024-3"


def test_a_function_that_knows_the_run(records):
    def made():
        context = get_run_context()
        return f"{context.flow_run.flow_name}-{context.parameters['x']}"

    @flow(flow_run_name=made)
    def ingest(x): ...

    ingest(7)

    assert records.flow_run().name == "ingest-7"


def test_an_async_function_may_give_the_name(records):
    async def made():
        await asyncio.sleep(0)
        return "from afar"

    @flow(flow_run_name=made)
    async def ingest(): ...

    asyncio.run(ingest())

    assert records.flow_run().name == "from afar"


def test_the_name_is_made_once_and_not_for_each_retry(records):
    names = iter(["first", "second"])

    @flow(flow_run_name=lambda: next(names), retries=1)
    def ingest():
        if records.flow_run().run_count == 1:
            raise ValueError("boom")

    ingest()

    assert records.flow_run().name == "first"
    assert next(names) == "second"


def test_subflows_and_what_stands_for_them(records):
    @flow(flow_run_name="child of {x}")
    def child(x): ...

    @flow
    def parent():
        child(1)

    parent()

    assert records.flow_run("child").name == "child of 1"
    assert records.task_run("child").name == "child-0"


BAD_NAMES = [
    ("{nobody}", KeyError, "nobody"),
    (lambda: 7, TypeError, "flow_run_name of flow 'ingest'.*must return a str"),
    (lambda: 1 / 0, ZeroDivisionError, "division"),
    (lambda x: "x", TypeError, "argument"),
]


@pytest.mark.parametrize(
    ("name", "error", "text"), BAD_NAMES, ids=["template", "no text", "raises", "takes one"]
)
def test_a_name_that_cannot_be_made_fails_the_run(records, name, error, text):
    called = []

    @flow(flow_run_name=name)
    def ingest():
        called.append(1)

    with pytest.raises(error, match=text):
        ingest()

    assert called == []
    assert records.flow_run().state.is_failed()


def test_a_name_that_was_changed_to_nonsense_fails_the_run(records):
    @flow
    def ingest(): ...

    ingest.flow_run_name = 7

    with pytest.raises(TypeError, match="flow_run_name"):
        ingest()
    assert records.flow_run().state.is_failed()


# -- logs -----------------------------------------------------------------------------------------


def test_a_run_says_how_it_began_and_ended(records):
    @task
    def fails():
        raise ValueError("boom")

    @flow
    def ingest(fail):
        if fail:
            fails()

    ingest(fail=False)
    with pytest.raises(ValueError, match="boom"):
        ingest(fail=True)

    first, second = records.flow_runs()
    logs = records.logs()
    for run in (first, second):
        assert f"Beginning flow run {run.name!r} for flow 'ingest'" in logs
    assert "Finished in state Completed()" in logs
    assert any(line.startswith("Finished in state Failed(") for line in logs)


def test_the_levels_of_the_last_words(caplog):
    import logging

    @flow
    def ingest(fail):
        if fail:
            raise ValueError("boom")

    ingest(fail=False, return_state=True)
    ingest(fail=True, return_state=True)

    levels = [
        record.levelno
        for record in caplog.records
        if record.getMessage().startswith("Finished in state")
    ]
    assert levels == [logging.INFO, logging.ERROR]


def test_a_link_when_there_is_a_page(records):
    from penstock.settings import temporary_settings

    @flow
    def ingest(): ...

    with temporary_settings({"PENSTOCK_UI_URL": "http://there"}):
        ingest()

    run = records.flow_run()
    assert any(f"http://there/flow-runs/flow-run/{run.id}" in line for line in records.logs())
