"""`penstock recover`, as its users give it. Processes that die: tests/e2e/test_recovery.py."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from datetime import timedelta

import pytest

from penstock import clock
from penstock.records import FlowRun, FlowRunPolicy
from penstock.rules import Facts, record
from penstock.states import AwaitingRetry, Paused, Pending, Running
from penstock.store import get_store
from penstock.store import statements as sql
from penstock.store.encoding import flow_run_insert_row
from penstock.store.lease import this_process


@pytest.fixture
def leave():
    """Record a run as a process of this host has left it that is dead."""

    def leave(*states, owner=None, **policy):
        run = FlowRun(
            name="brave-otter",
            flow_name="ingest",
            flow_id=get_store().flow_id("ingest"),
            entrypoint="flows.py:ingest",
            empirical_policy=FlowRunPolicy(**policy),
        )
        for state in states or (Pending(), Running()):
            record(run, state, Facts(now=clock.now()))
        if owner is None:
            host, pid, start = this_process().rsplit(":", 2)
            owner = f"{host}:{pid}:{int(start) - 1}"
        row = flow_run_insert_row(run, owner or None, 1, clock.epoch() + 15)
        get_store().write(sql.INSERT_FLOW_RUN, row)
        return run

    return leave


def state_of(run):
    return get_store().read_flow_run(run.id).state


def test_nothing_to_see_to(penstock):
    get_store()

    ended = penstock("recover")

    assert ended == (0, "No run was left by its process, and none waits for one.\n", "")
    assert penstock("recover", "--json").objects == []


def test_what_was_found_what_became_of_it_and_what_is_next(penstock, leave):
    run = leave()

    ended = penstock("recover")

    assert ended.code == 0
    title, why, after = ended.out.splitlines()
    assert title == f"Flow run 'brave-otter' ({run.id}) of flow 'ingest': Running -> Crashed"
    assert why.startswith("  The process that executed the flow run died: process ")
    assert after == f"  Next: penstock flow-run resume {run.id}"
    assert state_of(run).is_crashed()


def test_a_dry_run_says_what_would_become_of_it(penstock, leave):
    run = leave(on_crash="resume")

    ended = penstock("recover", "--dry-run")

    assert "Running -> would be AwaitingRetry" in ended.out
    assert state_of(run).is_running()


def test_a_run_that_is_put_up_is_said_once_and_listed_from_then_on(penstock, leave):
    run = leave(on_crash="resume")

    first, second = penstock("recover", "--json"), penstock("recover", "--json")

    (found,) = first.objects
    assert (found["found"], found["became"]) == ("dead process", "AwaitingRetry")
    (waiting,) = second.objects
    assert (waiting["found"], waiting["became"]) == ("waiting", "AwaitingRetry")
    hint = f"penstock recover --watch, or penstock flow-run execute {run.id}"
    assert found["next"] == waiting["next"] == hint


def test_a_pause_whose_time_is_over(penstock, leave):
    over = clock.now() - timedelta(minutes=1)
    run = leave(Pending(), Running(), Paused(pause_expiration_time=over, pause_key="1"), owner="")

    (found,) = penstock("recover", "--json").objects

    assert (found["found"], found["was"], found["became"]) == ("expired pause", "Paused", "Failed")
    assert state_of(run).is_failed()


def test_objects_have_what_programs_need(penstock, leave):
    run = leave()

    (found,) = penstock("recover", "--json").objects

    assert found["id"] == str(run.id)
    assert set(found) == {
        "id", "kind", "name", "flow_name", "found", "was", "became", "why", "next", "owner",
        "last_seen",
    }  # fmt: skip
    assert found["last_seen"].endswith("Z")
    assert found["owner"].count(":") == 2


def test_a_run_that_waits_for_its_time_is_not_listed(penstock, leave):
    later = clock.now() + timedelta(minutes=1)
    leave(Pending(), Running(), AwaitingRetry(scheduled_time=later), owner="")

    assert penstock("recover", "--json").objects == []


def test_a_dry_run_that_goes_on_makes_no_sense(penstock):
    ended = penstock("recover", "--watch", "--dry-run")

    assert ended == (
        2,
        "",
        "Error: --dry-run looks once and changes nothing: leave out --watch.\n",
    )


def test_a_store_that_cannot_be_used(penstock, tmp_path):
    (tmp_path / "file").touch()
    url = f"sqlite:///{tmp_path}/file/store.db"

    ended = penstock("recover", PENSTOCK_STORE_URL=url)

    assert ended.code == 2
    assert ended.err.startswith("Error: ")
    assert "Traceback" not in ended.err


# -- which services there are, and how often they look --------------------------------------------


@pytest.fixture
def watcher(command):
    """Start `penstock recover --watch` with settings; give the process."""
    children = []

    def watcher(*options, **settings):
        child = subprocess.Popen(
            command("recover", "--watch", *options),
            env=os.environ | {f"PENSTOCK_{name}": value for name, value in settings.items()},
            stdout=subprocess.PIPE,
            text=True,
        )
        children.append(child)
        return child

    yield watcher
    for child in children:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)


def test_a_service_that_is_off_leaves_what_it_is_for(watcher, leave):
    over = clock.now() - timedelta(minutes=1)
    expired = leave(Paused(pause_expiration_time=over, pause_key="1"), owner="")
    first = leave()
    child = watcher(
        "--json",
        API_SERVICES_PAUSE_EXPIRATIONS_ENABLED="false",
        API_SERVICES_RECOVERY_LOOP_SECONDS="0.05",
    )
    assert json.loads(child.stdout.readline())["id"] == str(first.id)
    second = leave()
    # By the second look at what is left, all that is on has looked once.
    assert json.loads(child.stdout.readline())["id"] == str(second.id)
    assert state_of(expired).is_paused()


def test_recovery_that_is_off_leaves_the_dead(watcher, leave):
    def expire():
        over = clock.now() - timedelta(minutes=1)
        return leave(Paused(pause_expiration_time=over, pause_key="1"), owner="")

    left, first = leave(), expire()
    child = watcher(
        "--json",
        API_SERVICES_RECOVERY_ENABLED="false",
        API_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS="0.05",
    )
    assert json.loads(child.stdout.readline())["id"] == str(first.id)
    second = expire()
    assert json.loads(child.stdout.readline())["id"] == str(second.id)
    assert state_of(left).is_running()


@pytest.mark.parametrize(("options", "most"), [((), 7), (("--limit", "3"), 3)])
def test_how_many_it_executes_at_once(watcher, options, most):
    child = watcher(*options, RUNNER_PROCESS_LIMIT="7")

    assert f"executing at most {most} at once" in child.stdout.readline()
