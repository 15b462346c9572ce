# ruff: noqa: T201 - printing is what is tested
from __future__ import annotations

import builtins
import io
import logging
import sys
import threading

import pytest

from penstock.context import FlowRunContext, TaskRunContext
from penstock.logging import drain, ensure_print_is_patched, setup_logging
from penstock.logging.loggers import disable_run_logger, patch_print, print_as_log
from penstock.logging.printing import prints_logged_by

the_original = print


@pytest.fixture
def in_flow(flow_run):
    return lambda log_prints: FlowRunContext(flow_run=flow_run, log_prints=log_prints)


@pytest.fixture
def in_task(task_run):
    return lambda log_prints: TaskRunContext(task=None, task_run=task_run, log_prints=log_prints)


@pytest.fixture
def logged():
    """Give the logger and message of what was logged since the last look."""
    setup_logging()
    ensure_print_is_patched()
    return lambda: [(row[3].rpartition(".")[2], row[5]) for row in drain()]


def test_a_flows_prints_are_logged(in_flow, logged, capsys):
    with in_flow(log_prints=True):
        print("read", 3, "rows")

    assert logged() == [("flow_runs", "read 3 rows")]
    assert capsys.readouterr().out == ""


def test_a_tasks_prints_are_its_own(in_flow, in_task, logged):
    with in_flow(log_prints=True), in_task(log_prints=True):
        print("hello")

    assert logged() == [("task_runs", "hello")]


def test_a_task_that_logs_prints_leaves_its_flows_prints_alone(in_flow, in_task, logged, capsys):
    with in_flow(log_prints=False):
        with in_task(log_prints=True):
            print("in the task")
        print("in the flow")

    assert logged() == [("task_runs", "in the task")]
    assert capsys.readouterr().out == "in the flow\n"


def test_a_task_can_print_inside_a_flow_that_logs_prints(in_flow, in_task, logged, capsys):
    with in_flow(log_prints=True):
        with in_task(log_prints=False):
            print("in the task")
        print("in the flow")

    assert logged() == [("flow_runs", "in the flow")]
    assert capsys.readouterr().out == "in the task\n"


def test_prints_outside_of_runs_are_printed(logged, capsys):
    print("hello")

    assert logged() == []
    assert capsys.readouterr().out == "hello\n"


def test_a_print_to_a_file_goes_there(in_flow, logged):
    stream = io.StringIO()
    with in_flow(log_prints=True):
        print("hello", file=stream)

    assert stream.getvalue() == "hello\n"
    assert logged() == []


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_the_standard_streams_are_no_other_file(in_flow, logged, name):
    with in_flow(log_prints=True):
        print("hello", file=getattr(sys, name))

    assert logged() == [("flow_runs", "hello")]


@pytest.mark.parametrize(
    ("args", "options", "message"),
    [
        (("a", "b"), {"sep": "-"}, "a-b"),
        (("a", "b"), {"sep": None, "end": None}, "a b"),
        (("a  \n\n",), {}, "a"),
        (("  a",), {"end": "!"}, "  a!"),
        (("100%s",), {"flush": True}, "100%s"),
        ((), {}, ""),
        ((["x"], None), {}, "['x'] None"),
    ],
)
def test_the_message_is_what_would_be_printed(in_flow, logged, args, options, message):
    with in_flow(log_prints=True):
        print(*args, **options)

    assert logged() == [("flow_runs", message)]


def test_a_wrong_argument_is_refused_as_ever(in_flow, logged):
    with in_flow(log_prints=True), pytest.raises(TypeError):
        print("hello", color="red")


def test_the_record_names_the_line_that_printed(in_flow, logged, caplog):
    with in_flow(log_prints=True):
        print("hello")

    (record,) = caplog.records
    assert record.levelno == logging.INFO
    assert record.funcName == "test_the_record_names_the_line_that_printed"


def test_a_handler_that_prints_is_no_print_of_the_runs(in_flow, logged, capsys):
    class Printing(logging.Handler):
        def emit(self, record):
            print("handled", record.getMessage())

    handler = Printing()
    logging.getLogger("penstock.flow_runs").addHandler(handler)
    with in_flow(log_prints=True):
        print("hello")
    logging.getLogger("penstock.flow_runs").removeHandler(handler)

    assert logged() == [("flow_runs", "hello")]
    assert capsys.readouterr().out == "handled hello\n"


def test_with_run_loggers_disabled_prints_go_nowhere(in_flow, logged, capsys):
    with in_flow(log_prints=True), disable_run_logger():
        print("hello")

    assert logged() == []
    assert capsys.readouterr().out == ""


def test_threads_without_a_context_print(in_flow, logged, capsys):
    with in_flow(log_prints=True):
        thread = threading.Thread(target=print, args=("hello",))
        thread.start()
        thread.join()

    assert logged() == []
    assert capsys.readouterr().out == "hello\n"


def test_print_is_replaced_while_a_block_is_open(in_flow):
    setup_logging()
    with patch_print():
        with patch_print():
            assert builtins.print is print_as_log
        assert builtins.print is print_as_log
        with in_flow(log_prints=True):
            print("hello")

    assert builtins.print is the_original
    assert [row[5] for row in drain()] == ["hello"]


def test_print_stays_replaced_where_a_run_asked_for_it():
    with patch_print():
        ensure_print_is_patched()
        ensure_print_is_patched()

    assert builtins.print is print_as_log


def test_a_print_that_somebody_else_put_in_place_stays(monkeypatch):
    def other(*args, **kwargs):
        return None

    with patch_print():
        monkeypatch.setattr(builtins, "print", other)

    assert builtins.print is other
    monkeypatch.undo()
    builtins.print = the_original


# -- by a logger that is given --------------------------------------------------------------------


@pytest.fixture
def mine(caplog):
    caplog.set_level(logging.INFO, logger="penstock")
    ensure_print_is_patched()
    return logging.getLogger("penstock.mine")


def lines(caplog):
    return [(record.name, record.getMessage()) for record in caplog.records]


def test_prints_are_logged_by_the_logger_that_is_given(mine, caplog, capsys):
    with prints_logged_by(mine):
        print("read", "%d", "rows")
        print()
        print("  ")
        print("to a file", file=io.StringIO())
    print("after")

    assert lines(caplog) == [("penstock.mine", "read %d rows")]
    assert capsys.readouterr().out == "after\n"


def test_the_logger_that_is_given_is_that_of_the_code_and_not_of_runs_within(
    mine, caplog, in_flow, logged, capsys
):
    with prints_logged_by(mine):
        with in_flow(log_prints=True):
            print("by the run")
        with in_flow(log_prints=False):
            print("by nobody")

    assert logged() == [("flow_runs", "by the run")]
    assert "penstock.mine" not in [name for name, _ in lines(caplog)]
    assert capsys.readouterr().out == "by nobody\n"


def test_a_run_that_logs_its_prints_logs_them(mine, caplog, in_flow, logged):
    with in_flow(log_prints=True), prints_logged_by(mine):
        print("by the run")
    with in_flow(log_prints=False), prints_logged_by(mine):
        print("by mine")

    assert logged() == [("flow_runs", "by the run")]
    assert ("penstock.mine", "by mine") in lines(caplog)
