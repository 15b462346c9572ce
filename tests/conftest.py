"""What every test has: a home and a store of its own; in CI, no skipping either.

Penstock is looked up in `sys.modules` and not imported here: a test of a lower room then pays for
that room alone.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings as hypothesis_settings

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

# With CI set, hypothesis tries the same examples each time, and a skip is a failure.
IN_CI = bool(os.environ.get("CI"))

hypothesis_settings.register_profile("dev", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis_settings.load_profile("ci" if IN_CI else "dev")


def call_if_loaded(module: str, function: str) -> None:
    """Call `function` of `module`, if anything has imported the module so far."""
    loaded = sys.modules.get(module)
    if loaded is not None:
        getattr(loaded, function)()


@pytest.fixture(autouse=True)
def penstock_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the test an empty home and a fresh store; close the store when the test is over."""
    for name in list(os.environ):
        if name.startswith("PENSTOCK_"):
            monkeypatch.delenv(name)
    home = tmp_path / "penstock-home"
    monkeypatch.setenv("PENSTOCK_HOME", str(home))
    call_if_loaded("penstock.store", "reset_store")
    call_if_loaded("penstock.settings", "reload_settings")
    yield home
    call_if_loaded("penstock.store", "reset_store")


def refuse_skip(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Turn a skip into a failure in CI: whatever it missed has to be there."""
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, and nothing may be missing in CI: {report.longrepr}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Look at how a test ended."""
    report = yield
    refuse_skip(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Look at how a file was collected: it may have skipped itself whole."""
    report = yield
    refuse_skip(report)
    return report
