from __future__ import annotations

from datetime import UTC, datetime, timedelta

import hypothesis.strategies as some
import msgspec
import pytest
from hypothesis import given

from penstock import clock
from penstock.ids import new_id
from penstock.records import (
    Flow,
    FlowRun,
    FlowRunPolicy,
    Log,
    TaskRun,
    TaskRunPolicy,
    TaskRunResult,
)
from penstock.results import BaseResult, ResultFactory
from penstock.rules import Facts, record
from penstock.states import (
    Completed,
    Failed,
    Pending,
    Running,
    Scheduled,
    State,
    StateDetails,
    StateType,
)
from penstock.store import encoding, get_store
from penstock.store import statements as sql

NOW = datetime(2024, 5, 1, 12, 30, 15, 123_456, tzinfo=UTC)


def fields_of(run):
    """Give all of a record's fields, to compare them; states by all that they hold."""
    fields = {name: getattr(run, name) for name in run.__struct_fields__}
    fields["history"] = [state_fields(state) for state in run.history]
    fields["state"] = None if run.state is None else state_fields(run.state)
    return fields


def state_fields(state):
    data = state.data
    value = data.get() if isinstance(data, BaseResult) else data
    return (
        state.type,
        state.name,
        state.message,
        state.timestamp,
        state.id,
        state.state_details,
        value,
    )


def factory():
    return ResultFactory(None, None, None, True, 65_536, None, "task 'x'")


def through(run, *states):
    for state in states:
        record(run, state, Facts(now=state.timestamp))
    # Only the last state's result is kept.
    for state in run.history[:-1]:
        state.data = None
    return run


def task_run_back(run):
    store = get_store()
    store.commit([(sql.WRITE_TASK_RUN, encoding.task_run_row(run))])
    return store.read_task_run(run.id)


def flow_run_back(run):
    store = get_store()
    run.flow_id = store.flow_id(run.flow_name)
    store.commit([(sql.INSERT_FLOW_RUN, encoding.flow_run_insert_row(run))])
    return store.read_flow_run(run.id)


# -- whole records --------------------------------------------------------------------------------


def test_a_plain_task_run():
    run = through(TaskRun(name="add-0", task_key="add", dynamic_key="0"), Pending())

    back = task_run_back(run)

    run.flow_run_run_count = 1  # what an unset count is read as
    assert fields_of(back) == fields_of(run)


def test_a_task_run_with_everything():
    flow_run = FlowRun(name="brave-otter", flow_name="ingest")
    flow_run_back(through(flow_run, Pending(), Running()))
    run = TaskRun(
        name="add-3",
        flow_run_id=flow_run.id,
        task_key="add-0123",
        dynamic_key="3@1f6a9c02",
        task_version="7",
        cache_key="key",
        cache_expiration=NOW,
        tags=["a", "b"],
        labels={"k": "v"},
        task_inputs={"x": [TaskRunResult(id=new_id())], "wait_for": []},
        flow_run_run_count=3,
        fingerprint=b"fingerprint",
        empirical_policy=TaskRunPolicy(retries=3, retry_delay=[1, 2.5], retry_jitter_factor=0.5),
    )
    through(
        run,
        Pending(),
        Running(),
        Scheduled(name="AwaitingRetry", scheduled_time=NOW, message="boom Attempt 1 of 4 failed."),
        State(type="RUNNING", name="Retrying"),
        Completed(
            message="done",
            data=factory().inline({"a": [1, (2, None)]}),
            state_details=StateDetails(
                cache_key="key", cache_expiration=NOW, untrackable_result=True
            ),
        ),
    )

    back = task_run_back(run)

    assert fields_of(back) == fields_of(run)
    assert back.state.result() == {"a": [1, (2, None)]}


def test_a_plain_flow_run():
    run = through(FlowRun(name="brave-otter", flow_name="ingest"), Pending())

    assert fields_of(flow_run_back(run)) == fields_of(run)


def test_a_flow_run_with_everything():
    run = FlowRun(
        name="brave-otter",
        flow_name="ingest",
        flow_version="7",
        deployment_id=new_id(),
        parent_task_run_id=new_id(),
        idempotency_key="once",
        work_queue_name="queue",
        entrypoint="flows.py:ingest",
        parameters={"x": [1, {"a": None}]},
        parameters_pickle=b"pickled",
        tags=["a", "b"],
        context={"k": "v"},
        infrastructure_pid="host:1",
        auto_scheduled=True,
        created_by="someone",
        job_variables={"image": "x"},
        empirical_policy=FlowRunPolicy(
            retries=3, retry_delay=0.5, pause_keys=["1"], resuming=True
        ),
    )
    through(
        run, Pending(), Running(), Failed(message="no", data=factory().inline(ValueError("x")))
    )

    back = flow_run_back(run)

    mine, theirs = fields_of(run), fields_of(back)
    assert str(mine["state"][-1]) == str(theirs["state"][-1]) == "x"
    for fields in (mine, theirs):
        fields["state"] = fields["state"][:-1]
        fields["history"] = [state[:-1] for state in fields["history"]]
    assert theirs == mine


def test_an_update_changes_what_can_change():
    run = through(FlowRun(name="brave-otter", flow_name="ingest"), Pending())
    flow_run_back(run)
    run.name, run.parameters, run.tags = "renamed", {"x": 1}, ["new"]
    through(run, Running(), Completed(data=factory().inline(3)))

    store = get_store()
    store.commit([(sql.UPDATE_FLOW_RUN, encoding.flow_run_update_row(run))])

    assert fields_of(store.read_flow_run(run.id)) == fields_of(run)


def test_flows_and_logs():
    flow = Flow(name="ingest", tags=["a"])
    back = encoding.flow_from_row(encoding.flow_row(flow))
    assert (back.id, back.name, back.tags) == (flow.id, "ingest", ["a"])
    assert abs(back.created - flow.created) < timedelta(milliseconds=1)

    for flow_run_id in (None, new_id()):
        log = Log(
            name="penstock.flow_runs",
            level=30,
            message="tea: ☕",
            timestamp=NOW,
            flow_run_id=flow_run_id,
            task_run_id=new_id(),
        )
        assert encoding.log_from_row(encoding.log_row(log)) == log


# -- histories ------------------------------------------------------------------------------------

texts = some.text(max_size=30)
EARLY, LATE = (NOW.replace(tzinfo=None, year=year) for year in (1971, 2200))
moments = some.datetimes(EARLY, LATE, timezones=some.just(UTC))
details = some.builds(
    StateDetails,
    cache_key=some.none() | texts,
    scheduled_time=some.none() | moments,
    retriable=some.none() | some.booleans(),
    pause_key=some.none() | texts,
    pause_timeout=some.none() | moments,
    run_input_keyset=some.none() | some.dictionaries(texts, texts, max_size=2),
    transition_id=some.none() | some.uuids(),
    child_flow_run_id=some.none() | some.uuids(),
)
states = some.builds(
    State,
    type=some.sampled_from(StateType),
    name=texts.filter(bool),
    message=some.none() | texts,
    timestamp=moments,
    state_details=details,
)


@given(some.lists(states, max_size=6))
def test_any_history_comes_back(history):
    flow_run_id, task_run_id = new_id(), new_id()
    for state in history:
        state.state_details.flow_run_id = flow_run_id
        state.state_details.task_run_id = task_run_id

    back = encoding.decode_history(encoding.encode_history(history), flow_run_id, task_run_id)

    assert [state_fields(state) for state in back] == [state_fields(state) for state in history]


def test_a_plain_history_is_short():
    run = through(
        TaskRun(name="add-0", flow_run_id=new_id()), Pending(), Running(), Completed(data=None)
    )

    assert len(encoding.encode_history(run.history)) < 100


def test_a_subflow_run_s_states_name_the_task_run_that_stands_for_it():
    run = FlowRun(name="brave-otter", flow_name="ingest", parent_task_run_id=new_id())
    through(run, Pending(), Running())

    back = flow_run_back(run)

    assert back.state.state_details.task_run_id == run.parent_task_run_id
    assert back.state.state_details.flow_run_id == run.id


def test_a_record_of_a_newer_penstock_can_be_read():  # PAINS 10
    run = through(TaskRun(name="add-0", task_key="add"), Pending(), Completed())
    history = msgspec.msgpack.decode(encoding.encode_history(run.history))
    longer = msgspec.msgpack.encode([[*state, None, None, None, "new"] for state in history])

    back = encoding.decode_history(longer, None, run.id)

    assert [state.name for state in back] == ["Pending", "Completed"]


# -- times and ids --------------------------------------------------------------------------------


@given(moments)
def test_times_are_kept_to_the_microsecond(moment):
    seconds = encoding.epoch_of(moment)

    assert abs(clock.from_epoch(seconds) - moment) <= timedelta(microseconds=1)


def test_no_time():
    assert encoding.epoch_of(None) is None


@pytest.mark.parametrize("tags", [[], ["a"], ["b", "a", "ü"]])
def test_tags_are_kept_in_order(tags):
    run = through(TaskRun(name="add-0", task_key="add", tags=tags), Pending())

    assert task_run_back(run).tags == sorted(tags)
