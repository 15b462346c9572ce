"""What test suites ask besides a store: exceptions, warnings, sleeps."""

from __future__ import annotations

import asyncio
import sys
import warnings

import pytest

from penstock import exceptions, flow, task
from penstock.testing import utilities
from penstock.testing.fixtures import mock_anyio_sleep  # noqa: F401 - a fixture
from penstock.testing.utilities import assert_does_not_warn, exceptions_equal


@task
def breaks():
    raise ValueError("no", 3)


def test_an_exception_that_was_read_back_equals_the_one_that_was_raised(penstock_store):
    @flow
    def broken():
        breaks()

    broken(return_state=True)
    (run,) = penstock_store.read_task_runs()
    error = run.state.result(raise_on_failure=False)

    assert error != ValueError("no", 3)
    assert exceptions_equal(error, ValueError("no", 3))
    assert not exceptions_equal(error, ValueError("no", 4))
    assert not exceptions_equal(error, TypeError("no", 3))


def test_the_names_of_programs_for_prefect_are_the_same_things():
    assert utilities.prefect_test_harness is utilities.penstock_test_harness
    with pytest.raises(exceptions.PrefectException):
        raise exceptions.MissingResult("gone")
    with pytest.raises(exceptions.PrefectSignal):
        raise exceptions.Abort("stop")


def test_a_warning_fails_the_block_unless_it_is_let_pass():
    with assert_does_not_warn():
        pass
    with assert_does_not_warn(ignore_warnings=[DeprecationWarning]):
        warnings.warn("old", DeprecationWarning, stacklevel=1)
    with (
        pytest.raises(AssertionError, match=r"UserWarning: careful \(.*test_helpers.py:\d+\)"),
        assert_does_not_warn(ignore_warnings=[DeprecationWarning]),
    ):
        warnings.warn("careful", stacklevel=1)
    with pytest.raises(KeyError), assert_does_not_warn():
        warnings.warn("what was raised counts more", stacklevel=1)
        raise KeyError


@pytest.fixture
def anyio(tmp_path, monkeypatch):
    """Give anyio, or where it is not installed something of that name that sleeps."""
    module = tmp_path / "sleepers" / "anyio.py"
    module.parent.mkdir()
    module.write_text("async def sleep(delay): raise AssertionError('it sleeps')\n")
    monkeypatch.syspath_prepend(module.parent)
    monkeypatch.delitem(sys.modules, "anyio", raising=False)
    yield
    sys.modules.pop("anyio", None)


def test_sleeps_and_retries_take_no_time_and_are_counted(anyio, request, penstock_store):
    slept = request.getfixturevalue("mock_anyio_sleep")
    import anyio as sleepers

    attempts = []

    @task(retries=1, retry_delay_seconds=600)
    def tries_twice():
        attempts.append(1)
        if len(attempts) == 1:
            raise ConnectionError

    @flow
    async def waits():
        await asyncio.gather(sleepers.sleep(3600), sleepers.sleep(60))
        tries_twice()

    with slept.assert_sleeps_for(3600 + 60 + 600):
        asyncio.run(waits())

    assert slept.slept_s == [3600, 60]
    with (
        pytest.raises(AssertionError, match=r"slept for 0\.000 seconds; 5\.000 were expected"),
        slept.assert_sleeps_for(5),
    ):
        pass
    with slept.assert_sleeps_for(5, extra_tolerance=6):
        pass


def test_it_can_be_awaited_itself(request):
    slept = request.getfixturevalue("mock_anyio_sleep")
    with slept.assert_sleeps_for(10):
        asyncio.run(slept(10))
