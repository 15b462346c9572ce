"""A store for a test, without a server: its own while it lasts, nothing after (PAINS 25)."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from penstock import flow, pause_flow_run, task
from penstock.exceptions import FlowPauseTimeout, NotPausedError
from penstock.runtime import flow_run
from penstock.settings import (
    PENSTOCK_HOME,
    PENSTOCK_TASK_DEFAULT_RETRIES,
    get_current_settings,
    temporary_settings,
)
from penstock.testing import penstock_test_harness


@task
def one():
    return 1


@flow
def main():
    return one()


def names(store):
    return [run.flow_name for run in store.read_flow_runs()]


def test_what_runs_inside_is_in_a_store_of_its_own_and_gone_afterwards(monkeypatch):
    monkeypatch.setenv("PENSTOCK_LOCAL_STORAGE_PATH", "/somewhere/else")
    before = dict(os.environ)
    home = get_current_settings().home

    with penstock_test_harness() as store:
        assert main() == 1
        assert names(store) == ["main"]
        inside = get_current_settings().home
        assert inside.is_dir()

    assert dict(os.environ) == before
    assert get_current_settings().home == home
    assert not inside.exists()
    with penstock_test_harness() as store:
        assert names(store) == []


def test_inside_another_one_it_is_empty_and_the_outer_one_goes_on():
    with penstock_test_harness() as outer:
        main()
        with penstock_test_harness() as inner:
            assert names(inner) == []
        main()
        assert len(names(outer)) == 2


def test_it_counts_more_than_settings_for_a_while_and_leaves_the_others(tmp_path):
    updates = {PENSTOCK_HOME: tmp_path / "elsewhere", PENSTOCK_TASK_DEFAULT_RETRIES: 4}
    with temporary_settings(updates), penstock_test_harness() as store:
        main()
        assert names(store) == ["main"]
        assert PENSTOCK_TASK_DEFAULT_RETRIES.value() == 4


def test_threads_and_async_code_and_other_processes_use_the_same_store():
    @flow
    async def later():
        return one()

    with penstock_test_harness() as store:
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
        asyncio.run(later())
        script = "from penstock import flow\n@flow\ndef far(): return 1\nfar()\n"
        file = get_current_settings().home / "far.py"
        file.write_text(script)
        subprocess.run([sys.executable, str(file)], check=True, timeout=60)
        assert sorted(names(store)) == ["far", "later", "main"]


def test_a_forked_child_that_leaves_it_keeps_the_folder_for_its_parent():
    with penstock_test_harness() as store:
        main()
        home: Path = get_current_settings().home
        code = (
            "import os\n"
            "from penstock.testing import penstock_test_harness\n"
            "from penstock.settings import get_current_settings\n"
            "with penstock_test_harness():\n"
            "    home = get_current_settings().home\n"
            "    child = os.fork()\n"
            "if child == 0: os._exit(0 if home.exists() else 1)\n"
            "print(os.waitpid(child, 0)[1], home.exists())\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
        )
        # The parent may be quicker than its child to leave; what counts is who deletes.
        assert done.stdout.split()[-1] == "False"
        assert home.exists()
        assert len(names(store)) == 1


def test_inside_a_run_it_says_where_it_belongs():
    @flow
    def wrong():
        with penstock_test_harness():
            pass

    with penstock_test_harness(), pytest.raises(RuntimeError, match="around the call of the flow"):
        wrong()


def test_in_two_threads_at_once_it_says_that_it_holds_for_the_process():
    errors = []

    def enter():
        try:
            with penstock_test_harness():
                pass
        except RuntimeError as error:
            errors.append(str(error))

    with penstock_test_harness():
        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()

    assert "in use by another thread" in errors[0]
    enter()
    assert len(errors) == 1


def test_in_two_asyncio_tasks_at_once_it_says_so_too():
    async def hold(entered, leave):
        with penstock_test_harness():
            entered.set()
            await leave.wait()

    async def both():
        entered, leave = asyncio.Event(), asyncio.Event()
        first = asyncio.create_task(hold(entered, leave))
        await entered.wait()
        try:
            with pytest.raises(RuntimeError, match="another asyncio task"):
                await asyncio.create_task(hold(asyncio.Event(), leave))
        finally:
            leave.set()
            await first

    asyncio.run(both())


# -- pauses in time that jumps --------------------------------------------------------------------


def test_a_pause_that_nobody_ends_is_over_soon(penstock_store, virtual_clock):
    @flow
    def waits():
        pause_flow_run(timeout=3600)

    began = virtual_clock.time()
    with pytest.raises(FlowPauseTimeout):
        waits()

    assert 3600 <= virtual_clock.time() - began < 3700


def test_a_pause_that_a_test_ends_is_not_over_before(penstock_store, virtual_clock):
    @flow
    def waits():
        resumer = threading.Thread(target=resume, args=[flow_run.id])
        resumer.start()
        pause_flow_run(timeout=3600)
        resumer.join()
        return "resumed"

    def resume(run_id):
        while True:
            try:
                penstock_store.resume_flow_run(run_id)
            except NotPausedError:
                threading.Event().wait(0.01)
            else:
                return

    began = virtual_clock.time()
    assert waits() == "resumed"
    assert virtual_clock.time() - began < 3600
