"""Logging as in a fresh process: nothing set up, nothing waiting, root handlers as they were."""

from __future__ import annotations

import builtins
import logging
from contextlib import contextmanager

import pytest

from penstock.logging import buffer, configuration, printing
from penstock.records import FlowRun, TaskRun

NAMES = ("penstock", "penstock.flow_runs", "penstock.task_runs", "penstock.extra", "some_library")


@pytest.fixture(autouse=True)
def fresh_logging():
    configuration._take_down()
    buffer._buffer.clear()
    buffer.on_overflow(None)
    yield
    configuration._take_down()
    buffer._buffer.clear()
    buffer.on_overflow(None)
    builtins.print = printing._original
    printing._patched_for_good = False
    for name in NAMES:
        logger = logging.getLogger(name)
        assert not logger.handlers, f"{name} keeps handlers"
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


@pytest.fixture
def bare_root():
    """A block in which the root logger has no handlers of pytest's, as in a plain script."""

    @contextmanager
    def block():
        root = logging.getLogger()
        former, root.handlers = root.handlers, []
        try:
            yield root
        finally:
            root.handlers = former

    return block


@pytest.fixture
def flow_run():
    return FlowRun(name="brave-otter", flow_name="ingest")


@pytest.fixture
def task_run(flow_run):
    return TaskRun(name="add-0", task_key="add", flow_run_id=flow_run.id)
