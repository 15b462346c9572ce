"""What settings change, for those whose effect no other room's tests show."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from pathlib import Path

import pytest

from penstock import flow, get_client, task
from penstock import settings as s
from penstock.settings import temporary_settings
from penstock.states import Completed
from penstock.testing import penstock_test_harness

SOURCES = Path(s.__file__).parents[1]


@task
def add(x, y):
    return x + y


@flow
def total():
    return add(1, y=2)


def logged(run_flow):
    """Give what a flow run has logged."""
    run_flow()
    with get_client(sync_client=True) as client:
        return [each.message for each in client.read_logs()]


def test_every_setting_is_read_outside_of_the_settings():
    read = "\n".join(
        file.read_text()
        for file in SOURCES.rglob("*.py")
        if not file.is_relative_to(SOURCES / "settings")
    )
    # They say where settings are found, or what others are by default.
    own = {"PENSTOCK_PROFILES_PATH", "PENSTOCK_TEST_MODE"}
    unread = [
        name
        for name, setting in s.SETTINGS.items()
        if name not in own and not re.search(rf"\b({name}|{setting.attribute})\b", read)
    ]

    assert unread == []


# -- debugging and tests --------------------------------------------------------------------------


def test_in_debug_mode_logs_have_arguments_and_results():
    with temporary_settings({s.PENSTOCK_DEBUG_MODE: True}):
        messages = logged(total)

    assert "Executing total()" in messages
    assert "Executing add(1, 2)" in messages
    assert (
        messages.count("Finished in state Completed(message=None, type=COMPLETED, result=3)") == 2
    )


def test_out_of_debug_mode_they_have_not():
    with temporary_settings({s.PENSTOCK_LOGGING_LEVEL: "DEBUG"}):
        messages = logged(total)

    assert not any("Executing" in each or "result=" in each for each in messages)
    assert messages.count("Finished in state Completed()") == 2


class Unshowable:
    def __repr__(self):
        raise ZeroDivisionError


def test_in_debug_mode_what_cannot_be_shown_does_not_fail_a_run():
    @task
    def look(thing, size):
        return "x" * size

    with temporary_settings({s.PENSTOCK_DEBUG_MODE: True}):
        messages = logged(flow(lambda: look(Unshowable(), 9000), name="shows"))

    assert "Executing look(...) (its representation fails: ZeroDivisionError)" in messages
    (long,) = [each for each in messages if "xxx" in each and "type=COMPLETED" in each][:1]
    assert re.fullmatch(r"Finished in state .{2000}\.\.\. \(\d+ characters\)", long)


@pytest.mark.parametrize("name", ["PENSTOCK_TEST_MODE", "PENSTOCK_UNIT_TEST_MODE"])
def test_in_test_mode_nothing_is_deleted_and_logs_outside_of_runs_pass(monkeypatch, name):
    monkeypatch.delenv("PENSTOCK_RETENTION_RUNS_DAYS")
    monkeypatch.delenv("PENSTOCK_RETENTION_LOGS_DAYS")
    logger = logging.getLogger("penstock.flow_runs")
    assert s.reload_settings().retention_runs_days == 90
    total()  # logging is set up with the first run
    with pytest.warns(UserWarning, match="WHEN_MISSING_FLOW=ignore"):
        logger.error("outside")

    monkeypatch.setenv(name, "1")
    settings = s.reload_settings()

    assert (settings.retention_runs_days, settings.retention_logs_days) == (0, 0)
    logger.error("outside")  # a warning would be an error here
    with temporary_settings({s.PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW: "error"}):
        assert s.PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW.value() == "error", "it was given"


def test_the_test_harness_is_test_mode():
    with penstock_test_harness():
        assert s.PENSTOCK_TEST_MODE.value() is True
    assert s.PENSTOCK_TEST_MODE.value() is False


# -- states, results, runners ---------------------------------------------------------------------


def test_results_of_states_are_awaitables_where_that_is_wanted():
    state = Completed(data=4)

    async def look(**options):
        found = state.result(**options)
        return await found if asyncio.iscoroutine(found) else found, asyncio.iscoroutine(found)

    assert asyncio.run(look()) == (4, False)
    with temporary_settings({s.PENSTOCK_ASYNC_FETCH_STATE_RESULT: True}):
        assert asyncio.run(look()) == (4, True)
        assert asyncio.run(look(fetch=False)) == (4, False)
        assert state.result() == 4, "in sync code it is the value"


def test_results_above_the_limit_are_not_kept_in_the_record():
    @flow
    def makes():
        return add("x" * 100, "y")

    assert makes(return_state=True).data.type == "inline"
    with temporary_settings({s.PENSTOCK_RESULTS_INLINE_LIMIT_BYTES: 50}):
        assert makes(return_state=True).data.type != "inline"


def test_so_many_threads_run_tasks_and_no_more():
    together = threading.Barrier(2)
    running, seen = [], []

    @task
    def meet(i):
        running.append(i)
        together.wait(timeout=30)
        seen.append(len(running))
        together.wait(timeout=30)
        running.remove(i)

    @flow
    def meets():
        for future in meet.map(range(8)):
            future.result()

    with temporary_settings({s.PENSTOCK_TASK_RUNNER_MAX_WORKERS: 2}):
        meets()
    assert max(seen) == 2
