"""What is logged in the run of a graph belongs to its task runs, and is in the store."""

from __future__ import annotations

import penstock
from penstock.client import get_client
from penstock.graph import Flow, context, task
from penstock.graph.task_runner import TaskRunner


def logs_of(name: str) -> list[str]:
    with get_client(sync_client=True) as client:
        runs = {run.id: run.name for run in client.read_task_runs()}
        return [
            log.message
            for log in client.read_logs()
            if log.task_run_id is not None and runs[log.task_run_id] == name
        ]


def test_a_task_logs_to_its_own_run():
    @task
    def speak(word):
        context.logger.warning("by the context: %s", word)
        penstock.get_run_logger().info("by the run: %s", word)

    with Flow("talk") as flow:
        speak.map(["a", "b"])
    flow.run()

    assert logs_of("speak[0]") == ["by the context: a", "by the run: a"]
    assert logs_of("speak[1]") == ["by the context: b", "by the run: b"]


def test_a_failure_is_logged_with_its_traceback():
    @task
    def broken():
        raise LookupError("nothing there")

    with Flow("broken") as flow:
        broken()
    flow.run()

    text, end = logs_of("broken")
    assert "Exception encountered during task execution" in text
    assert "LookupError: nothing there" in text
    assert "final state: 'Failed'" in end


def test_prints_are_logged_of_a_task_that_wants_it():
    @task(log_stdout=True)
    def chatty():
        print("hello")  # noqa: T201

    with Flow("prints") as flow:
        chatty()
    flow.run()

    assert logs_of("chatty") == ["hello"]


def test_outside_of_a_recorded_run_logs_go_to_the_console_only(capsys, recwarn):
    @task
    def broken():
        raise LookupError("nothing there")

    flow = Flow("sets logging up")
    flow.run()
    TaskRunner(broken).run()

    assert "LookupError: nothing there" in capsys.readouterr().err
    assert not recwarn.list
    assert logs_of("broken") == []
