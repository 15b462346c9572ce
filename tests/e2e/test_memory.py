"""Memory of a flow of very many tasks (DESIGN 8, PAINS 6): finished task runs are let go."""

from __future__ import annotations

import sys

import pytest

BYTES_PER_TASK_LIMIT = 600
FIRST = 2_000

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="asks the kernel for the memory in use"),
]


# Mapped ones cost 20 % more time each: fewer of them show as well that nothing is kept.
@pytest.mark.parametrize(("kind", "count"), [("calls", 100_000), ("maps", 30_000)])
def test_memory_does_not_grow_with_the_tasks(programs, database, kind, count):
    ended = programs.run("many.py", kind, FIRST, count, timeout_s=100)

    assert ended.code == 0, ended.err
    *memory, value = ended.out.splitlines()
    assert value == f"value {sum(number * number for number in range(count))}"
    (first, at_first), (last, at_last) = (map(int, line.split()) for line in memory)
    assert (first, last) == (FIRST, count)
    per_task = (at_last - at_first) / (count - FIRST)
    assert per_task <= BYTES_PER_TASK_LIMIT
    assert database.counts("task_run") == {"Completed": count}
