from __future__ import annotations

import os
import sys
import threading

import pytest

from penstock.ids import new_id
from penstock.logging import buffer
from penstock.logging.buffer import drain, give_back, on_overflow, pending, put, put_rows


def row(message="hello", flow_run_id=b"f" * 16):
    return (flow_run_id, new_id().bytes, None, "penstock.flow_runs", 20, message, 1.0)


def test_rows_come_out_in_order_and_once():
    rows = [row(str(number)) for number in range(5)]
    put_rows(rows)

    assert pending() == 5
    assert drain(2) == rows[:2]
    assert drain() == rows[2:]
    assert drain() == []
    assert pending() == 0


def test_rows_of_a_failed_commit_come_out_first_again():
    rows = [row(str(number)) for number in range(4)]
    put_rows(rows)
    taken = drain(2)

    give_back(taken)

    assert drain() == rows


def test_too_many_rows_are_flushed_by_who_logs(monkeypatch):
    monkeypatch.setattr(buffer, "FLUSH_ROWS", 10)
    written = []
    on_overflow(lambda: written.extend(drain()))

    rows = [row(str(number)) for number in range(25)]
    put_rows(rows)

    assert written + drain() == rows
    assert len(written) == 20


def test_long_messages_count_by_length(monkeypatch):
    monkeypatch.setattr(buffer, "FLUSH_CHARACTERS", 1000)
    written = []
    on_overflow(lambda: written.extend(drain()))

    put_rows([row("x" * 600), row("y" * 600), row("z")])

    assert [len(each[5]) for each in written] == [600, 600]
    assert pending() == 1


def test_a_flush_that_logs_does_not_flush_again(monkeypatch):
    monkeypatch.setattr(buffer, "FLUSH_ROWS", 3)
    depth = []

    def flush():
        depth.append(len(depth))
        put(row("from the flush"))
        drain()

    on_overflow(flush)
    put_rows([row(), row(), row()])

    assert depth == [0]


def test_a_flush_that_fails_loses_nothing_and_says_so(monkeypatch, caplog):
    monkeypatch.setattr(buffer, "FLUSH_ROWS", 3)

    def flush():
        message = "disk full"
        raise OSError(message)

    on_overflow(flush)
    rows = [row(), row(), row()]
    put_rows(rows)

    assert drain() == rows
    assert "could not be recorded yet" in caplog.text
    assert "disk full" in caplog.text


@pytest.mark.parametrize("bound", [{"MAX_ROWS": 10}, {"MAX_CHARACTERS": 50}])
def test_beyond_the_bounds_the_oldest_rows_go_and_a_note_says_how_many(monkeypatch, bound):
    for name, value in {"FLUSH_ROWS": 5, "FLUSH_CHARACTERS": 20, **bound}.items():
        monkeypatch.setattr(buffer, name, value)
    rows = [row("12345") for _ in range(30)]

    put_rows(rows)
    *kept, note = drain()

    assert kept == rows[-10:]
    assert note[0] == rows[0][0]
    assert note[4] == 30
    assert "20 log records were dropped" in note[5]
    assert drain() == []


def test_rows_given_back_keep_the_bounds(monkeypatch):
    monkeypatch.setattr(buffer, "MAX_ROWS", 3)
    give_back([row(str(number)) for number in range(5)])

    assert [each[5] for each in drain()][:3] == ["2", "3", "4"]


def test_rows_of_many_threads_all_arrive():
    def log():
        for _ in range(500):
            put(row())

    threads = [threading.Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    found = []
    while any(thread.is_alive() for thread in threads) or pending():
        found.extend(drain(100))
    for thread in threads:
        thread.join()

    assert len({each[1] for each in found}) == len(found) == 2000


@pytest.mark.skipif(sys.platform == "win32", reason="there is no fork")
def test_a_forked_child_leaves_its_parents_rows_to_the_parent():
    put(row())
    buffer._buffer.lock.acquire()
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        waiting = pending()
        put(row())
        os._exit(0 if (waiting, len(drain())) == (0, 1) else 1)
    buffer._buffer.lock.release()

    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert pending() == 1
