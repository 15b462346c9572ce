"""What is deleted as it is old, what stays, and who does it when (PAINS 16)."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import pytest

from penstock import clock, flow, task, world
from penstock.ids import id_from_bytes, key_at, new_id
from penstock.records import FlowRun, Log, TaskRun
from penstock.results import ResultFactory
from penstock.rules import Facts, record
from penstock.settings import (
    PENSTOCK_LOCAL_STORAGE_PATH,
    PENSTOCK_RETENTION_LOGS_DAYS,
    PENSTOCK_RETENTION_RESULTS,
    PENSTOCK_RETENTION_RUNS_DAYS,
    reload_settings,
    temporary_settings,
)
from penstock.states import (
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
)
from penstock.store import Store, encoding, get_store, retention
from penstock.store import statements as sql
from penstock.store.ages import DAY_S, Limits
from penstock.store.checking import check_history
from penstock.store.lease import this_process
from penstock.store.pruning import Pruning

DEAD = "elsewhere//:1:1"


@pytest.fixture
def store(store_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    monkeypatch.delenv("PENSTOCK_RETENTION_RUNS_DAYS")
    monkeypatch.delenv("PENSTOCK_RETENTION_LOGS_DAYS")
    reload_settings()
    return get_store()


def old_id(days):
    """Make an id as it was made so many days ago."""
    then = key_at(clock.epoch() - days * DAY_S)
    return id_from_bytes(then[:6] + new_id().bytes[6:])


def through(run, days, states):
    then = clock.from_epoch(clock.epoch() - days * DAY_S)
    for state in states:
        state.timestamp = then
        record(run, state, Facts(now=then))
    return run


class Past:
    """Records runs of former days."""

    def __init__(self, store):
        self.store = store

    def run(self, days, *states, owner=None, parent=None, flow="ingest", tasks=1, result=None):
        states = states or (Pending(), Running(), Completed())
        run = FlowRun(
            id=old_id(days),
            flow_id=self.store.flow_id(flow),
            name=f"{days}-days",
            parent_task_run_id=None if parent is None else parent.id,
        )
        through(run, days, states)
        if result is not None:
            run.state.data = result
        row = encoding.flow_run_insert_row(run, owner, 1, None)
        self.store.write(sql.INSERT_FLOW_RUN, row)
        for index in range(tasks):
            self.task(days, run, index, result)
        self.log(days, run)
        self.store.write(
            "insert into flow_run_input (flow_run_id, key, value, created) values (?, ?, ?, ?)",
            (run.id.bytes, "answer", "42", 1.0),
        )
        return run

    def task(self, days, run, index=0, result=None, cache_key=None):
        owner = None if run is None else run.id
        task_run = TaskRun(
            id=old_id(days),
            flow_run_id=owner,
            name=f"load-{index}",
            task_key="load",
            dynamic_key=str(index),
            cache_key=cache_key,
        )
        through(task_run, days, [Pending(), Running(), Completed(data=result)])
        row = encoding.task_run_row(task_run)
        self.store.write(sql.WRITE_TASK_RUN, row)
        if cache_key is not None:
            self.store.write(sql.WRITE_CACHE_ENTRY, (cache_key, row[0], row[1], None))
        return task_run

    def log(self, days, run):
        log = Log(
            id=old_id(days),
            name="penstock",
            level=20,
            message="hello",
            timestamp=clock.now(),
            flow_run_id=None if run is None else run.id,
        )
        self.store.write(sql.INSERT_LOG, encoding.log_row(log))


@pytest.fixture
def past(store):
    return Past(store)


def prune(store, days=90, logs=None, **options):
    now = clock.epoch()
    limits = Limits(
        runs_before=None if days is None else now - days * DAY_S,
        logs_before=None if logs is None else now - logs * DAY_S,
        keep=options.pop("keep", 0),
        result_folder=options.pop("folder", None),
    )
    return Pruning(store, limits, **options).run()


def names(store):
    return sorted(row[0] for row in store.read("select name from flow_run"))


def count(store, table):
    return store.read(f"select count(*) from {table}")[0][0]


# -- what goes ------------------------------------------------------------------------------------


def test_what_is_old_goes_with_all_that_belongs_to_it(store, past):
    past.run(100, tasks=3)
    kept = past.run(80, tasks=2)

    assert prune(store) == {"flow runs": 1, "task runs": 3, "log records": 1}

    assert names(store) == ["80-days"]
    assert len(store.read_task_runs(kept.id)) == 2
    assert (count(store, "log"), count(store, "flow_run_input")) == (1, 1)
    assert check_history(store) == []


@pytest.mark.parametrize("state", [Completed, Failed, Crashed, Cancelled])
def test_a_run_that_is_over_goes_however_it_ended(store, past, state):
    past.run(100, Pending(), Running(), state())

    prune(store)

    assert names(store) == []


def test_a_run_that_is_not_over_stays(store, past):
    then = clock.now()
    past.run(101, Pending())
    past.run(102, Pending(), Running())
    past.run(103, Pending(), Running(), Paused())
    past.run(104, Scheduled(scheduled_time=then))
    past.run(105, owner=str(this_process()))

    assert prune(store) == {}
    assert len(names(store)) == 5


def test_a_run_that_began_long_ago_and_ended_lately_stays(store, past):
    run = past.run(100)
    ended = clock.epoch() - 10 * DAY_S
    store.write("update flow_run set state_timestamp = ? where id = ?", (ended, run.id.bytes))

    assert prune(store) == {}


def test_subflow_runs_go_with_the_run_that_called_them(store, past):
    run = past.run(100)
    (dummy,) = store.read_task_runs(run.id)
    child = past.run(100, parent=dummy)
    past.run(100, parent=store.read_task_runs(child.id)[0])

    assert prune(store)["flow runs"] == 3
    assert names(store) == []


def test_a_subflow_run_that_is_not_over_keeps_its_caller(store, past):
    run = past.run(100)
    (dummy,) = store.read_task_runs(run.id)
    past.run(100, Pending(), Running(), Paused(), parent=dummy)

    assert prune(store) == {}
    assert len(names(store)) == 2


def test_a_subflow_run_stays_as_long_as_its_caller(store, past):
    run = past.run(100, Pending(), Running(), Paused())
    (dummy,) = store.read_task_runs(run.id)
    past.run(100, parent=dummy)

    assert prune(store) == {}


def test_old_task_runs_outside_of_flows_go(store, past):
    past.task(100, None, cache_key="old")
    kept = past.task(80, None, cache_key="new")
    past.log(100, None)

    deleted = prune(store, logs=90)

    assert deleted == {"task runs": 1, "log records": 1}
    assert store.read_task_run(kept.id).name == "load-0"
    assert [row[0] for row in store.read("select key from cache_entry")] == ["new"]


def test_cache_entries_go_with_their_task_runs(store, past):
    run = past.run(100)
    past.task(100, run, 7, ResultFactory().inline(1), cache_key="key")
    assert store.cached_state("key", 0.0) is not None

    prune(store)

    assert count(store, "cache_entry") == 0


def test_cache_entries_that_are_of_no_use_go(store, past):
    kept = past.task(1, past.run(1), 5, cache_key="kept")
    owner, key = kept.flow_run_id.bytes, kept.id.bytes
    store.write(sql.WRITE_CACHE_ENTRY, ("expired", owner, key, clock.epoch() - 1))
    store.write(sql.WRITE_CACHE_ENTRY, ("nowhere", new_id().bytes, key, None))

    assert prune(store) == {"cache entries": 2}
    assert [row[0] for row in store.read("select key from cache_entry")] == ["kept"]


def test_old_logs_go_before_their_runs(store, past):
    past.run(50)
    past.run(40, Pending(), Running())
    past.run(10)

    assert prune(store, logs=30) == {"log records": 1}
    assert names(store) == ["10-days", "40-days", "50-days"]
    assert count(store, "log") == 2


def test_the_newest_runs_of_each_flow_can_be_kept(store, past):
    for days in (100, 110, 120, 130):
        past.run(days)
    past.run(140, flow="report")

    assert prune(store, keep=2)["flow runs"] == 2
    assert names(store) == ["100-days", "110-days", "140-days"]


def test_a_trial_counts_and_deletes_nothing(store, past):
    past.run(100, tasks=2)
    past.run(50)
    past.task(100, None)

    trial = prune(store, logs=30, is_trial=True)

    assert names(store) == ["100-days", "50-days"]
    assert trial == {"flow runs": 1, "task runs": 3, "log records": 2}
    assert prune(store, logs=30) == trial


def test_a_run_of_many_tasks_goes_a_part_at_a_time(store, past, monkeypatch):
    monkeypatch.setattr("penstock.store.pruning.ROWS_PER_TRANSACTION", 10)
    past.run(100, tasks=35)
    rests = []

    assert prune(store, rest=lambda: rests.append(1))["task runs"] == 35
    assert len(rests) >= 5


class Killed(BaseException):
    """Stands for the end of the process."""


def test_what_a_killed_process_leaves_is_found_by_the_next(store, past, monkeypatch):
    monkeypatch.setattr("penstock.store.pruning.ROWS_PER_TRANSACTION", 5)
    for kill_at in range(1, 12):
        past.run(100, tasks=12)
        steps = iter(range(1, 100))

        def rest(steps=steps, kill_at=kill_at):
            if next(steps) == kill_at:
                raise Killed

        try:
            prune(store, logs=90, rest=rest)
        except Killed:
            prune(store, logs=90)
        left = [count(store, name) for name in ("flow_run", "task_run", "log", "flow_run_input")]
        assert left == [0, 0, 0, 0]


# -- result files ---------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def persist(folder):
    def persist(value=1, key=None):
        from pathlib import Path

        factory = ResultFactory(persist=True, storage=Path(folder), storage_key=key)
        return factory.create(value, {})

    return persist


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_result_files_go_with_their_runs(store, past, folder, persist):
    old, kept = persist(1), persist(2)
    past.run(100, result=old)
    past.run(80, result=kept)

    assert prune(store, folder=folder)["result files"] == 1
    assert files(folder) == [kept.storage_key]


def test_a_result_file_that_is_still_named_stays(store, past, folder, persist):
    by_task, by_flow, alone = persist(1), persist(2), persist(3)
    first = past.run(100, result=by_task)
    past.task(100, first, 5, by_flow)
    past.task(100, None, 0, alone)
    past.task(80, past.run(80, tasks=0), 0, by_task)
    past.run(80, result=by_flow, tasks=0)
    past.task(80, None, 1, alone)

    assert "result files" not in prune(store, folder=folder)
    assert len(files(folder)) == 3
    assert prune(store, days=70, folder=folder)["result files"] == 3
    assert files(folder) == []


def test_a_file_that_a_user_named_stays(store, past, folder, persist):
    past.run(100, result=persist(1, key="report.pkl"))

    prune(store, folder=folder)

    assert files(folder) == ["report.pkl"]


def test_files_of_other_folders_stay(store, past, folder, persist, tmp_path):
    past.run(100, result=persist(1))

    prune(store, folder=tmp_path / "another")
    past.run(100, result=persist(2))
    prune(store, folder=None)

    assert len(files(folder)) == 2


# -- by whom, and when ----------------------------------------------------------------------------


def limits(days=90):
    return Limits(runs_before=clock.epoch() - days * DAY_S, logs_before=None)


def test_it_is_done_once_an_hour(store, past):
    with clock.use_clock(clock.VirtualClock(time.time())) as virtual:
        past.run(100)
        assert retention.tidy(store, limits()) == {
            "flow runs": 1,
            "task runs": 1,
            "log records": 1,
        }
        past.run(100)
        virtual.sleep(retention.INTERVAL_S - 1)
        assert retention.tidy(store, limits()) is None
        virtual.sleep(2)
        assert retention.tidy(store, limits()) is not None
        assert names(store) == []


def test_of_two_that_come_at_once_one_does_it(store, store_url, past):
    for _ in range(20):
        past.run(100)
    answers = []
    begin = threading.Barrier(4)

    def come():
        own = Store(store_url)
        begin.wait()
        answers.append(retention.tidy(own, limits()))
        own.close()

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    (done,) = [answer for answer in answers if answer is not None]
    assert done["flow runs"] == 20


@pytest.mark.parametrize(("owner", "takes_over"), [(DEAD, True), ("self", False)])
def test_what_another_process_began_is_gone_on_with_when_it_is_dead(store, owner, takes_over):
    owner = str(this_process()) if owner == "self" else owner
    expires = clock.epoch() + (60 if not takes_over else -1)
    store.write(
        "insert into chore (name, finished, owner, lease_expires) values (?, ?, ?, ?)",
        ("retention", 0.0, owner, expires),
    )

    assert (retention.tidy(store, limits()) is not None) == takes_over


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@flow
def small():
    return 1


def test_a_flow_that_is_called_has_what_is_old_deleted(store, past):
    past.run(100)
    retention.forget_looks()

    small()

    wait_for(lambda: "100-days" not in names(store))
    wait_for(lambda: store.read("select finished from chore")[0][0] > 0)
    assert len(names(store)) == 1


def test_nothing_is_deleted_where_nothing_is_to_be(store, past, monkeypatch):
    started = []
    monkeypatch.setattr("penstock.world.start_thread", lambda target, name: started.append(name))
    never = {PENSTOCK_RETENTION_RUNS_DAYS: 0, PENSTOCK_RETENTION_LOGS_DAYS: 0}
    retention.forget_looks()

    with temporary_settings(never):
        retention.look(store)
    assert started == []
    retention.forget_looks()  # of what was found a moment ago
    retention.look(store)
    retention.look(store)

    assert started == ["penstock-retention"]


def test_the_settings_say_what_is_old(tmp_path):
    days = {PENSTOCK_RETENTION_RUNS_DAYS: 2, PENSTOCK_RETENTION_LOGS_DAYS: 0}
    with temporary_settings(days | {PENSTOCK_LOCAL_STORAGE_PATH: tmp_path}):
        found = retention.limits_of()
        with temporary_settings({PENSTOCK_RETENTION_RESULTS: False}):
            assert retention.limits_of().result_folder is None

    assert found.runs_before == pytest.approx(clock.epoch() - 2 * DAY_S, abs=60)
    assert (found.logs_before, found.result_folder) == (None, tmp_path)


def test_short_processes_do_it_together(store, past, store_url):
    for _ in range(120):
        past.run(100, tasks=0)
    code = "from penstock import flow\n@flow\ndef f(): return 1\nf()"
    for _ in range(100):
        subprocess.run([sys.executable, "-c", code], check=True, env=os.environ, timeout=60)
        if not any(name == "100-days" for name in names(store)):
            break
    else:
        raise AssertionError(len(names(store)))


def test_a_second_look_asks_the_store_nothing_and_starts_nothing(store, monkeypatch):
    retention.forget_looks()
    retention.look(store)
    wait_for(lambda: store.read("select finished from chore where finished > 0"))
    asked = []
    for place, name in ((store, "read"), (store, "transact"), (world, "start_thread")):
        monkeypatch.setattr(place, name, lambda *_, _name=name: asked.append(_name))

    for _ in range(1000):
        retention.look(store)

    assert asked == []


def test_ordinary_runs_stay_in_order(store, past):
    @task(persist_result=True)
    def one():
        return 1

    @flow
    def main():
        return sum(one.submit().result() for _ in range(20))

    past.run(100, tasks=300)
    retention.forget_looks()

    assert main() == 20
    wait_for(lambda: "100-days" not in names(store))
    wait_for(lambda: store.read("select finished from chore")[0][0] > 0)
    assert check_history(store) == []
