from __future__ import annotations

import io
import logging
import sys

import pytest

from penstock.logging import drain, log_flow_run, log_task_run, setup_logging
from penstock.logging.loggers import flow_run_logger, task_run_logger
from penstock.records import TaskRun
from penstock.settings import temporary_settings

LEVELS = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL, 25]


class Listener(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


@pytest.fixture
def no_records(monkeypatch):
    """Say that a record was made: the short way makes none."""

    def refuse(*args, **kwargs):
        raise AssertionError("a record was made")

    monkeypatch.setattr(logging.Logger, "makeRecord", refuse)


def without_time(text):
    return [line.partition(" | ")[2] for line in text.splitlines()]


def without_id_and_time(rows):
    return [(row[0], *row[2:6]) for row in rows]


@pytest.mark.parametrize("level", LEVELS)
def test_both_ways_write_the_same(flow_run, task_run, capsys, bare_root, level):
    with temporary_settings({"PENSTOCK_LOGGING_LEVEL": "INFO"}), bare_root():
        setup_logging()
        flow_run_logger(flow_run).log(level, "Finished 100%")
        task_run_logger(task_run).log(level, "Finished 100%")
        expected, expected_rows = capsys.readouterr().err, drain()
        log_flow_run(flow_run, level, "Finished 100%")
        log_task_run(task_run, level, "Finished 100%")

    assert without_time(capsys.readouterr().err) == without_time(expected)
    assert without_id_and_time(drain()) == without_id_and_time(expected_rows)
    assert len(expected_rows) == (0 if level == logging.DEBUG else 2)


def test_the_short_way_makes_no_record(flow_run, task_run, capsys, bare_root, no_records):
    with bare_root():
        setup_logging()
        log_flow_run(flow_run, logging.INFO, "one")
        log_task_run(task_run, logging.INFO, "two")
        log_task_run(TaskRun(name="alone"), logging.INFO, "three")

    assert without_time(capsys.readouterr().err) == [
        "INFO    | Flow run 'brave-otter' - one",
        "INFO    | Task run 'add-0' - two",
        "INFO    | Task run 'alone' - three",
    ]
    assert [row[0] for row in drain()] == [flow_run.id.bytes, flow_run.id.bytes, bytes(16)]


def test_nothing_is_recorded_where_that_is_off(flow_run, capsys, bare_root):
    with bare_root(), temporary_settings({"PENSTOCK_LOGGING_TO_API_ENABLED": False}):
        setup_logging()
        log_flow_run(flow_run, logging.INFO, "one")

    assert drain() == []
    assert "one" in capsys.readouterr().err


@pytest.mark.parametrize("where", ["", "penstock", "penstock.flow_runs"])
def test_who_listens_in_sees_a_record(flow_run, bare_root, where):
    listener = Listener()
    with bare_root():
        setup_logging()
        logging.getLogger(where).addHandler(listener)
        log_flow_run(flow_run, logging.INFO, "one", flow=None)
        logging.getLogger(where).removeHandler(listener)

    (record,) = listener.records
    assert record.getMessage() == "one"
    assert record.flow_run_id == str(flow_run.id)
    assert record.pathname == __file__
    assert len(drain()) == 1


def test_a_filter_of_the_logger_counts(task_run, bare_root):
    logger = logging.getLogger("penstock.task_runs")

    def refuse(record):
        return False

    logger.addFilter(refuse)
    with bare_root():
        setup_logging()
        log_task_run(task_run, logging.INFO, "one")
    logger.removeFilter(refuse)

    assert drain() == []


def test_a_changed_handler_counts(task_run, capsys, bare_root):
    with bare_root():
        setup_logging()
        (console,) = logging.getLogger("penstock").handlers
        console.setFormatter(logging.Formatter("<%(message)s>"))
        log_task_run(task_run, logging.INFO, "one")
        console.setLevel(logging.ERROR)
        log_task_run(task_run, logging.INFO, "two")

    assert capsys.readouterr().err == "<one>\n"
    assert [row[5] for row in drain()] == ["one", "two"]


def test_before_anything_is_set_up_nothing_is_recorded(task_run):
    log_task_run(task_run, logging.INFO, "one")

    assert drain() == []


def test_a_console_that_cannot_be_written_to_breaks_nothing(flow_run, monkeypatch, bare_root):
    closed = io.StringIO()
    closed.close()
    with bare_root():
        setup_logging()
        monkeypatch.setattr(sys, "stderr", closed)
        monkeypatch.setattr(logging, "raiseExceptions", False)
        log_flow_run(flow_run, logging.INFO, "one")
        monkeypatch.undo()

    assert [row[5] for row in drain()] == ["one"]
