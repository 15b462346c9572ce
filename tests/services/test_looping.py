from __future__ import annotations

import threading

import pytest

from penstock.exceptions import StoreUnreachable
from penstock.services import Service, Services

TIMEOUT_S = 10.0


class Counting:
    """A service that counts its passes, and may fail in the first of them."""

    def __init__(self, error=None):
        self.passes, self.error = 0, error
        self.has_done = threading.Event()

    def __call__(self):
        self.passes += 1
        if self.passes == 1 and self.error is not None:
            raise self.error
        if self.passes >= 3:
            self.has_done.set()


@pytest.fixture
def begun():
    started = []

    def begin(*services):
        made = Services([Service(f"service {n}", 0.001, work) for n, work in enumerate(services)])
        made.start()
        started.append(made)
        return made

    yield begin
    for each in started:
        each.stop(TIMEOUT_S)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StoreUnreachable("it is away"), "Service 'service 0' could not reach the store: it is"),
        (KeyError("state"), "Service 'service 0' failed; it is tried again."),
    ],
)
def test_a_pass_that_fails_is_made_again_and_the_others_go_on(begun, caplog, error, said):
    failing, other = Counting(error), Counting()

    begun(failing, other)

    assert failing.has_done.wait(TIMEOUT_S)
    assert other.has_done.wait(TIMEOUT_S)
    assert said in caplog.text


def test_nothing_is_done_any_more_once_it_was_stopped(begun):
    counting = Counting()
    services = begun(counting)
    assert counting.has_done.wait(TIMEOUT_S)

    services.stop(TIMEOUT_S)
    passes = counting.passes

    assert "penstock-services" not in {each.name for each in threading.enumerate()}
    assert counting.passes == passes


def test_it_is_not_done_more_often_than_its_period():
    rare, often = Counting(), Counting()

    def stop_when_done():
        often()
        if often.has_done.is_set():
            services.stop()

    services = Services([Service("rare", 3600.0, rare), Service("often", 0.001, stop_when_done)])
    services.run()

    assert rare.passes == 1
    assert often.passes == 3
