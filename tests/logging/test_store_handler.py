from __future__ import annotations

import logging
import logging.handlers
import queue
import time
import warnings
from uuid import UUID

import pytest

from penstock import clock
from penstock.context import FlowRunContext, TaskRunContext
from penstock.exceptions import MissingContextError
from penstock.ids import new_id
from penstock.logging import drain, get_run_logger, setup_logging
from penstock.logging.handlers import APILogHandler, StoreHandler
from penstock.logging.loggers import flow_run_logger, task_run_logger
from penstock.records import TaskRun
from penstock.settings import temporary_settings


@pytest.fixture
def library():
    """Another library's logger whose records are to be recorded."""
    logger = logging.getLogger("some_library")
    handler = StoreHandler()
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield logger
    logger.removeHandler(handler)


def test_a_flow_runs_record_becomes_a_row(flow_run):
    setup_logging()
    before = time.time()
    flow_run_logger(flow_run).info("Read %d rows", 3)

    ((flow_run_id, log_id, task_run_id, name, level, message, moment),) = drain()

    assert flow_run_id == flow_run.id.bytes
    assert UUID(bytes=log_id).version == 7
    assert task_run_id is None
    assert (name, level, message) == ("penstock.flow_runs", 20, "Read 3 rows")
    assert before <= moment <= time.time()


def test_a_task_runs_record_names_both_runs(task_run, flow_run):
    setup_logging()
    task_run_logger(task_run, flow_run=flow_run).warning("slow")

    (row,) = drain()

    assert row[0] == flow_run.id.bytes
    assert row[2] == task_run.id.bytes
    assert row[3:6] == ("penstock.task_runs", 30, "slow")


def test_a_task_run_without_a_flow_has_no_flow_run():
    setup_logging()
    task_run_logger(TaskRun(name="alone", task_key="alone")).info("hello")

    (row,) = drain()

    assert row[0] == bytes(16)
    assert row[2] is not None


def test_rows_are_in_the_order_in_which_they_were_logged(flow_run):
    setup_logging()
    logger = flow_run_logger(flow_run)
    for number in range(100):
        logger.info("%d", number)

    rows = drain()

    assert [row[5] for row in rows] == [str(number) for number in range(100)]
    assert [row[1] for row in rows] == sorted(row[1] for row in rows)


def test_an_exception_is_recorded_with_its_traceback(flow_run):
    setup_logging()
    try:
        raise ValueError("no such city")
    except ValueError:
        flow_run_logger(flow_run).exception("Lookup failed")

    (row,) = drain()

    assert row[4] == logging.ERROR
    assert row[5].startswith("Lookup failed\nTraceback")
    assert row[5].endswith("ValueError: no such city")


def test_a_record_can_be_kept_out_of_the_store(flow_run, capsys):
    setup_logging()
    flow_run_logger(flow_run).info("secret", extra={"send_to_api": False})

    assert drain() == []
    assert "secret" in capsys.readouterr().err


def test_recording_can_be_switched_off(flow_run):
    setup_logging()
    with temporary_settings({"PENSTOCK_LOGGING_TO_API_ENABLED": False}):
        flow_run_logger(flow_run).info("hello")

    assert drain() == []


def test_a_record_that_is_too_large_leaves_a_note(flow_run, caplog):
    setup_logging()
    with temporary_settings({"PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE": 1000}):
        flow_run_logger(flow_run).info("é" * 500)
        flow_run_logger(flow_run).info("é" * 501)

    fits, note = drain()

    assert fits[5] == "é" * 500
    assert note[4] == logging.ERROR
    assert len(note[5]) < 1000
    for text in (note[5], caplog.text):
        assert "1002 bytes" in text
        assert "PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE" in text


def test_text_that_is_not_valid_unicode_can_be_stored(flow_run, bare_root):
    with bare_root():  # pytest-xdist cannot send such text about
        setup_logging()
        flow_run_logger(flow_run).info("bad \udc80 byte")

    (row,) = drain()

    assert row[5].encode() == b"bad \\udc80 byte"


def test_other_loggers_records_belong_to_the_run_they_are_logged_in(library, flow_run, task_run):
    with FlowRunContext(flow_run=flow_run):
        library.info("in the flow")
        with TaskRunContext(task=None, task_run=task_run):
            library.info("in the task")

    in_flow, in_task = drain()

    assert (in_flow[0], in_flow[2], in_flow[3]) == (flow_run.id.bytes, None, "some_library")
    assert (in_task[0], in_task[2]) == (flow_run.id.bytes, task_run.id.bytes)


def test_a_record_of_no_run_is_warned_of(library):
    with pytest.warns(UserWarning, match="'some_library' was asked to record") as found:
        library.info("hello")

    assert found[0].filename == __file__
    assert drain() == []


def test_a_warning_is_given_once_a_place(library):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("default")
        for _ in range(3):
            library.info("hello")

    assert len(found) == 1


def test_a_record_of_no_run_can_be_an_error(library):
    with (
        temporary_settings({"PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW": "error"}),
        pytest.raises(MissingContextError, match="no flow run or task run"),
    ):
        library.info("hello")


def test_a_record_of_no_run_can_be_ignored(library):
    with temporary_settings({"PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore"}):
        library.info("hello")

    assert drain() == []


def test_a_record_that_passes_two_handlers_is_recorded_once(library, flow_run):
    child = library.getChild("part")
    handler = StoreHandler()
    child.addHandler(handler)
    with FlowRunContext(flow_run=flow_run):
        child.info("hello")
    child.removeHandler(handler)

    assert len(drain()) == 1


def test_filters_and_formatters_of_the_handler_count(library, flow_run):
    handler = library.handlers[0]
    handler.addFilter(lambda record: "secret" not in record.msg)
    handler.setFormatter(logging.Formatter("<%(message)s>"))
    with FlowRunContext(flow_run=flow_run):
        library.info("secret")
        library.info("open")

    assert [row[5] for row in drain()] == ["<open>"]


def test_an_id_that_a_record_carries_counts_however_it_is_written(library):
    run_id = new_id()
    library.info("a", extra={"flow_run_id": run_id})
    library.info("b", extra={"flow_run_id": str(run_id)})

    assert [row[0] for row in drain()] == [run_id.bytes, run_id.bytes]


def test_a_wrong_id_is_said_on_stderr_and_breaks_nothing(library, capsys):
    library.info("hello", extra={"flow_run_id": "tuesday"})

    assert drain() == []
    assert "ValueError" in capsys.readouterr().err


def test_in_a_simulation_the_time_is_the_virtual_one(flow_run):
    setup_logging()
    with clock.use_clock(clock.VirtualClock(start=5.0)):
        flow_run_logger(flow_run).info("hello")

    assert drain()[0][6] == 5.0


def test_a_record_handed_over_by_a_queue_keeps_its_run_and_time(flow_run):
    records = queue.SimpleQueue()
    sender = logging.handlers.QueueHandler(records)
    logger = logging.getLogger("penstock.flow_runs")
    logger.addHandler(sender)
    try:
        flow_run_logger(flow_run).warning("hello")
    finally:
        logger.removeHandler(sender)
    record = records.get()

    StoreHandler().handle(record)

    (row,) = drain()
    assert row[0] == flow_run.id.bytes
    assert row[6] == record.created


def test_run_loggers_in_other_threads_need_no_context(flow_run):
    import threading

    setup_logging()
    with FlowRunContext(flow_run=flow_run):
        logger = get_run_logger()
    thread = threading.Thread(target=logger.info, args=("from a thread",))
    thread.start()
    thread.join()

    assert [row[5] for row in drain()] == ["from a thread"]


def test_the_handler_has_the_name_that_older_configurations_use():
    assert APILogHandler is StoreHandler
