from __future__ import annotations

import logging

import pytest

from penstock.context import FlowRunContext, TaskRunContext
from penstock.exceptions import MissingContextError
from penstock.logging import get_logger, get_run_logger, loggers, setup_logging
from penstock.logging.loggers import (
    PenstockLogAdapter,
    PrefectLogAdapter,
    disable_logger,
    disable_run_logger,
    flow_run_logger,
    task_run_logger,
)


class Named:
    """A flow or task as far as loggers look at it."""

    def __init__(self, name):
        self.name = name


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (None, "penstock"),
        ("penstock", "penstock"),
        ("etl", "penstock.etl"),
        ("penstock.etl", "penstock.etl"),
        ("penstocks", "penstock.penstocks"),
    ],
)
def test_loggers_are_under_penstocks(name, found):
    assert get_logger(name).name == found


def test_a_flow_runs_records_say_whose_they_are(flow_run, caplog):
    flow_run_logger(flow_run, Named("ingest"), team="data").warning("hello")

    (record,) = caplog.records
    assert record.name == "penstock.flow_runs"
    assert record.flow_run_id == str(flow_run.id)
    assert record.flow_run_name == "brave-otter"
    assert record.flow_name == "ingest"
    assert record.team == "data"


def test_a_task_runs_records_say_whose_they_are(task_run, flow_run, caplog):
    task_run_logger(task_run, Named("add"), flow_run, Named("ingest"), team="data").warning("hi")

    (record,) = caplog.records
    assert record.name == "penstock.task_runs"
    assert record.task_run_id == str(task_run.id)
    assert record.task_run_name == "add-0"
    assert record.task_name == "add"
    assert record.flow_run_id == str(flow_run.id)
    assert record.flow_run_name == "brave-otter"
    assert record.flow_name == "ingest"
    assert record.team == "data"


def test_what_is_not_known_is_called_so(task_run, caplog):
    task_run_logger(task_run).warning("hello")

    assert caplog.records[0].flow_run_name == "<unknown>"
    assert caplog.records[0].flow_name == "<unknown>"


def test_a_task_runs_logger_finds_its_flow_in_the_context(task_run, flow_run, caplog):
    with FlowRunContext(flow=Named("ingest"), flow_run=flow_run):
        task_run_logger(task_run).warning("hello")

    assert caplog.records[0].flow_run_name == "brave-otter"
    assert caplog.records[0].flow_name == "ingest"


def test_extra_of_a_call_is_added(flow_run, caplog):
    flow_run_logger(flow_run).warning("hello", extra={"rows": 3})

    assert caplog.records[0].rows == 3
    assert caplog.records[0].flow_run_name == "brave-otter"


@pytest.mark.parametrize("method", ["debug", "info", "warning", "error", "critical"])
def test_records_name_the_line_that_logged(flow_run, caplog, method):
    caplog.set_level(logging.DEBUG, "penstock")
    getattr(flow_run_logger(flow_run), method)("hello %s", "you")

    (record,) = caplog.records
    assert record.levelname == method.upper()
    assert record.getMessage() == "hello you"
    assert record.pathname == __file__
    assert record.funcName == "test_records_name_the_line_that_logged"


def test_a_child_belongs_to_the_same_run(flow_run, caplog):
    child = flow_run_logger(flow_run).getChild("part", {"part": 1})
    child.warning("hello")

    (record,) = caplog.records
    assert isinstance(child, PenstockLogAdapter)
    assert record.name == "penstock.flow_runs.part"
    assert (record.flow_run_name, record.part) == ("brave-otter", 1)


def test_in_a_flow_the_run_logger_is_the_flow_runs(flow_run, caplog):
    with FlowRunContext(flow=Named("ingest"), flow_run=flow_run):
        get_run_logger(team="data").warning("hello")

    (record,) = caplog.records
    assert record.name == "penstock.flow_runs"
    assert record.team == "data"


def test_in_a_task_the_run_logger_is_the_task_runs(flow_run, task_run, caplog):
    with (
        FlowRunContext(flow=Named("ingest"), flow_run=flow_run),
        TaskRunContext(task=Named("add"), task_run=task_run),
    ):
        get_run_logger().warning("hello")

    assert caplog.records[0].name == "penstock.task_runs"
    assert caplog.records[0].flow_run_name == "brave-otter"


def test_a_context_can_be_named(flow_run, task_run, caplog):
    flow_context = FlowRunContext(flow=Named("ingest"), flow_run=flow_run)
    with TaskRunContext(task=Named("add"), task_run=task_run):
        get_run_logger(flow_context).warning("hello")

    assert caplog.records[0].name == "penstock.flow_runs"


def test_a_run_logger_outside_of_runs_is_refused():
    with pytest.raises(MissingContextError, match="no active flow or task run"):
        get_run_logger()


def test_a_context_of_another_kind_is_refused():
    with pytest.raises(TypeError, match="'str' for context"):
        get_run_logger("my-run")


def test_disabled_run_loggers_log_nothing_and_need_no_run(flow_run, capsys, caplog):
    setup_logging()
    with disable_run_logger():
        get_run_logger().error("hello")
        flow_run_logger(flow_run).error("hello")
    flow_run_logger(flow_run).error("back")

    assert [record.message for record in caplog.records] == ["back"]
    assert "hello" not in capsys.readouterr().err


def test_disabling_can_be_nested(caplog):
    logger = logging.getLogger("some_library")
    with disable_logger("some_library"):
        with disable_logger("some_library"):
            logger.error("inner")
        logger.error("outer")
    logger.error("after")

    assert [record.message for record in caplog.records] == ["after"]


def test_with_one_of_them_enabled_a_run_is_needed():
    with disable_logger("penstock.flow_runs"), pytest.raises(MissingContextError):
        get_run_logger()


def test_names_of_the_field_are_kept():
    assert PrefectLogAdapter is PenstockLogAdapter
    assert loggers.get_run_logger is get_run_logger
    assert loggers.get_logger is get_logger
    assert all(hasattr(loggers, name) for name in loggers.__all__)
