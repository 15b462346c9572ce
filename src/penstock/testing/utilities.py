"""A home and a store for a test, and everything as it was afterwards; and what else tests ask."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import threading
import warnings
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.client import get_client
from penstock.context import FlowRunContext, TaskRunContext
from penstock.settings import (
    PENSTOCK_HOME,
    PENSTOCK_STORE_URL,
    get_current_settings,
    reload_settings,
    temporary_settings,
)
from penstock.store import reset_store

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from penstock.client import SyncPenstockClient

_LEFT_OUT = (
    "PENSTOCK_API_URL",
    "PENSTOCK_LOCAL_STORAGE_PATH",
    "PENSTOCK_PROFILE",
    "PENSTOCK_PROFILES_PATH",
)
"""What would lead out of the test's home."""

_entering = threading.Lock()
_holders: list[tuple[int, Any]] = []


@contextmanager
def penstock_test_harness() -> Generator[SyncPenstockClient]:
    """Give a test a home and an empty store of its own, without any server.

    It holds for the whole process, its threads, and the processes that it starts. Settings that
    say where things are kept are replaced; old records are not deleted meanwhile; all others stay
    as they are. Afterwards the settings are what they were, and the folder is gone. A harness may
    be entered inside another one.

    Yields:
        A client of the store.

    Raises:
        RuntimeError: it is entered inside a flow run or a task run, or while another thread, or
            another asyncio task, is in a harness.

    Example:
        >>> from penstock.testing import penstock_test_harness
        >>> with penstock_test_harness() as store:
        ...     len(store.read_flow_runs())
        0
    """
    holder = _enter()
    maker = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix="penstock-test-"))
    former = {name: value for name, value in os.environ.items() if name.startswith("PENSTOCK_")}
    try:
        with ExitStack() as inside:
            _move_into(folder, inside)
            yield get_client(sync_client=True)
    finally:
        reset_store()
        for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
            del os.environ[name]
        os.environ.update(former)
        reload_settings()
        _holders.remove(holder)
        # A forked child that comes here leaves the folder to its parent.
        if os.getpid() == maker:
            shutil.rmtree(folder, ignore_errors=True)


def exceptions_equal(one: BaseException, other: BaseException) -> bool:
    """Tell whether two exceptions say the same: equal, or of one type with equal arguments.

    An exception that was raised in a run, recorded, and read back is another object.

    Example:
        >>> exceptions_equal(ValueError("no"), ValueError("no"))
        True
        >>> exceptions_equal(ValueError("no"), TypeError("no"))
        False
    """
    return one == other or (type(one) is type(other) and one.args == other.args)


@contextmanager
def assert_does_not_warn(ignore_warnings: Iterable[type[Warning]] = ()) -> Generator[None]:
    """Fail if anything in the block warns.

    Parameters:
        ignore_warnings: kinds of warnings that are let pass.

    Raises:
        AssertionError: there was a warning; says which, and where.

    Example:
        >>> with assert_does_not_warn():
        ...     my_flow()  # doctest: +SKIP
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for kind in ignore_warnings:
            warnings.simplefilter("ignore", category=kind)
        yield
    if caught:
        listed = "\n".join(
            f"{each.category.__name__}: {each.message} ({each.filename}:{each.lineno})"
            for each in caught
        )
        raise AssertionError(f"Warnings were raised:\n{listed}")


def _move_into(folder: Path, inside: ExitStack) -> None:
    """Have penstock keep everything in a folder: for the process, and for this context."""
    for name in _LEFT_OUT:
        os.environ.pop(name, None)
    os.environ["PENSTOCK_HOME"] = str(folder)
    os.environ["PENSTOCK_STORE_URL"] = url = f"sqlite:///{folder / 'penstock.db'}"
    os.environ["PENSTOCK_TEST_MODE"] = "true"
    os.environ["PENSTOCK_RETENTION_RUNS_DAYS"] = os.environ["PENSTOCK_RETENTION_LOGS_DAYS"] = "0"
    reload_settings()
    if get_current_settings().home != folder:
        # The test is inside a `with temporary_settings(...)`, which counts more.
        updates = {PENSTOCK_HOME: folder, PENSTOCK_STORE_URL: url}
        inside.enter_context(temporary_settings(updates))


prefect_test_harness = penstock_test_harness
"""The name that programs made for Prefect use."""


def _enter() -> tuple[int, Any]:
    """Note who is in a harness; two at once would take each other's settings away."""
    run = TaskRunContext.get() or FlowRunContext.get()
    if run is not None:
        raise RuntimeError(
            "penstock_test_harness() was entered inside a run, which has its store already. Enter"
            " it in the test, around the call of the flow."
        )
    holder = (threading.get_ident(), _this_asyncio_task())
    with _entering:
        if _holders:
            thread, task = _holders[-1]
            if thread != holder[0] or (task is not None and task is not holder[1]):
                who = "asyncio task" if thread == holder[0] else "thread"
                raise RuntimeError(
                    f"penstock_test_harness() is in use by another {who}, and it holds for the"
                    " whole process. Enter it once, around all of them; tests that run side by"
                    " side need processes of their own (pytest-xdist)."
                )
        _holders.append(holder)
    return holder


def _this_asyncio_task() -> Any:
    asyncio = sys.modules.get("asyncio")
    try:
        return None if asyncio is None else asyncio.current_task()
    except RuntimeError:
        return None
