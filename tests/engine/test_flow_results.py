"""Where the results of flow runs are kept, of those that failed, too."""

from __future__ import annotations

import time

import pytest

from penstock import flow, get_client
from penstock.results import PersistedResult


def read_back(state):
    with get_client(sync_client=True) as client:
        return client.read_flow_run(state.state_details.flow_run_id).state


def test_what_a_flow_raised_is_persisted_like_a_value():
    @flow(persist_result=True)
    def raises():
        raise LookupError("no such day")

    state = raises(return_state=True)
    assert isinstance(state.data, PersistedResult)
    with pytest.raises(LookupError, match="no such day"):
        read_back(state).result()


def test_an_exception_too_large_for_the_record_goes_to_storage():
    @flow
    def raises():
        raise LookupError("x" * 100_000)

    with pytest.raises(LookupError):
        read_back(raises(return_state=True)).result()


def test_the_timeout_of_a_flow_that_persists_is_a_timeout_error():
    @flow(persist_result=True, timeout_seconds=0.05)
    def waits():
        time.sleep(30)

    state = waits(return_state=True)
    assert state.name == "TimedOut"
    with pytest.raises(TimeoutError, match="exceeded timeout"):
        state.result()
    with pytest.raises(TimeoutError, match="exceeded timeout"):
        read_back(state).result()
