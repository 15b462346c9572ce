"""Deadlines: what they interrupt, what they leave alone, and what they leave behind."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from penstock.task_runners.interrupts import run_under_deadline
from penstock.task_runners.waiting import Interrupted, this_thread

SOON_S = 5.0


def compute():
    while True:
        pass


def in_main_thread(work):
    return work()


def in_another_thread(work):
    given = []
    thread = threading.Thread(target=lambda: given.append(work()))
    thread.start()
    thread.join(20)
    return given[0]


WHERE = pytest.mark.parametrize("where", [in_main_thread, in_another_thread])


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    handler = signal.getsignal(signal.SIGALRM)
    began = time.monotonic()
    yield
    assert time.monotonic() - began < SOON_S
    assert signal.getsignal(signal.SIGALRM) is handler
    assert this_thread.gate is None


@WHERE
def test_work_that_is_fast_enough(where):
    assert where(lambda: run_under_deadline(lambda: 1, 20)) == (1, None, False)


@WHERE
def test_work_that_raises(where):
    error = ValueError("boom")

    def fails():
        raise error

    assert where(lambda: run_under_deadline(fails, 20)) == (None, error, False)


@WHERE
def test_work_that_takes_too_long(where):
    value, error, fired = where(lambda: run_under_deadline(compute, 0.02))

    assert value is None
    assert isinstance(error, Interrupted)
    assert fired


def test_a_blocking_call_of_the_main_thread_is_interrupted():
    _, error, fired = run_under_deadline(lambda: time.sleep(60), 0.02)

    assert isinstance(error, Interrupted)
    assert fired


def test_waiting_for_a_lock_in_the_main_thread_is_interrupted():
    lock = threading.Lock()
    lock.acquire()

    _, error, _ = run_under_deadline(lock.acquire, 0.02)

    assert isinstance(error, Interrupted)


@WHERE
def test_what_is_told_when_the_time_is_over(where):
    told = threading.Event()

    where(lambda: run_under_deadline(compute, 0.02, told.set))

    assert told.wait(20)


@WHERE
def test_it_may_be_fired_from_outside(where):
    def work():
        return run_under_deadline(
            compute, None, None, lambda deadline: threading.Timer(0.02, deadline.fire).start()
        )

    _, error, fired = where(work)

    assert isinstance(error, Interrupted)
    assert fired


@WHERE
def test_firing_it_when_the_work_is_over_does_nothing(where):
    seen = []

    def work():
        run_under_deadline(lambda: 1, None, None, seen.append)
        seen[0].fire()
        return sum(range(10_000))

    assert where(work) == sum(range(10_000))
    assert seen[0].fired is False


@WHERE
def test_an_interruption_waits_while_the_engine_works(where):
    done = []

    def work():
        gate = this_thread.gate
        gate.enter_engine()
        until = time.monotonic() + 0.06
        while time.monotonic() < until:
            pass
        done.append("whole")
        gate.leave_engine()
        done.append("never")

    _, error, fired = where(lambda: run_under_deadline(work, 0.02))

    assert done == ["whole"]
    assert isinstance(error, Interrupted)
    assert fired


@WHERE
def test_what_ends_while_the_interruption_is_on_its_way_is_not_interrupted_later(where):
    def work():
        for _ in range(200):
            run_under_deadline(lambda: time.sleep(0.0005), 0.0005)
        return sum(range(100_000))

    assert where(work) == sum(range(100_000))


@WHERE
def test_an_inner_deadline_leaves_the_outer_one_alone(where):
    def outer():
        inner = run_under_deadline(compute, 0.02)
        return inner[2], sum(range(10_000))

    value, error, fired = where(lambda: run_under_deadline(outer, 20))

    assert value == (True, sum(range(10_000)))
    assert error is None
    assert not fired


@WHERE
def test_an_outer_deadline_interrupts_what_is_inside(where):
    seen = []

    def outer():
        seen.append(run_under_deadline(compute, 20))
        raise seen[0][1]

    _, error, fired = where(lambda: run_under_deadline(outer, 0.02))

    assert isinstance(error, Interrupted)
    assert fired
    assert seen == [(None, error, False)]  # it was not the inner time that was over


@WHERE
def test_catching_it_does_not_help(where):
    def stubborn():
        try:
            compute()
        except BaseException:  # noqa: BLE001 - as stubborn users write
            return "too late"

    value, _, fired = where(lambda: run_under_deadline(stubborn, 0.02))

    assert fired
    assert value == "too late"  # what it gives is handed on; that it is too late is told


def test_a_handler_of_ones_own_is_put_back():
    calls = []
    former = signal.signal(signal.SIGALRM, lambda *_: calls.append(1))
    try:
        run_under_deadline(lambda: time.sleep(60), 0.02)
        signal.raise_signal(signal.SIGALRM)
        assert calls == [1]
    finally:
        signal.signal(signal.SIGALRM, former)


def test_deadlines_of_many_threads_at_once():
    fired = []

    def work():
        fired.append(run_under_deadline(compute, 0.05)[2])

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)

    assert fired == [True] * 6
