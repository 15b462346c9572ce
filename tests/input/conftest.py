"""A store of each kind, and what runs of it are asked."""

from __future__ import annotations

import threading
import time

import pytest

from penstock.client import get_client
from penstock.settings import reload_settings

LIMIT_S = 20


class Running:
    """A call on another thread."""

    def __init__(self, call):
        self.value = self.error = None
        self._call = call
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        try:
            self.value = self._call()
        except BaseException as error:  # noqa: BLE001 - raised again by `end`
            self.error = error

    def end(self):
        self._thread.join(LIMIT_S)
        assert not self._thread.is_alive()
        if self.error is not None:
            raise self.error
        return self.value


@pytest.fixture
def begin():
    """Begin a call on another thread."""
    return Running


@pytest.fixture
def records_place(store_url, monkeypatch):
    """Keep the records in a store of each kind in turn."""
    monkeypatch.setenv("PENSTOCK_STORE_URL", store_url)
    reload_settings()
    return store_url


@pytest.fixture
def wait_for_state():
    """Wait until the only flow run of the store is in a state; give its record."""

    def wait_for_state(name, key=None):
        until = time.monotonic() + LIMIT_S
        while time.monotonic() < until:
            with get_client(sync_client=True) as client:
                runs = [run for run in client.read_flow_runs() if run.state_name == name]
            if runs and key in (None, runs[0].state.state_details.pause_key):
                return runs[0]
            time.sleep(0.005)
        raise AssertionError(f"no flow run became {name}")

    return wait_for_state
