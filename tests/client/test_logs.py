"""Logs through the client."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from penstock.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterLevel
from penstock.client.schemas.objects import Log
from penstock.client.schemas.sorting import LogSort
from penstock.ids import new_id

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def log(message, **fields):
    return Log(
        **({"name": "mine", "level": 20, "timestamp": NOON} | fields),
        message=message,
    )


def messages(logs):
    return [log.message for log in logs]


def test_logs_are_written_and_read(any_client):
    run_id, task_run_id = new_id(), new_id()
    made = log("one", level=30, flow_run_id=run_id, task_run_id=task_run_id)

    any_client.create_logs([made])

    (found,) = any_client.read_logs()
    assert found == made


def test_logs_may_be_given_as_dictionaries(any_client):
    run_id = new_id()

    any_client.create_logs(
        {
            "name": "mine",
            "level": 20,
            "message": message,
            "timestamp": "2024-05-01T14:00:00+02:00",
            "flow_run_id": str(run_id),
        }
        for message in ("one", "two")
    )

    found = any_client.read_logs()
    assert messages(found) == ["one", "two"]
    assert {(log.timestamp, log.flow_run_id) for log in found} == {(NOON, run_id)}


def test_a_time_without_a_zone_is_in_utc(any_client):
    any_client.create_logs([log("one", timestamp=datetime(2024, 5, 1, 12))])  # noqa: DTZ001

    assert any_client.read_logs()[0].timestamp == NOON


def test_a_log_that_lacks_something_is_refused_and_none_is_written(any_client):
    with pytest.raises(ValueError, match=r"is no log record.*missing required field `level`"):
        any_client.create_logs([log("good"), {"name": "mine", "message": "x"}])

    assert any_client.read_logs() == []


def test_no_logs_are_written_without_ado(any_client):
    any_client.create_logs([])

    assert any_client.read_logs() == []


def test_the_logs_of_a_run_are_read(any_client, nightly):
    nightly()
    (run,) = any_client.read_flow_runs()
    any_client.create_logs([log("elsewhere")])

    found = any_client.read_logs(
        LogFilter(
            flow_run_id=LogFilterFlowRunId(any_=[run.id]),
            level=LogFilterLevel(ge_=20),
        )
    )

    assert any("Beginning flow run" in message for message in messages(found))
    assert "elsewhere" not in messages(found)
    assert {log.flow_run_id for log in found} == {run.id}


@pytest.mark.parametrize("sort", [LogSort.ID_ASC, LogSort.TIMESTAMP_ASC])
def test_the_logs_of_one_run_are_read_page_by_page(any_client, sort):
    run_id = new_id()
    any_client.create_logs(
        log(str(index), flow_run_id=run_id, timestamp=NOON + timedelta(seconds=index))
        for index in range(5)
    )
    any_client.create_logs([log("elsewhere", flow_run_id=new_id())])
    wanted = {"flow_run_id": {"any_": [run_id]}}

    first = any_client.read_logs(wanted, limit=2, sort=sort)
    rest = any_client.read_logs(wanted, limit=10, offset=2, sort=sort)

    assert messages([*first, *rest]) == ["0", "1", "2", "3", "4"]
    if sort is LogSort.ID_ASC:
        after = any_client.read_logs(wanted, sort=sort, after=first[-1].id)
        assert messages(after) == ["2", "3", "4"]


def test_more_than_the_run_can_be_asked_of_logs_in_the_order_of_their_making(any_client):
    run_id, other_id = new_id(), new_id()
    any_client.create_logs([log("debug", level=10, flow_run_id=run_id)])
    any_client.create_logs([log("info", flow_run_id=run_id), log("b", flow_run_id=other_id)])

    def found(wanted):
        return messages(any_client.read_logs(wanted, sort=LogSort.ID_ASC))

    assert found({"flow_run_id": {"any_": [run_id]}}) == ["debug", "info"]
    assert found({"flow_run_id": {"any_": [run_id]}, "level": {"ge_": 20}}) == ["info"]
    assert found({"flow_run_id": {"any_": [run_id, other_id]}}) == ["debug", "info", "b"]
    assert found({"flow_run_id": {"any_": []}}) == []


def test_orders_that_do_not_exist_are_refused(any_client):
    with pytest.raises(ValueError, match="sort='NAME_ASC' is not one of TIMESTAMP_ASC"):
        any_client.read_logs(sort="NAME_ASC")
