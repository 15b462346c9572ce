"""Results that are pickled in another way once they were read, as inputs after a resume (0022)."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
from collections import Counter
from typing import Any

import numpy as np
import pytest

from penstock import flow, task
from penstock.task_runners import ConcurrentTaskRunner


class Unsteady:
    """An object that tells in its pickled form whether it was read from one."""

    def __init__(self, value):
        self.value = value
        self.was_read = False

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.was_read = True


@dataclasses.dataclass
class Holder:
    held: Any


@pytest.fixture
def executed():
    """How often each task was executed."""
    return Counter()


@pytest.fixture
def makes(executed):
    @task
    def makes(value):
        executed["makes"] += 1
        return value

    return makes


@pytest.fixture
def takes(executed):
    @task
    def takes(x, y=0):
        executed["takes"] += 1
        return "taken"

    return takes


def executions(work, count=2):
    """Execute a flow run `count` times; `work` is told the number of each."""
    number = iter(range(count))

    @flow(name="runs", retries=count - 1, task_runner=ConcurrentTaskRunner(max_workers=1))
    def runs():
        now = next(number)
        work(now)
        if now < count - 1:
            raise ValueError("once more")

    runs()


# -- the same results -----------------------------------------------------------------------------

WAYS = {
    "whole": lambda makes, takes: takes(makes(Unsteady(1))),
    "array": lambda makes, takes: takes(makes(np.arange(100).reshape(10, 10)[:, ::2])),
    "masked": lambda makes, takes: takes(makes(np.ma.array([1, 2], mask=[0, 1]))),
    "by name": lambda makes, takes: takes(x=1, y=makes(Unsteady(1))),
    "two": lambda makes, takes: takes(makes(Unsteady(1)), makes(Unsteady(2))),
    "in a list": lambda makes, takes: takes([1, makes(Unsteady(1)), makes(Unsteady(2))]),
    "in a dict": lambda makes, takes: takes({"a": {"b": makes(Unsteady(1))}}),
    "in a dataclass": lambda makes, takes: takes(Holder(makes(Unsteady(1)))),
    "of a tuple": lambda makes, takes: takes(*makes((Unsteady(1), Unsteady(2)))),
    "of a dict": lambda makes, takes: takes(makes({"a": Unsteady(1), "b": 2})["a"]),
    "submitted": lambda makes, takes: takes.submit(makes(Unsteady(1))).result(),
    "a submitted one's": lambda makes, takes: takes(makes.submit(Unsteady(1)).result()),
    "beside a future": lambda makes, takes: takes.submit(
        [makes.submit(1), makes(Unsteady(1))]
    ).result(),
    "mapped": lambda makes, takes: [f.result() for f in takes.map([makes(Unsteady(1))])],
    "a future": lambda makes, takes: takes.submit(makes.submit(1)).result(),
    "a state": lambda makes, takes: takes(makes(1, return_state=True)),
    "a cached one's": lambda makes, takes: takes.submit(
        makes.with_options(cache_key_fn=lambda *_: "known").submit(1)
    ).result(),
    "mapped futures": lambda makes, takes: takes.submit(makes.map([1, Unsteady(1)])).result(),
    "waited for": lambda makes, takes: takes(makes(Unsteady(1)), wait_for=[makes.submit(1)]),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("count", [2, 3])
def test_what_takes_a_recorded_result_is_not_executed_again(
    way, count, makes, takes, executed, records
):
    counts = []

    def work(_now):
        WAYS[way](makes, takes)
        counts.append(executed.copy())

    executions(work, count)

    assert counts == [counts[0]] * count
    assert not any("executed again" in line for line in records.logs())


def test_a_subflow_takes_one_and_gives_one(makes, takes, executed):
    @flow
    def below(given):
        executed["below"] += 1
        return Unsteady(given.value + 1)

    executions(lambda _now: takes(below(makes(Unsteady(1)))), 3)

    assert executed == {"makes": 1, "below": 1, "takes": 1}


def test_what_is_first_executed_after_a_resume_is_not_executed_after_another(
    makes, takes, executed
):
    def work(now):
        value = makes(Unsteady(1))
        if now:
            takes(value)

    executions(work, 4)

    assert executed == {"makes": 1, "takes": 1}


# -- others ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("changed_in", [0, 1])
@pytest.mark.parametrize("kind", [Unsteady, Holder])
@pytest.mark.parametrize("is_part", [False, True], ids=["whole", "part"])
def test_a_result_that_the_flow_changed_in_one_execution_is_another_input(
    changed_in, kind, is_part, makes, takes, executed
):
    def work(now):
        value = makes((kind(1), 2))[0] if is_part else makes(kind(1))
        if now == changed_in:
            value.new = 2
            value.held = 2
        takes(value)

    executions(work)

    assert executed == {"makes": 1, "takes": 2}


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 0)])
def test_another_part_is_another_input(one, other, makes, takes, executed):
    executions(lambda now: takes(makes((Unsteady(1), Unsteady(1)))[(one, other)[now]]))

    assert executed == {"makes": 1, "takes": 2}


def test_a_result_that_was_made_anew_is_another_input(makes, takes, executed, records):
    executions(lambda now: takes(1, makes(Unsteady(now))))

    assert executed == {"makes": 2, "takes": 2}
    warnings = [line for line in records.logs() if "executed again" in line]
    why = "is executed again: its inputs differ from those recorded"
    assert warnings == [
        f"Task run 'makes-0' {why}.",
        f"Task run 'takes-0' {why} (other task runs gave 'y').",
    ]


def test_what_else_is_given_counts_as_well(makes, takes, executed):
    executions(lambda now: takes(makes(Unsteady(1)), now))

    assert executed == {"makes": 1, "takes": 2}


def test_the_content_is_enough_where_the_result_was_made_anew(makes, takes, executed):
    executions(lambda now: takes(makes([Unsteady(1), now])[0]))

    assert executed == {"makes": 2, "takes": 1}


def test_an_object_that_cannot_be_pickled_any_more_counts_by_its_type(makes, takes, executed):
    def work(_now):
        value = makes(Holder(1))
        value.held = threading.Lock()
        takes(value)

    executions(work)

    assert executed == {"makes": 1, "takes": 1}


FROM_OTHERS = {
    "future": lambda makes, takes, now: takes.submit(makes.submit(now)).result(),
    "among others": lambda makes, takes, now: takes.submit([makes.submit(now), 1]).result(),
    "state": lambda makes, takes, now: takes(makes(now, return_state=True)),
    "children": lambda makes, takes, now: takes.submit(makes.map([now, 2])).result(),
}


@pytest.mark.parametrize("way", FROM_OTHERS)
def test_what_comes_from_a_run_that_was_begun_anew_is_another_input(way, makes, executed):
    @task
    def takes(x):
        executed["takes"] += 1
        return x

    given = []
    executions(lambda now: given.append(FROM_OTHERS[way](makes, takes, now)))

    assert executed["takes"] == 2
    assert given[0] != given[1]


# -- in another process ---------------------------------------------------------------------------

PROGRAM = """
import os, sys
from pathlib import Path
from penstock import flow, task

class Words:
    def __init__(self, words):
        self.words = set(words)
    def __reduce__(self):
        return Words, (list(self.words),)

@task
def read():
    return Words(str(n) for n in range(100))

@task
def count(words):
    print("counts", flush=True)
    return len(words.words)

@flow
def counting():
    number = count(read())
    if len(sys.argv) == 1:
        from penstock.runtime import flow_run
        print(flow_run.id, flush=True)
        os._exit(9)
    return number

if __name__ == "__main__":
    print(counting.resume(sys.argv[1]) if len(sys.argv) > 1 else counting())
"""


def test_a_set_that_is_written_in_the_order_of_its_process(tmp_path):
    program = tmp_path / "words.py"
    program.write_text(PROGRAM)

    def run(seed, *arguments):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PENSTOCK_HOME": str(tmp_path)}
        environment.pop("PENSTOCK_STORE_URL", None)
        command = [sys.executable, str(program), *arguments]
        found = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        return found.returncode, found.stdout.split()

    code, (counts, flow_run_id) = run("1")
    assert (code, counts) == (9, "counts")
    assert run("2", flow_run_id) == (0, ["100"])
