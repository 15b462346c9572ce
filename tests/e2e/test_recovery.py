"""Processes that die or are stopped, and those that see to what they have left (DESIGN 5).

PAINS 3: runs of dead processes are found. PAINS 4: what is over stays over. PAINS 24: no step is
done twice.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from uuid import UUID

import pytest

from penstock import clock
from penstock.records import FlowRun
from penstock.rules import Facts, record, validate
from penstock.states import Pending, Running
from penstock.store import Store
from penstock.store import statements as sql
from penstock.store.encoding import flow_run_insert_row
from penstock.store.lease import this_process

END_TIMEOUT_S = 30
FAST = {
    "PENSTOCK_LEASE_TTL_S": "0.6",
    "PENSTOCK_HEARTBEAT_INTERVAL_S": "0.15",
    "PENSTOCK_API_SERVICES_RECOVERY_LOOP_SECONDS": "0.2",
}


class Runs:
    """The store of the programs, as this process sees it."""

    def __init__(self, url):
        self.store = Store(url)

    def read(self, statement, *values):
        return self.store.read(statement, values)

    def until(self, statement, *values):
        """Wait until there are rows; give them."""
        until = time.monotonic() + END_TIMEOUT_S
        while time.monotonic() < until:
            rows = self.read(statement, *values)
            if rows:
                return rows
            time.sleep(0.01)
        raise AssertionError(f"never: {statement} {values}; {self.roots()}")

    def roots(self):
        return self.read("select name, state_name, owner from flow_run")

    def wait_for(self, state):
        """Wait until the root run is in a state; give its id."""
        rows = self.until(
            "select id from flow_run where parent_task_run_id is null and state_name = ?", state
        )
        return UUID(bytes=bytes(rows[0][0]))

    def completed(self):
        """Name the tasks that are recorded as completed."""
        return {
            name
            for (name,) in self.read("select name from task_run where state_type = ?", "COMPLETED")
        }

    def check_histories(self):
        for (key,) in self.read("select id from flow_run"):
            run_id = UUID(bytes=bytes(key))
            validate(self.store.read_flow_run(run_id))
            for run in self.store.read_task_runs(run_id):
                validate(run)


@pytest.fixture
def runs(store_url, programs):
    programs.environment |= {"PENSTOCK_STORE_URL": store_url, **FAST}
    made = Runs(store_url)
    yield made
    made.store.close()


def lines(ledger):
    if not ledger.exists():
        return []
    return [tuple(line.split()[:2]) for line in ledger.read_text().splitlines()]


def wait_for_line(ledger, line):
    until = time.monotonic() + END_TIMEOUT_S
    while line not in lines(ledger):
        assert time.monotonic() < until, lines(ledger)
        time.sleep(0.005)


def kill(process):
    process.kill()
    process.communicate()


# -- processes that die ---------------------------------------------------------------------------


def test_a_killed_process_leaves_a_run_that_is_found_and_crashed(programs, runs, ledger):
    child = programs.start("recovered.py", "commits_tasks")
    programs.wait_until(child)
    wait_for_line(ledger, ("end", "step-3"))
    kill(child)
    run_id = runs.wait_for("Running")

    ended = programs.run("penstock", "recover", "--json")

    assert ended.code == 0, ended.err
    (found,) = json.loads(ended.out)
    assert (found["id"], found["found"], found["became"]) == (
        str(run_id),
        "dead process",
        "Crashed",
    )
    assert f"process {child.pid} on host" in found["why"]
    # Its hooks are called, once, by a process that is begun for it.
    assert [line for line in lines(ledger) if line[0] == "hook"] == [
        ("hook", "commits-tasks-Crashed")
    ]
    runs.check_histories()
    assert json.loads(programs.run("penstock", "recover", "--json").out) == []


def test_hooks_of_a_flow_that_cannot_be_loaded_are_said_to_be_left_out(
    programs, runs, ledger, tmp_path
):
    script = tmp_path / "gone.py"
    script.write_text((programs.flows / "recovered.py").read_text())
    environment = {"PYTHONPATH": str(programs.flows)}
    programs.environment |= environment
    child = programs.start(str(script), "commits_tasks")
    programs.wait_until(child)
    kill(child)
    script.unlink()

    ended = programs.run("penstock", "recover")

    assert ended.code == 0
    assert "Running -> Crashed" in ended.out
    logs = programs.run("penstock", "flow-run", "logs", runs.wait_for("Crashed"))
    assert "The on_crashed hooks of the flow are not called: The file of flow" in logs.out
    assert not [line for line in lines(ledger) if line[0] == "hook"]


def test_a_graph_goes_on_in_another_process(programs, runs, ledger, tmp_path):
    child = programs.start("drawn.py")
    wait_for_line(ledger, ("begin", "wait"))
    runs.until("select 1 from task_run where state_type = ?", "COMPLETED")
    kill(child)
    assert json.loads(programs.run("penstock", "recover", "--json").out)[0]["became"] == "Crashed"
    (tmp_path / "go-on").touch()

    ended = programs.run("-m", "penstock.engine", runs.wait_for("Crashed"))

    assert ended.code == 0, ended.err
    runs.wait_for("Completed")
    assert [label for _, label in lines(ledger)] == ["fetch", "wait", "wait"]


KILLS = 4


def test_a_run_that_is_killed_again_and_again_comes_to_its_end(programs, runs, ledger, seeded):
    """Each time somebody else takes it up, and nothing that was recorded is done again."""
    rng, repeat = seeded
    errors = (programs.folder / "stderr.txt").open("w")
    watcher = programs.start("penstock", "recover", "--watch", stderr=errors)
    programs.start("recovered.py", "resumed", 60, stderr=errors)
    kills = []
    for _ in range(KILLS):
        length = len(lines(ledger)) + rng.randint(4, 30)
        until = time.monotonic() + END_TIMEOUT_S
        while len(lines(ledger)) < length and time.monotonic() < until:
            time.sleep(0.002)
        ((owner,),) = runs.until(
            "select owner from flow_run where parent_task_run_id is null and owner is not null"
        )
        subprocess.run(["kill", "-9", owner.split(":")[1]], check=False)
        kills.append((len(lines(ledger)), runs.completed()))
    run_id = runs.wait_for("Completed")
    watcher.send_signal(signal.SIGTERM)
    ended = programs.end(watcher, END_TIMEOUT_S)
    errors.close()

    assert ended.code == 0, repeat
    written = lines(ledger)
    for at, completed in kills:
        again = {label for event, label in written[at + 1 :] if event == "begin"} & completed
        assert not again, repeat
    run = runs.store.read_flow_run(run_id)
    expected = sum(
        sum(10 * index + each for each in range(3)) if index % 4 == 1 else 1000 + index
        for index in range(60)
    )
    assert run.state.result() == expected
    assert [state.name for state in run.history].count("AwaitingRetry") == KILLS
    assert ended.out.count("AwaitingRetry\n  A process was begun for it.") == KILLS
    runs.check_histories()


def test_a_run_that_kills_its_processes_is_left_at_last(programs, runs, ledger):
    watcher = programs.start("penstock", "recover", "--watch", "--json", stderr=subprocess.DEVNULL)
    programs.run("recovered.py", "kills_itself")

    run_id = runs.wait_for("Crashed")

    watcher.send_signal(signal.SIGINT)
    said = [json.loads(line) for line in programs.end(watcher).out.splitlines()]
    assert [each["found"] for each in said] == ["dead process", "taken up"] * 3 + ["dead process"]
    assert "gone on with 3 times in a row" in runs.store.read_flow_run(run_id).state.message
    assert lines(ledger) == [("begin", "killing")] * 4


def test_a_dead_process_is_noticed_within_two_seconds(programs, runs, ledger, monkeypatch):
    programs.environment.pop("PENSTOCK_API_SERVICES_RECOVERY_LOOP_SECONDS")  # as it is by default
    watcher = programs.start("penstock", "recover", "--watch", "--json")
    child = programs.start("recovered.py", "is_in_a_task")
    wait_for_line(ledger, ("begin", "sleeps"))
    child.kill()
    died = time.time()

    run_id = runs.wait_for("Crashed")

    crashed = runs.store.read_flow_run(run_id).state.timestamp.timestamp()
    assert crashed - died < 2.0
    watcher.send_signal(signal.SIGTERM)
    assert programs.end(watcher).code == 0


RACER = """
import sys, time
from pathlib import Path
from penstock.services import Suspects, find_left, recover
from penstock.store import get_store
store = get_store()
found = find_left(store, Suspects())
print("up", flush=True)
while not Path(sys.argv[1]).exists():
    time.sleep(0.0005)
made = [recover(store, each) for each in found]
print(*[each.flow_run_id for each in made if each is not None])
"""


def test_of_recoverers_that_race_one_wins_each_run(programs, runs, tmp_path):
    host, pid, start = this_process().rsplit(":", 2)
    dead = f"{host}:{pid}:{int(start) - 1}"
    expected = []
    for _ in range(30):
        run = FlowRun(name="otter", flow_name="ingest", flow_id=runs.store.flow_id("ingest"))
        for state in (Pending(), Running()):
            record(run, state, Facts(now=clock.now()))
        row = flow_run_insert_row(run, dead, 1, clock.epoch())
        runs.store.write(sql.INSERT_FLOW_RUN, row)
        expected.append(str(run.id))
    gate = tmp_path / "gate"
    racers = [programs.start("-c", RACER, gate) for _ in range(3)]
    for racer in racers:
        programs.wait_until(racer)

    gate.touch()

    won = [programs.end(racer).out.split() for racer in racers]
    assert sorted(run_id for each in won for run_id in each) == sorted(expected)
    runs.check_histories()


# -- processes that are stopped -------------------------------------------------------------------


def stop_and_recover(programs, runs, kind):
    """Stop a process; recover its run as another host would, which knows the lease alone."""
    child = programs.start("recovered.py", kind, stdin=subprocess.PIPE)
    programs.wait_until(child)
    run_id = runs.wait_for("Running")
    child.send_signal(signal.SIGSTOP)
    read = "select owner, lease_expires from flow_run where id = ?"
    ((owner, expires),) = runs.read(read, run_id.bytes)
    # A process of this host that is stopped lives; to another host it has another's name.
    assert json.loads(programs.run("penstock", "recover", "--json").out) == []
    elsewhere = "/".join(["alpha", "0" * 16, owner.split("/")[2]])
    runs.store.write("update flow_run set owner = ? where id = ?", (elsewhere, run_id.bytes))
    while time.time() <= expires:
        time.sleep(0.01)
    ended = programs.run("penstock", "recover", "--json")
    assert [each["became"] for each in json.loads(ended.out)] == ["Crashed"], ended.err
    return child, run_id


@pytest.mark.parametrize("kind", ["commits_tasks", "is_in_a_task", "is_in_its_own_code"])
def test_a_process_that_wakes_up_after_its_run_was_taken_writes_nothing_more(
    programs, runs, ledger, kind
):
    if kind == "is_in_its_own_code":
        # Its heartbeat is not to tell it: the last commit of its run is what is refused.
        programs.environment |= {"PENSTOCK_HEARTBEAT_INTERVAL_S": "0.5"}
    child, run_id = stop_and_recover(programs, runs, kind)
    recorded = runs.read("select * from flow_run") + runs.read("select * from task_run")
    hooks = [line for line in lines(ledger) if line[0] == "hook"]
    before = len(lines(ledger))
    if kind == "is_in_its_own_code":
        child.stdin.write("go on\n")
        child.stdin.flush()

    child.send_signal(signal.SIGCONT)
    ended = programs.end(child, END_TIMEOUT_S)

    assert ended.out.startswith("value aborted: The flow run was taken over by another process")
    assert "stops here: The flow run was taken over by another process" in ended.err
    assert "It is Crashed now, as this process was taken for dead." in ended.err
    assert runs.read("select * from flow_run") + runs.read("select * from task_run") == recorded
    assert [line for line in lines(ledger) if line[0] == "hook"] == hooks
    # What it was in the middle of it may have ended; it began nothing after that was refused.
    begun = [line for line in lines(ledger)[before:] if line[0] == "begin"]
    assert len(begun) <= 1
    assert runs.store.read_flow_run(run_id).state.is_crashed()


def test_it_says_who_has_the_run_now(programs, runs, ledger):
    child, run_id = stop_and_recover(programs, runs, "commits_tasks")
    other = programs.start("penstock", "flow-run", "resume", run_id, stderr=subprocess.DEVNULL)
    runs.until(
        "select 1 from flow_run where id = ? and state_name = ? and owner like ?",
        run_id.bytes,
        "Running",
        f"%:{other.pid}:%",
    )

    child.send_signal(signal.SIGCONT)
    ended = programs.end(child, END_TIMEOUT_S)

    assert f"It is executed by process {other.pid} on host" in ended.err
    other.terminate()
    programs.end(other, END_TIMEOUT_S)


# -- the one that watches -------------------------------------------------------------------------


def test_it_ends_when_what_it_executes_is_over(programs, runs, ledger):
    child = programs.start("recovered.py", "resumed", 40)
    wait_for_line(ledger, ("end", "step-1000"))
    kill(child)
    watcher = programs.start("penstock", "recover", "--watch")
    runs.until("select 1 from flow_run where state_name = ? and run_count = 2", "Running")

    watcher.send_signal(signal.SIGTERM)
    ended = programs.end(watcher, END_TIMEOUT_S)

    assert ended.code == 0
    assert "Nothing more is taken up. Waiting for the process that was begun" in ended.err
    runs.wait_for("Completed")


def test_a_second_signal_ends_what_it_executes(programs, runs, ledger):
    child = programs.start("recovered.py", "resumed", 2000)
    wait_for_line(ledger, ("end", "step-1000"))
    kill(child)
    watcher = programs.start("penstock", "recover", "--watch")
    runs.until("select 1 from flow_run where state_name = ? and run_count = 2", "Running")
    watcher.send_signal(signal.SIGINT)
    for line in watcher.stderr:
        if "Nothing more is taken up" in line:
            break

    watcher.send_signal(signal.SIGINT)
    ended = programs.end(watcher, END_TIMEOUT_S)

    assert ended.code == -signal.SIGINT
    runs.wait_for("Crashed")


def test_a_run_that_was_suspended_and_resumed_goes_on(programs, runs, ledger):
    assert programs.run("pausing.py", "leaves").code == 0
    run_id = runs.wait_for("Suspended")
    watcher = programs.start("penstock", "recover", "--watch", stderr=subprocess.DEVNULL)
    resume = "import sys, penstock; penstock.resume_flow_run(sys.argv[1])"
    assert programs.run("-c", resume, run_id).code == 0
    runs.until(
        "select 1 from flow_run where id = ? and state_name = ? and owner is null and id in"
        " (select flow_run_id from task_run where task_key like 'step%' group by flow_run_id"
        " having count(*) = 2)",
        run_id.bytes,
        "Suspended",
    )
    assert programs.run("-c", resume, run_id).code == 0

    runs.wait_for("Completed")

    assert lines(ledger) == [("step", "1"), ("step", "2"), ("step", "3")]
    watcher.send_signal(signal.SIGTERM)
    assert programs.end(watcher).code == 0
