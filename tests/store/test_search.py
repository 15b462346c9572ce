"""Searches on a real store: which records are found, in which order, and which page of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from penstock.ids import new_id
from penstock.records import FlowRun, Log, TaskRun
from penstock.results import LiteralResult
from penstock.states import State, StateDetails, StateType
from penstock.store import Store, search
from penstock.store import statements as sql
from penstock.store.encoding import flow_run_insert_row, log_row, task_run_row
from penstock.store.filters import (
    LARGEST_LIST,
    LARGEST_PAGE,
    DeploymentFilter,
    FlowFilter,
    FlowRunFilter,
    LogFilter,
    Search,
    TaskRunFilter,
)
from penstock.store.sorting import FlowRunSort, FlowSort, LogSort, TaskRunSort

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def at(hours):
    return NOON + timedelta(hours=hours)


class Records:
    """Writes records as the engine does, with what a test wants of them."""

    def __init__(self, store):
        self.store = store

    def flow_run(self, name, *, flow="sync", state="COMPLETED", state_name="", **fields):
        run = FlowRun(name=name, flow_id=self.store.flow_id(flow), flow_name=flow, **fields)
        self.enter(run, state, state_name)
        self.store.write(sql.INSERT_FLOW_RUN, flow_run_insert_row(run))
        return run

    def task_run(self, name, flow_run=None, *, state="COMPLETED", state_name="", **fields):
        run = TaskRun(
            name=name,
            flow_run_id=None if flow_run is None else flow_run.id,
            **({"task_key": "load", "dynamic_key": str(uuid4())} | fields),
        )
        self.enter(run, state, state_name)
        self.store.write(sql.WRITE_TASK_RUN, task_run_row(run))
        return run

    def enter(self, run, state, name):
        if state is not None:
            data = LiteralResult(True) if state == "COMPLETED" else None
            run.state = State(
                type=StateType(state), name=name, data=data, state_details=StateDetails()
            )
            run.history.append(run.state)

    def log(self, message, flow_run=None, task_run=None, *, level=20, timestamp=NOON):
        log = Log(
            name="penstock.flow_runs",
            level=level,
            message=message,
            timestamp=timestamp,
            flow_run_id=None if flow_run is None else flow_run.id,
            task_run_id=None if task_run is None else task_run.id,
        )
        self.store.write(sql.INSERT_LOG, log_row(log))
        return log


@pytest.fixture
def store(store_url):
    store = Store(store_url)
    yield store
    store.close()


@pytest.fixture
def records(store):
    return Records(store)


def names(found):
    return [record.name for record in found]


# -- conditions -----------------------------------------------------------------------------------

RUNS = {
    "early": {
        "start_time": at(-2),
        "end_time": at(-1),
        "expected_start_time": at(-2),
        "tags": ["a", "b"],
        "flow_version": "1",
    },
    "Late 100%": {
        "start_time": at(2),
        "expected_start_time": at(1),
        "state": "FAILED",
        "state_name": "TimedOut",
        "tags": ["b"],
        "flow_version": "2",
    },
    "waiting": {
        "expected_start_time": at(5),
        "next_scheduled_start_time": at(5),
        "state": "SCHEDULED",
        "state_name": "AwaitingRetry",
        "idempotency_key": "once",
    },
    "bare": {"state": None},
}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, ["early", "Late 100%", "waiting", "bare"]),
        ({"name": {"any_": ["early", "bare"]}}, ["early", "bare"]),
        ({"name": {"any_": []}}, []),
        ({"name": {"like_": "LATE"}}, ["Late 100%"]),
        ({"name": {"like_": "0%"}}, ["Late 100%"]),
        ({"name": {"like_": "%"}}, ["Late 100%"]),
        ({"name": {"like_": "_"}}, []),
        ({"tags": {"all_": ["b"]}}, ["early", "Late 100%"]),
        ({"tags": {"all_": ["b", "a"]}}, ["early"]),
        ({"tags": {"all_": ["a", "c"]}}, []),
        ({"tags": {"all_": []}}, ["early", "Late 100%", "waiting", "bare"]),
        ({"tags": {"is_null_": True}}, ["waiting", "bare"]),
        ({"tags": {"is_null_": False}}, ["early", "Late 100%"]),
        ({"state": {"type": {"any_": ["FAILED", "SCHEDULED"]}}}, ["Late 100%", "waiting"]),
        ({"state": {"type": {"not_any_": ["FAILED"]}}}, ["early", "waiting"]),
        ({"state": {"name": {"any_": ["TimedOut"]}}}, ["Late 100%"]),
        ({"state": {"name": {"not_any_": ["TimedOut"]}}}, ["early", "waiting"]),
        (
            {
                "state": {
                    "operator": "or_",
                    "type": {"any_": ["COMPLETED"]},
                    "name": {"any_": ["TimedOut"]},
                }
            },
            ["early", "Late 100%"],
        ),
        ({"flow_version": {"any_": ["2"]}}, ["Late 100%"]),
        ({"idempotency_key": {"any_": ["once"]}}, ["waiting"]),
        ({"start_time": {"before_": at(-2)}}, ["early"]),
        ({"start_time": {"after_": at(-2)}}, ["early", "Late 100%"]),
        ({"start_time": {"after_": at(-1), "before_": at(3)}}, ["Late 100%"]),
        ({"start_time": {"is_null_": True}}, ["waiting", "bare"]),
        ({"start_time": {"is_null_": False}}, ["early", "Late 100%"]),
        ({"end_time": {"is_null_": False}}, ["early"]),
        ({"expected_start_time": {"after_": at(1)}}, ["Late 100%", "waiting"]),
        ({"next_scheduled_start_time": {"before_": at(6)}}, ["waiting"]),
        ({"deployment_id": {"is_null_": True}}, ["early", "Late 100%", "waiting", "bare"]),
        ({"parent_task_run_id": {"is_null_": False}}, []),
        ({"result": {"exists_": True}}, ["early"]),
        ({"result": {"exists_": False}}, ["Late 100%", "waiting", "bare"]),
        ({"result": {}}, ["early", "Late 100%", "waiting", "bare"]),
        ({"name": {"like_": "a"}, "flow_version": {"any_": ["1"]}}, ["early"]),
        (
            {
                "operator": "or_",
                "name": {"any_": ["bare"]},
                "flow_version": {"any_": ["1"]},
            },
            ["early", "bare"],
        ),
        ({"operator": "or_"}, ["early", "Late 100%", "waiting", "bare"]),
    ],
)
def test_a_filter_finds_the_flow_runs_it_describes(store, records, wanted, expected):
    for name, fields in RUNS.items():
        records.flow_run(name, **fields)

    found = search.find_flow_runs(
        store, Search(flow_run=FlowRunFilter(**wanted), sort=FlowRunSort.ID_ASC)
    )

    assert names(found) == expected
    assert search.count_flow_runs(store, Search(flow_run=FlowRunFilter(**wanted))) == len(expected)


def test_ids_can_be_asked_for_and_left_out(store, records):
    one, other = records.flow_run("one"), records.flow_run("other")

    def found(**wanted):
        return names(search.find_flow_runs(store, Search(flow_run=FlowRunFilter(**wanted))))

    assert found(id={"any_": [one.id]}) == ["one"]
    assert found(id={"any_": [str(other.id), new_id()]}) == ["other"]
    assert found(id={"not_any_": [one.id]}) == ["other"]
    assert found(id={"any_": [one.id, other.id], "not_any_": [one.id]}) == ["other"]


def test_what_is_found_is_the_whole_record(store, records):
    made = records.flow_run("one", parameters={"day": 1}, tags=["a"], start_time=NOON)

    (found,) = search.find_flow_runs(store, Search())

    assert found.id == made.id
    assert (found.flow_name, found.parameters, found.tags) == ("sync", {"day": 1}, ["a"])
    assert found.start_time == NOON
    assert found.state.result() is True


# -- from one kind of record to another -----------------------------------------------------------


def test_flow_runs_are_found_by_their_flow_and_their_task_runs(store, records):
    good = records.flow_run("good", flow="nightly")
    bad = records.flow_run("bad", flow="nightly")
    records.flow_run("other", flow="hourly")
    records.task_run("load", good)
    records.task_run("load", bad)
    records.task_run("join", bad, state="FAILED")

    def found(**wanted):
        return names(search.find_flow_runs(store, Search(sort="ID_ASC", **wanted)))

    assert found(flow=FlowFilter(name={"any_": ["nightly"]})) == ["good", "bad"]
    assert found(task_run=TaskRunFilter(name={"any_": ["load"]})) == ["good", "bad"]
    failed = TaskRunFilter(state={"type": {"any_": ["FAILED"]}})
    assert found(task_run=failed) == ["bad"]
    assert found(task_run=failed, flow=FlowFilter(name={"any_": ["hourly"]})) == []


def test_task_runs_are_found_by_their_flow_runs_and_flows(store, records):
    good = records.flow_run("good", flow="nightly")
    bad = records.flow_run("bad", flow="hourly", state="FAILED")
    records.task_run("load-0", good)
    records.task_run("load-1", bad)
    records.task_run("alone")

    def found(**wanted):
        return names(search.find_task_runs(store, Search(sort="ID_ASC", **wanted)))

    assert found() == ["load-0", "load-1", "alone"]
    assert found(flow_run=FlowRunFilter(state={"type": {"any_": ["FAILED"]}})) == ["load-1"]
    assert found(flow=FlowFilter(name={"any_": ["nightly"]})) == ["load-0"]
    assert found(task_run=TaskRunFilter(flow_run_id={"any_": [good.id]})) == ["load-0"]
    assert found(task_run=TaskRunFilter(flow_run_id={"is_null_": True})) == ["alone"]
    assert found(task_run=TaskRunFilter(flow_run_id={"is_null_": False})) == ["load-0", "load-1"]
    both = Search(
        flow=FlowFilter(name={"any_": ["nightly"]}),
        flow_run=FlowRunFilter(name={"any_": ["bad"]}),
    )
    assert search.count_task_runs(store, both) == 0


def test_task_runs_are_found_by_their_ids_wherever_they_belong(store, records):
    older, newer = records.flow_run("older"), records.flow_run("newer")
    one = records.task_run("one", older)
    other = records.task_run("other", newer)
    alone = records.task_run("alone")
    ids = {"any_": [one.id, other.id, alone.id, new_id()]}

    def found(**wanted):
        wanted = TaskRunFilter(**wanted)
        return names(search.find_task_runs(store, Search(sort="ID_ASC", task_run=wanted)))

    assert found(id=ids) == ["one", "other", "alone"]
    assert found(id=ids, name={"any_": ["other"]}) == ["other"]
    assert found(id=ids, name={"any_": ["x"]}, operator="or_") == ["one", "other", "alone"]
    assert found(id={"any_": [new_id()]}) == []
    many = [new_id() for _ in range(search.LOOKED_UP_LIMIT)]
    assert found(id={"any_": [*many, one.id]}) == ["one"]


def test_flows_are_found_by_their_runs(store, records):
    failed = records.flow_run("bad", flow="nightly", state="FAILED")
    records.task_run("join", failed)
    records.flow_run("good", flow="hourly")

    def found(**wanted):
        return names(search.find_flows(store, Search(**wanted)))

    assert found() == ["hourly", "nightly"]
    assert found(flow=FlowFilter(name={"like_": "NIGHT"})) == ["nightly"]
    assert found(flow=FlowFilter(tags={"is_null_": True})) == ["hourly", "nightly"]
    assert found(flow_run=FlowRunFilter(state={"type": {"any_": ["FAILED"]}})) == ["nightly"]
    assert found(task_run=TaskRunFilter(name={"any_": ["join"]})) == ["nightly"]
    assert found(task_run=TaskRunFilter(name={"any_": ["other"]})) == []
    assert search.count_flows(store, Search()) == 2


def test_subflow_runs_are_found_by_their_parents(store, records):
    parent = records.flow_run("parent")
    stand_in = records.task_run("child-0", parent)
    records.task_run("load-0", parent)
    records.flow_run("child", parent_task_run_id=stand_in.id)

    def found(**wanted):
        return names(search.find_flow_runs(store, Search(flow_run=FlowRunFilter(**wanted))))

    assert found(parent_flow_run_id={"any_": [parent.id]}) == ["child"]
    assert found(parent_task_run_id={"any_": [stand_in.id]}) == ["child"]
    assert found(parent_task_run_id={"is_null_": True}) == ["parent"]
    with_child = TaskRunFilter(subflow_runs={"exists_": True})
    assert names(search.find_task_runs(store, Search(task_run=with_child))) == ["child-0"]
    without = TaskRunFilter(subflow_runs={"exists_": False})
    assert names(search.find_task_runs(store, Search(task_run=without))) == ["load-0"]


def test_flow_runs_are_found_by_their_deployment(store, records):
    deployment_id = new_id()
    run = records.flow_run("deployed", deployment_id=deployment_id)
    records.flow_run("by hand")
    records.task_run("load", run)
    wanted = DeploymentFilter(id={"any_": [deployment_id]})

    assert names(search.find_flow_runs(store, Search(deployment=wanted))) == ["deployed"]
    assert names(search.find_task_runs(store, Search(deployment=wanted))) == ["load"]
    assert search.count_flow_runs(store, Search(deployment=DeploymentFilter())) == 2
    of_none = FlowRunFilter(deployment_id={"is_null_": True})
    assert names(search.find_flow_runs(store, Search(flow_run=of_none))) == ["by hand"]


def test_task_runs_are_found_by_task_and_cache_key(store, records):
    run = records.flow_run("run")
    records.task_run("load-0", run, task_key="load", cache_key="k1")
    records.task_run("join-0", run, task_key="join", tags=["slow"])

    def found(**wanted):
        return names(search.find_task_runs(store, Search(task_run=TaskRunFilter(**wanted))))

    assert found(task_key={"any_": ["join"]}) == ["join-0"]
    assert found(cache_key={"any_": ["k1"]}) == ["load-0"]
    assert found(tags={"all_": ["slow"]}) == ["join-0"]


# -- logs -----------------------------------------------------------------------------------------


def test_logs_are_found_by_level_time_and_run(store, records):
    run = records.flow_run("run")
    task_run = records.task_run("load", run)
    records.log("begin", run, level=20, timestamp=at(0))
    records.log("loading", run, task_run, level=10, timestamp=at(1))
    records.log("no space left on disk", run, task_run, level=40, timestamp=at(2))
    records.log("elsewhere", timestamp=at(3))

    def found(**wanted):
        return [log.message for log in search.find_logs(store, Search(log=LogFilter(**wanted)))]

    assert found() == ["begin", "loading", "no space left on disk", "elsewhere"]
    assert found(level={"ge_": 20, "le_": 30}) == ["begin", "elsewhere"]
    assert found(timestamp={"after_": at(1), "before_": at(2)}) == found(
        task_run_id={"any_": [task_run.id]}
    )
    assert found(flow_run_id={"any_": [run.id]}, task_run_id={"is_null_": True}) == ["begin"]
    assert found(flow_run_id={"is_null_": True}) == ["elsewhere"]
    assert found(message={"like_": "Disk"}) == ["no space left on disk"]


def test_logs_come_in_the_order_of_their_times_or_of_their_making(store, records):
    records.log("second", timestamp=at(2))
    records.log("first", timestamp=at(1))

    def found(sort):
        return [log.message for log in search.find_logs(store, Search(sort=sort))]

    assert found(None) == found(LogSort.TIMESTAMP_ASC) == ["first", "second"]
    assert found(LogSort.TIMESTAMP_DESC) == ["second", "first"]
    assert found(LogSort.ID_ASC) == ["second", "first"]


# -- orders and pages -----------------------------------------------------------------------------

BY_TIME = {
    "b": {"start_time": at(2), "expected_start_time": at(1), "end_time": at(4)},
    "a": {"start_time": None, "expected_start_time": at(3), "next_scheduled_start_time": at(3)},
    "c": {"start_time": at(1), "expected_start_time": at(2), "end_time": at(5)},
}


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, "cab"),
        ("ID_ASC", "bac"),
        ("ID_DESC", "cab"),
        ("NAME_ASC", "abc"),
        ("NAME_DESC", "cba"),
        ("START_TIME_ASC", "cba"),
        ("START_TIME_DESC", "abc"),
        ("EXPECTED_START_TIME_ASC", "bca"),
        ("EXPECTED_START_TIME_DESC", "acb"),
        ("NEXT_SCHEDULED_START_TIME_ASC", "abc"),
        ("END_TIME_ASC", "bca"),
        ("END_TIME_DESC", "cba"),
    ],
)
def test_runs_come_in_every_order(store, records, sort, expected):
    flow_run = None
    for name, fields in BY_TIME.items():
        flow_run = records.flow_run(name, **fields)
    for name, fields in BY_TIME.items():
        records.task_run(name, flow_run, **fields)

    assert "".join(names(search.find_flow_runs(store, Search(sort=sort)))) == expected
    assert "".join(names(search.find_task_runs(store, Search(sort=sort)))) == expected


@pytest.mark.parametrize("sort", [*FlowSort, None])
def test_flows_come_in_every_order(store, sort):
    for name in "bac":
        store.flow_id(name)

    found = "".join(names(search.find_flows(store, Search(sort=sort))))

    by_name = {"NAME_ASC": "abc", None: "abc", "NAME_DESC": "cba", "ID_ASC": "bac"}
    assert found == by_name.get(sort, "cab")


@pytest.mark.parametrize("sort", [*FlowRunSort])
def test_pages_put_together_are_the_whole(store, records, sort):
    for _ in range(7):
        records.flow_run("same", start_time=NOON)

    whole = search.find_flow_runs(store, Search(sort=sort))
    pages = [
        run.id
        for offset in range(0, 9, 3)
        for run in search.find_flow_runs(store, Search(sort=sort, limit=3, offset=offset))
    ]

    assert pages == [run.id for run in whole]
    assert len(set(pages)) == 7


@pytest.mark.parametrize("sort", [TaskRunSort.ID_ASC, TaskRunSort.ID_DESC])
def test_a_page_goes_on_after_the_last_id_of_the_page_before(store, records, sort):
    run = records.flow_run("run")
    made = [records.task_run(f"load-{index}", run).id for index in range(5)]
    if sort is TaskRunSort.ID_DESC:
        made.reverse()

    first = search.find_task_runs(store, Search(sort=sort, limit=3))
    rest = search.find_task_runs(store, Search(sort=sort, limit=3, after=first[-1].id))

    assert [run.id for run in [*first, *rest]] == made


def test_going_on_after_an_id_needs_an_order_by_id(store):
    with pytest.raises(ValueError, match=r"NAME_ASC.*offset"):
        search.find_flow_runs(store, Search(sort="NAME_ASC", after=new_id()))


def test_a_limit_of_nothing_gives_nothing(store, records):
    records.flow_run("run")

    assert search.find_flow_runs(store, Search(limit=0)) == []


# -- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"limit": -1}, "limit=-1"),
        ({"limit": LARGEST_PAGE + 1}, r"limit=10001.*after="),
        ({"offset": -1}, "offset=-1"),
    ],
)
def test_pages_have_bounds(fields, words):
    with pytest.raises(ValueError, match=words):
        Search(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"id": {"any_": ["not-an-id"]}}, r"FlowRunFilter\.id.*Invalid UUID"),
        ({"id": {"any": [new_id()]}}, "unknown field `any`"),
        ({"name": {"any_": "one"}}, "Expected `array"),
        ({"state": {"type": {"any_": ["DONE"]}}}, "Invalid enum value 'DONE'"),
        ({"start_time": {"after_": "yesterday"}}, "Invalid RFC3339"),
        ({"operator": "xor"}, "Invalid enum value 'xor'"),
        (
            {"name": {"any_": ["x"] * (LARGEST_LIST + 1)}},
            f"{LARGEST_LIST + 1} values; {LARGEST_LIST}",
        ),
    ],
)
def test_a_filter_says_what_it_cannot_be_given(fields, words):
    with pytest.raises(ValueError, match=words):
        FlowRunFilter(**fields)


def test_a_filter_has_no_other_fields():
    with pytest.raises(TypeError, match="colour"):
        FlowRunFilter(colour={"any_": ["red"]})


def test_times_without_a_zone_are_in_utc():
    wanted = FlowRunFilter(start_time={"after_": datetime(2024, 5, 1, 12)})  # noqa: DTZ001

    assert wanted.start_time.after_ == NOON


# -- cost -----------------------------------------------------------------------------------------


# PAINS 15
ON_SQLITE = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


def plan_of(store, monkeypatch, read):
    """Give how SQLite goes about the reads that `read` makes."""
    plans = []
    real = store.read

    def explained(statement, values=()):
        plans.extend(row[3] for row in real(f"explain query plan {statement}", values))
        return real(statement, values)

    monkeypatch.setattr(store, "read", explained)
    read()
    return plans


@ON_SQLITE
@pytest.mark.parametrize(
    "wanted",
    [
        {"task_run": {"flow_run_id": {"any_": [str(new_id())]}}},
        {"flow_run": {"id": {"any_": [str(new_id())]}}},
        {"task_run": {"id": {"any_": [str(new_id())]}}},
    ],
)
def test_task_runs_of_known_runs_are_found_without_looking_at_all(store, monkeypatch, wanted):
    kinds = {"task_run": TaskRunFilter, "flow_run": FlowRunFilter}
    fields = {name: kinds[name](**value) for name, value in wanted.items()}

    plans = plan_of(
        store, monkeypatch, lambda: search.find_task_runs(store, Search(sort="ID_DESC", **fields))
    )

    assert plans
    assert [plan for plan in plans if plan.startswith("SCAN t")] == []


@ON_SQLITE
def test_the_newest_flow_runs_are_found_without_sorting_all(store, monkeypatch):
    wanted = Search(flow_run=FlowRunFilter(state={"type": {"any_": ["FAILED"]}}))

    plans = plan_of(store, monkeypatch, lambda: search.find_flow_runs(store, wanted))

    assert [plan for plan in plans if "TEMP B-TREE" in plan] == []
