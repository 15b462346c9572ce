"""The pool of threads: how many there are, who is lent, who is given up."""

from __future__ import annotations

import threading
import time

import pytest

from penstock.task_runners.pool import FIRST_WORKERS, WorkerPool
from penstock.task_runners.waiting import block


@pytest.fixture
def pool():
    pools = []

    def make(max_workers):
        pools.append(WorkerPool(max_workers))
        return pools[-1]

    yield make
    for one in pools:
        one.close()


def until(condition):
    """Wait until something is so; fail when it does not come to be."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def run_all(made, work, count):
    """Run `work(number)` for each number on the pool; give the answers when all are there."""
    answers = []
    over = threading.Semaphore(0)

    def one(number):
        answers.append(work(number))
        over.release()

    for number in range(count):
        made.submit(lambda number=number: one(number))
    for _ in range(count):
        assert over.acquire(timeout=20)
    return answers


@pytest.mark.parametrize("workers", [1, 2, 3, 50])
def test_everything_is_run_once(workers, pool):
    assert sorted(run_all(pool(workers), lambda number: number, 500)) == list(range(500))


def test_one_worker_runs_in_order(pool):
    assert run_all(pool(1), lambda number: number, 100) == list(range(100))


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_no_more_work_at_once_than_there_may(workers, pool):
    lock = threading.Lock()
    now, most = [0], [0]

    def work(_number):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.001)
        with lock:
            now[0] -= 1

    run_all(pool(workers), work, 60)

    assert most[0] <= workers


def test_it_grows_when_its_workers_are_blocked(pool):
    barrier = threading.Barrier(30, timeout=20)

    run_all(pool(30), lambda _number: barrier.wait(), 30)


def test_few_threads_do_for_work_that_is_short(pool):
    threads = run_all(pool(200), lambda _number: threading.current_thread(), 300)

    assert 1 <= len(set(threads)) <= 4 * FIRST_WORKERS
    assert all(thread.daemon for thread in threads)


def test_a_worker_that_waits_for_another_run_is_replaced(pool):
    made = pool(1)
    answers = []
    over = threading.Event()

    def waits(depth):
        if depth == 0:
            answers.append("deepest")
            return
        done = threading.Lock()
        done.acquire()

        def deeper():
            waits(depth - 1)
            done.release()

        made.submit(deeper)
        block(done)
        answers.append(depth)

    def begin():
        waits(10)
        over.set()

    made.submit(begin)

    assert over.wait(20)
    assert answers == ["deepest", *range(1, 11)]


def test_those_that_have_waited_do_not_make_it_larger(pool):
    made = pool(1)
    done = [threading.Lock() for _ in range(5)]
    for lock in done:
        lock.acquire()
    lock, now, most = threading.Lock(), [0], [0]

    def waits(number):
        block(done[number])
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        with lock:
            now[0] -= 1

    answered = threading.Thread(target=lambda: run_all(made, waits, 5))
    answered.start()
    for one in done:
        one.release()
    answered.join(20)
    assert not answered.is_alive()

    # When all is over, there is one worker again: two that meet would never both come.
    meeting = threading.Barrier(2)
    broken = []

    def meets(_number):
        try:
            meeting.wait(0.05)
        except threading.BrokenBarrierError:
            broken.append(1)

    run_all(made, meets, 2)
    assert len(broken) == 2


def test_one_that_is_given_up_is_replaced(pool):
    made = pool(1)
    stuck, release = threading.Event(), threading.Event()

    def blocks():
        stuck.set()
        release.wait(20)
        made.end_blocking()

    made.submit(blocks)
    assert stuck.wait(20)
    made.abandon()

    assert run_all(made, lambda number: number, 3) == [0, 1, 2]
    release.set()


def test_its_threads_end_when_it_is_closed(pool):
    made = pool(5)
    threads = set(run_all(made, lambda _number: threading.current_thread(), 20))

    made.close()

    until(lambda: not any(thread.is_alive() for thread in threads))


def test_what_was_submitted_before_it_was_closed_is_run(pool):
    made = pool(1)
    answers = []
    begin, over = threading.Event(), threading.Event()
    made.submit(lambda: begin.wait(20))
    made.submit(lambda: answers.append(1))
    made.submit(over.set)

    made.close()
    begin.set()

    assert over.wait(20)
    assert answers == [1]


def test_it_lets_go_of_what_it_has_run(pool):
    import gc
    import weakref

    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    made = pool(1)
    over = threading.Event()

    def work(thing=thing):
        over.set()

    made.submit(work)
    assert over.wait(20)
    del thing, work
    gc.collect()

    until(lambda: gone() is None)
