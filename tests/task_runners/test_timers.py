"""The one thread for everything that is to happen later."""

from __future__ import annotations

import threading
import time

from penstock.task_runners.timers import Timers, timers


def collected(schedule, count):
    """Give what `count` timers say, in the order they say it."""
    said = []
    over = threading.Semaphore(0)

    def say(word):
        said.append(word)
        over.release()

    schedule(say)
    for _ in range(count):
        assert over.acquire(timeout=20)
    return said


def test_the_earliest_is_called_first():
    made = Timers()

    def schedule(say):
        for delay_s in (0.06, 0.02, 0.04):
            made.call_later(delay_s, lambda delay_s=delay_s: say(delay_s))

    assert collected(schedule, 3) == [0.02, 0.04, 0.06]


def test_of_the_same_time_the_first_is_called_first():
    made = Timers()

    def schedule(say):
        for word in "abcdef":
            made.call_soon(lambda word=word: say(word))

    assert collected(schedule, 6) == list("abcdef")


def test_none_is_called_before_its_time():
    began = time.monotonic()

    def schedule(say):
        timers().call_later(0.05, lambda: say(time.monotonic() - began))

    assert collected(schedule, 1)[0] >= 0.05


def test_one_that_is_taken_back_is_not_called():
    made = Timers()

    def schedule(say):
        made.call_later(0.01, lambda: say("never")).cancel()
        made.call_later(0.02, lambda: say("called"))

    assert collected(schedule, 1) == ["called"]


def test_one_that_raises_is_reported_and_leaves_the_others_alone(monkeypatch):
    reported = []
    monkeypatch.setattr("sys.excepthook", lambda *error: reported.append(error[1]))
    made = Timers()

    def schedule(say):
        made.call_soon(lambda: 1 / 0)
        made.call_later(0.01, lambda: say("called"))

    assert collected(schedule, 1) == ["called"]
    assert isinstance(reported[0], ZeroDivisionError)


def test_there_is_one_for_the_process_and_its_thread_does_not_keep_it():
    assert timers() is timers()
    assert collected(lambda say: timers().call_soon(lambda: say(threading.current_thread())), 1)[
        0
    ].daemon
