"""What a check of a store finds: nothing after ordinary runs, and each defect that is planted."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing

import pytest

from penstock import clock, flow, task
from penstock.ids import new_id
from penstock.records import FlowRun, TaskRun, TaskRunResult
from penstock.results import ResultFactory
from penstock.rules import Facts, record
from penstock.settings import reload_settings
from penstock.states import Completed, Crashed, Failed, Paused, Pending, Running
from penstock.store import Store, encoding, get_store
from penstock.store import statements as sql
from penstock.store.checking import check_history
from penstock.store.lease import this_process

DEAD = "elsewhere//:1:1"


@pytest.fixture
def store(store_url, monkeypatch):
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return get_store()


def through(run, *states):
    """Bring a run through states, as the rules note them."""
    for state in states:
        record(run, state, Facts(now=clock.now()))
    return run


def completed():
    return Completed(data=ResultFactory().inline(1))


@pytest.fixture
def add(store):
    """Record a flow run that went through states, and give it."""

    def add(*states, owner=None, fence=1, expires=None, parent=None):
        run = FlowRun(flow_id=store.flow_id("ingest"), name="red", parent_task_run_id=parent)
        through(run, *states)
        row = encoding.flow_run_insert_row(run, owner, fence, expires)
        store.write(sql.INSERT_FLOW_RUN, row)
        return run

    return add


@pytest.fixture
def add_task(store):
    """Record a task run that went through states, and give it."""

    def add_task(flow_run, *states, key="load", index="0", fingerprint=b"same"):
        run = TaskRun(
            flow_run_id=flow_run.id,
            name=f"{key}-{index}",
            task_key=key,
            dynamic_key=index,
            fingerprint=fingerprint,
        )
        through(run, *states)
        store.write(sql.WRITE_TASK_RUN, encoding.task_run_row(run))
        return run

    return add_task


def kinds(store, **options):
    return sorted(found.kind for found in check_history(store, **options))


def only(store, **options):
    """Give the one finding there is."""
    (found,) = check_history(store, **options)
    return found


def done(add):
    return add(Pending(), Running(), completed())


# -- nothing is wrong -----------------------------------------------------------------------------


def test_an_empty_store_is_in_order(store):
    assert check_history(store) == []


def test_ordinary_runs_are_in_order(store, tmp_path):
    attempts = iter(range(100))

    @task(retries=2)
    def shaky():
        if next(attempts) < 2:
            raise OSError
        return 1

    @task(persist_result=True, cache_key_fn=lambda _context, _parameters: "key")
    def cached():
        return 2

    @task
    def broken():
        raise ValueError

    @flow
    def inner(number):
        return cached() + number

    @flow(retries=1)
    def outer():
        futures = [shaky.submit(), cached.submit()]
        return inner(sum(future.result() for future in futures))

    @flow
    def failing():
        broken()

    assert outer() == outer() == 5
    assert failing(return_state=True).is_failed()
    cached()

    assert check_history(store) == []


def test_a_run_that_is_executed_now_is_in_order(store, add, add_task):
    run = add(Pending(), Running(), owner=str(this_process()), expires=clock.epoch() - 1000)
    add_task(run, Pending(), Running())

    assert check_history(store) == []


def test_more_runs_than_a_page_holds(store, add, add_task, monkeypatch):
    monkeypatch.setattr("penstock.store.checking_runs.PAGE_ROWS", 3)
    runs = [done(add) for _ in range(10)]
    for run in runs:
        for index in range(random.Random(run.id.int).randrange(5)):
            add_task(run, Pending(), Running(), completed(), index=str(index))
    assert check_history(store) == []

    last = add_task(runs[-1], Pending(), Running(), index="9")

    assert only(store).id == str(last.id)


# -- histories ------------------------------------------------------------------------------------


def test_a_move_that_no_rule_permits(store, add):
    run = add(Pending(), Running(), Completed(), Crashed(), Crashed())
    through(run, Running())  # not recorded
    moved = add(Pending(), Running(), Failed(), Crashed(), Pending())

    found = check_history(store)

    assert {each.kind for each in found} == {"illegal-move"}
    assert {each.id for each in found} == {str(run.id), str(moved.id)}
    assert found[0].subject == "flow run"
    assert "t went from Completed to Crashed" in found[0].what
    assert "by force" in found[0].hint


def test_a_history_that_is_not_in_order_of_time(store, add, add_task):
    run = add_task(done(add), Pending(), Running(), completed())
    run.history[1].timestamp, run.history[2].timestamp = (
        run.history[2].timestamp,
        run.history[1].timestamp,
    )
    store.write(sql.WRITE_TASK_RUN, encoding.task_run_row(run))

    found = only(store)

    assert (found.kind, found.subject) == ("inconsistent", "task run")
    assert "ompleted is older than Running before it" in found.what


def test_books_that_do_not_agree_with_the_history(store, add):
    run = done(add)
    store.write("update flow_run set run_time_s = 500 where id = ?", (run.id.bytes,))

    found = only(store)

    assert found.kind == "inconsistent"
    assert "ts run time is 500" in found.what
    assert str(run.id) in found.hint


def test_a_task_run_that_ran_again_after_it_had_completed(store, add, add_task):
    run = done(add)
    task_run = add_task(run, Pending(), Running(), completed())
    task_run.run_count = 0
    through(task_run, Running(), completed())
    store.write(sql.WRITE_TASK_RUN, encoding.task_run_row(task_run))

    found = only(store)

    assert (found.kind, found.id) == ("executed-again", str(task_run.id))
    assert str(run.id) in found.hint


def test_a_task_run_without_a_recorded_result_may_run_again(store, add, add_task):
    task_run = add_task(done(add), Pending(), Running(), Completed())
    task_run.run_count = 0
    through(task_run, Running(), Completed())
    store.write(sql.WRITE_TASK_RUN, encoding.task_run_row(task_run))

    assert check_history(store) == []


def test_a_call_that_was_executed_twice(store, add, add_task):
    run = done(add)
    first = add_task(run, Pending(), Running(), completed())
    again = add_task(run, Pending(), Running(), completed())
    add_task(run, Pending(), Running(), completed(), fingerprint=b"other")
    add_task(run, Pending(), Running(), completed(), index="1")

    found = only(store)

    assert (found.kind, found.id) == ("executed-again", str(again.id))
    assert str(first.id) in found.what


def test_a_call_that_was_executed_again_for_new_inputs(store, add, add_task):
    run = done(add)
    above = add_task(run, Pending(), Running(), completed(), key="above")
    first = add_task(run, Pending(), Running(), completed())
    through(above, Failed())
    above.run_count = 0
    through(above, Running(), completed())
    above.history = above.history[-2:]
    again = add_task(run, Pending(), Running(), completed())
    for each in (first, again):
        each.task_inputs = {"value": [TaskRunResult(id=above.id)]}
        store.write(sql.WRITE_TASK_RUN, encoding.task_run_row(each))
    assert [each.kind for each in check_history(store)] == ["executed-again"]

    store.write(sql.WRITE_TASK_RUN, encoding.task_run_row(above))

    assert "executed-again" not in kinds(store)


def test_a_run_whose_inputs_were_not_ready_is_in_order(store, add):
    add(Pending(), Pending(name="NotReady"))

    assert check_history(store) == []


# -- owners ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", [Pending, Running])
def test_a_run_whose_owner_is_dead_is_stuck(store, add, state):
    states = [Pending(), Running()] if state is Running else [Pending()]
    run = add(*states, owner=DEAD, expires=clock.epoch() - 100)

    found = only(store)

    assert (found.kind, found.id) == ("stuck", str(run.id))
    assert DEAD in found.what
    assert found.hint == f"Go on with it: `penstock flow-run resume {run.id}`."


def test_a_run_whose_lease_is_just_over_is_left_to_recovery(store, add):
    add(Pending(), Running(), owner=DEAD, expires=clock.epoch() - 10)

    assert kinds(store) == []
    assert kinds(store, grace_s=0) == ["stuck"]


def test_a_running_run_without_an_owner_is_stuck(store, add):
    add(Pending(), Running())

    assert kinds(store) == []
    assert kinds(store, grace_s=0) == ["stuck"]


def test_a_run_that_is_over_has_no_owner(store, add):
    add(Pending(), Running(), Completed(), owner=DEAD, expires=clock.epoch() - 100)

    assert kinds(store) == ["owned-after-end"]


def test_an_owner_without_a_token(store, add):
    add(Pending(), Running(), owner=DEAD, fence=0, expires=clock.epoch() + 100)

    assert kinds(store) == ["owned-without-token"]


# -- what belongs together ------------------------------------------------------------------------


def test_an_unfinished_task_run_of_a_finished_flow_run(store, add, add_task):
    run = done(add)
    left = add_task(run, Pending(), Running())
    add_task(run, Pending(name="NotReady"), index="1")
    add_task(run, Pending(), Running(), Paused(), index="2")  # what the task gave back

    found = only(store)

    assert (found.kind, found.id, found.severity) == ("unfinished-task", str(left.id), "error")
    assert "It is Running, and its flow run 'red' is Completed." in found.what


def test_a_crash_leaves_task_runs_unfinished(store, add, add_task):
    add_task(add(Pending(), Running(), Crashed()), Pending(), Running())

    assert only(store).severity == "warning"


def test_what_belongs_to_no_flow_run(store, add, add_task):
    run = done(add)
    add_task(run, Pending(), Running(), completed())
    key = run.id.bytes
    store.write(sql.INSERT_LOG, (key, new_id().bytes, None, "penstock", 20, "hello", 1.0))
    store.write(
        "insert into flow_run_input (flow_run_id, key, value, created) values (?, ?, ?, ?)",
        (key, "answer", "42", 1.0),
    )
    store.write(sql.DELETE_FLOW_RUN, (key,))

    found = check_history(store)

    assert [each.subject for each in found] == ["task run", "log records", "inputs"]
    assert {each.kind for each in found} == {"without-flow-run"}
    assert {each.severity for each in found} == {"warning"}
    assert "penstock db prune" in found[0].hint


def test_a_subflow_run_without_its_caller(store, add):
    run = add(Pending(), Running(), completed(), parent=new_id())

    assert (only(store).kind, only(store).id) == ("without-parent", str(run.id))


def test_a_cache_entry_that_leads_nowhere(store):
    store.write(sql.WRITE_CACHE_ENTRY, ("key", new_id().bytes, new_id().bytes, None))

    assert (only(store).kind, only(store).name) == ("without-task-run", "key")


def test_a_flow_run_without_its_flow(store, add):
    run = done(add)
    store.write(sql.DELETE_FLOW, (run.flow_id.bytes,))

    assert "without-flow" in kinds(store)


# -- limits ---------------------------------------------------------------------------------------


@pytest.fixture
def limit(store):
    key = new_id().bytes
    store.write(
        "insert into concurrency_limit (id, name, slots, active, slot_decay_per_second,"
        " decaying_slots, decaying_since, created, updated) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (key, "database", 2, 1, 0.0, 0.0, 0.0, 1.0, 1.0),
    )

    def take(slots, owner=None, taken=1.0, of=key):
        store.write(
            "insert into concurrency_slot (limit_id, id, holder, owner, lease_expires, slots,"
            " taken) values (?, ?, ?, ?, ?, ?, ?)",
            (of, new_id().bytes, "task run load-0", owner or this_process(), 9e9, slots, taken),
        )

    return take


def test_a_limit_within_its_slots(store, limit):
    limit(1)
    limit(1)
    limit(1, taken=None)  # it waits

    assert check_history(store) == []


def test_a_limit_over_its_slots(store, limit):
    limit(2)
    limit(1)

    found = only(store)

    assert (found.kind, found.name) == ("over-limit", "database")
    assert "3 slots of it are taken, and it has 2." in found.what


def test_a_slot_of_a_dead_process(store, limit):
    limit(1, owner=DEAD)
    store.write("update concurrency_slot set lease_expires = 1.0")

    assert kinds(store) == ["leaked-slot"]


def test_a_slot_of_no_limit(store, limit):
    limit(1, of=new_id().bytes)

    assert kinds(store) == ["without-limit"]


# -- what cannot be read --------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["flow_run", "task_run"])
def test_a_record_that_cannot_be_decoded(store, add, add_task, table):
    run = add_task(done(add), Pending(), Running(), completed())
    store.write(f"update {table} set history = ?", (b"\xc1nonsense",))

    found = only(store)

    assert (found.kind, found.severity) == ("unreadable", "error")
    assert found.subject == table.replace("_", " ")
    assert found.id in (str(run.id), str(run.flow_run_id))


def test_a_result_that_is_corrupt(store, add, add_task):
    add_task(done(add), Pending(), Running(), completed())
    values = ("reference", b"{")
    store.write("update task_run set result_type = ?, result_data = ?", values)

    assert kinds(store) == ["unreadable"]


def test_no_more_findings_than_asked_for(store, add):
    for _ in range(5):
        add(Pending(), Running(), owner=DEAD, expires=1.0)

    assert len(check_history(store, limit=3)) == 3


def test_a_damaged_file(tmp_path):
    path = tmp_path / "store.db"
    with closing(Store(f"sqlite:///{path}")) as store:
        run = FlowRun(flow_id=store.flow_id("ingest"), name="red", parent_task_run_id=None)
        through(run, Pending(), Running(), completed())
        store.write(sql.INSERT_FLOW_RUN, encoding.flow_run_insert_row(run, None, 1, None))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        # The index says that the run has an owner; the row does not.
        connection.execute("pragma writable_schema = on")
        connection.execute(
            "update sqlite_master set sql = replace(sql, 'beats > 0', 'beats = 0')"
            " where name = 'flow_run_by_owner'"
        )
    with closing(Store(f"sqlite:///{path}")) as store:
        found = check_history(store)

    assert {each.kind for each in found} == {"damaged"}
    assert found[0].title.startswith("store ")
