"""Forked and spawned processes of a program that runs flows (PAINS 21)."""

from __future__ import annotations

import re
import sys

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="nothing is forked there")

CHILDREN = 6
BESIDE = 60
TASKS_OF_A_CHILD = 4
TIMEOUT_S = 40

CASES = [
    ("forks",),
    ("pools", "fork"),
    ("pools", "spawn"),
    ("pools", "forkserver"),
    ("pools_after_a_flow", "fork"),
    ("pools_after_a_flow", "spawn"),
]


def complaints(ended):
    """Give what was said on stderr beside the usual."""
    return [line for line in ended.err.splitlines() if not re.match(r"[\d:.]+ \| INFO ", line)]


@pytest.mark.parametrize("case", CASES, ids=" ".join)
def test_flows_in_other_processes(programs, database, case):
    ended = programs.run("forking.py", *case, timeout_s=TIMEOUT_S)

    assert (ended.code, complaints(ended)) == (0, [])
    *children, last = ended.out.splitlines()
    assert last == f"value {sum(2 * number for number in range(BESIDE))}"
    assert sorted(children) == sorted(f"child {14 * number}" for number in range(CHILDREN))
    assert database.counts("flow_run") == {"Completed": CHILDREN + 1}
    tasks = CHILDREN * TASKS_OF_A_CHILD + BESIDE
    assert database.counts("task_run") == {"Completed": tasks}
    roots = "select count(*) from flow_run where parent_task_run_id is null"
    assert database.read(roots) == [(CHILDREN + 1,)]
    logs = "select count(*) from log where message like 'double %'"
    assert database.read(logs) == [(tasks,)]
    assert database.is_sound()
