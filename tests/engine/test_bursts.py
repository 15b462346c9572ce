"""Many task runs that wait at once are set aside from the garbage collector, and given back."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import TYPE_CHECKING

import pytest

from penstock import flow, task
from penstock.clock import VirtualClock, use_clock
from penstock.engine.bursts import BURST, FULL_PASS_S, STRIDE, Burst

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH = BURST + 2 * STRIDE


class Node:
    """What can be in a cycle, and be looked after."""

    def __init__(self) -> None:
        self.itself = self


@pytest.fixture(autouse=True)
def _nothing_is_frozen() -> Iterator[None]:
    gc.collect()
    assert gc.get_freeze_count() == 0
    yield
    assert gc.get_freeze_count() == 0, "given back, whatever happened"


def _burst() -> None:
    burst = Burst()
    burst.set_aside()
    burst.end()


def test_task_runs_that_wait_are_set_aside_until_the_last_is_over() -> None:
    go = threading.Event()
    seen: list[int] = []

    @task
    def wait() -> None:
        go.wait(30)

    @flow
    def waits() -> int:
        first = wait.submit()
        rest = [wait.submit(wait_for=[first]) for _ in range(ENOUGH)]
        seen.append(gc.get_freeze_count())
        go.set()
        for one in rest:
            one.wait()
        return len(rest)

    assert waits() == ENOUGH
    assert seen[0] > 10 * BURST


def test_few_task_runs_leave_the_collector_alone() -> None:
    seen: list[int] = []

    @task
    def look(_number: int) -> None:
        seen.append(gc.get_freeze_count())

    @flow
    def few() -> int:
        return len([one.result() for one in look.map(range(BURST // 4))])

    assert few() == BURST // 4
    assert set(seen) == {0}


def test_cycles_that_tasks_leave_behind_are_freed_while_the_burst_goes_on() -> None:
    kept: list[weakref.ref[Node]] = []
    alive: list[int] = []

    @task
    def leave_a_cycle(number: int) -> None:
        kept.append(weakref.ref(Node()))
        if number == 3 * ENOUGH - 1:
            alive.append(sum(one() is not None for one in kept))

    @flow
    def leaves() -> int:
        return len([one.wait() for one in leave_a_cycle.map(range(3 * ENOUGH))])

    assert leaves() == 3 * ENOUGH
    assert alive[0] < ENOUGH


def test_what_the_program_froze_itself_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    try:
        burst = Burst()
        burst.set_aside()
        burst.end()
        assert not burst.is_on
        assert gc.get_freeze_count() == frozen
    finally:
        gc.unfreeze()


def test_a_program_that_collects_its_garbage_itself_is_left_alone() -> None:
    gc.disable()
    try:
        burst = Burst()
        burst.set_aside()
        assert not burst.is_on
        assert gc.get_freeze_count() == 0
    finally:
        gc.enable()


def test_of_two_bursts_the_last_to_end_gives_back() -> None:
    one, other = Burst(), Burst()
    one.set_aside()
    other.set_aside()
    one.end()
    assert gc.get_freeze_count() > 0
    other.end()
    assert gc.get_freeze_count() == 0


def test_a_process_with_burst_after_burst_still_frees_old_cycles() -> None:
    with use_clock(VirtualClock()) as clock:
        _burst()
        cycle = Node()
        gone = weakref.ref(cycle)
        gc.collect()  # it is old now, as what survives a burst is
        del cycle
        clock.sleep(FULL_PASS_S + 1)
        for _ in range(2):  # the first sees that Python has made a full pass itself
            _burst()
            clock.sleep(FULL_PASS_S + 1)
        assert gone() is None
