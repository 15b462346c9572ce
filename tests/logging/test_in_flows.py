from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import textwrap

import pytest

from penstock.client import get_client
from penstock.flows import flow
from penstock.logging import get_run_logger, pending
from penstock.logging.loggers import disable_run_logger
from penstock.settings import temporary_settings
from penstock.tasks import task

ENGINES_OWN = ("Beginning flow run", "Finished in state")


def logs_in_store():
    with get_client(sync_client=True) as client:
        return client.read_logs(limit=10_000)


def own_logs():
    """Give what the test's flows logged, without the engine's own records."""
    return [
        (log.name.rpartition(".")[2], log.message)
        for log in logs_in_store()
        if not log.message.startswith(ENGINES_OWN)
    ]


def test_logs_are_in_the_store_when_the_flow_returns():  # PAINS 14
    @task
    def add(number):
        get_run_logger().info("adding %d", number)

    @flow
    def ingest():
        get_run_logger().warning("starting")
        add(1)
        add.submit(2).wait()

    ingest()

    assert pending() == 0
    assert own_logs() == [
        ("flow_runs", "starting"),
        ("task_runs", "adding 1"),
        ("task_runs", "adding 2"),
    ]


def test_records_name_their_runs_in_the_store():
    @task
    def add():
        get_run_logger().info("adding")

    @flow
    def ingest():
        add()

    ingest()

    with get_client(sync_client=True) as client:
        (flow_run,) = client.read_flow_runs()
        (task_run,) = client.read_task_runs()
    (log,) = [log for log in logs_in_store() if log.message == "adding"]
    assert log.flow_run_id == flow_run.id
    assert log.task_run_id == task_run.id
    assert log.level == logging.INFO
    assert flow_run.start_time <= log.timestamp <= flow_run.end_time


def test_the_logs_of_a_flow_that_fails_are_in_the_store_too():  # PAINS 14
    @flow
    def ingest():
        get_run_logger().info("before")
        raise ValueError("no such city")

    with pytest.raises(ValueError, match="no such city"):
        ingest()

    assert pending() == 0
    messages = [message for _, message in own_logs()]
    assert "before" in messages
    assert any("Traceback" in message and "no such city" in message for message in messages)


def test_more_logs_than_one_commit_takes_are_all_there():
    @flow
    def ingest():
        logger = get_run_logger()
        for number in range(7_000):
            logger.debug("%d", number)

    with temporary_settings({"PENSTOCK_LOGGING_LEVEL": "DEBUG"}):
        ingest()

    numbers = [int(log.message) for log in logs_in_store() if log.message.isdecimal()]
    assert numbers == list(range(7_000))


def test_an_async_flows_logs_are_there():
    @task
    async def add(number):
        get_run_logger().info("adding %d", number)

    @flow
    async def ingest():
        get_run_logger().info("starting")
        await asyncio.gather(add(1), add(2))

    asyncio.run(ingest())

    assert sorted(own_logs()) == [
        ("flow_runs", "starting"),
        ("task_runs", "adding 1"),
        ("task_runs", "adding 2"),
    ]


def test_a_script_that_ends_at_once_has_its_logs_recorded(tmp_path):  # PAINS 14
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import os
        from penstock import flow, get_run_logger

        @flow
        def ingest():
            get_run_logger().info("hello")

        ingest()
        os._exit(0)
        """)
    )

    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, check=True
    )

    assert own_logs() == [("flow_runs", "hello")]
    assert done.stdout == ""
    assert "- hello\n" in done.stderr


@pytest.mark.parametrize("submitted", [False, True])
@pytest.mark.parametrize(
    ("of_flow", "of_task", "by_default", "logged"),
    [
        (None, None, False, []),
        (True, None, False, ["flow", "task"]),
        (True, False, False, ["flow"]),
        (False, True, False, ["task"]),
        (None, True, False, ["task"]),
        (None, None, True, ["flow", "task"]),
        (False, None, True, []),
    ],
)
def test_prints_are_logged_where_that_is_asked_for(
    capsys, of_flow, of_task, by_default, logged, submitted
):
    @task(log_prints=of_task)
    def add():
        print("task")  # noqa: T201 - printing is what is tested

    @flow(log_prints=of_flow)
    def ingest():
        print("flow")  # noqa: T201 - printing is what is tested
        if submitted:
            add.submit().wait()
        else:
            add()

    with temporary_settings({"PENSTOCK_LOGGING_LOG_PRINTS": by_default}):
        ingest()

    assert [message for _, message in own_logs()] == logged
    printed = capsys.readouterr().out.split()
    assert sorted(logged + printed) == ["flow", "task"]


def test_a_subflow_takes_after_its_parent(capsys):
    @flow
    def child():
        print("child")  # noqa: T201 - printing is what is tested

    @flow(log_prints=False)
    def quiet_child():
        print("quiet")  # noqa: T201 - printing is what is tested

    @flow(log_prints=True)
    def parent():
        child()
        quiet_child()
        print("parent")  # noqa: T201 - printing is what is tested

    parent()

    assert [message for _, message in own_logs()] == ["child", "parent"]
    assert capsys.readouterr().out == "quiet\n"


def test_a_tasks_function_can_be_called_where_there_is_no_run():
    @task
    def double(number):
        get_run_logger().info("doubling")
        return 2 * number

    with disable_run_logger():
        assert double.fn(2) == 4


def test_settings_for_a_while_hold_for_a_run(capsys):
    @flow
    def ingest():
        get_run_logger().debug("details")

    ingest()
    assert "details" not in capsys.readouterr().err
    with temporary_settings({"PENSTOCK_LOGGING_LEVEL": "DEBUG"}):
        ingest()
    assert "details" in capsys.readouterr().err
    assert own_logs().count(("flow_runs", "details")) == 1


def test_another_library_s_records_belong_to_the_run():
    @flow
    def ingest():
        logging.getLogger("some_library").info("from the library")

    with temporary_settings({"PENSTOCK_LOGGING_EXTRA_LOGGERS": "some_library"}):
        ingest()

    assert own_logs() == [("some_library", "from the library")]
