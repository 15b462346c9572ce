"""Many processes on one database file (PAINS 2): nobody sees a lock, and nothing is lost."""

from __future__ import annotations

from collections import Counter

PROCESSES = 8
TASKS = 500


def test_processes_share_a_file_that_none_of_them_finds(programs, database, ledger, tmp_path):
    gate = tmp_path / "gate"
    kinds = ["calls", "maps"] * (PROCESSES // 2)
    children = [programs.start("crowd.py", kind, TASKS, gate) for kind in kinds]
    for child in children:
        programs.wait_until(child)
    assert not database.path.exists()

    gate.touch()
    ended = [programs.end(child) for child in children]

    assert {each.code for each in ended} == {0}, [each.err[-2000:] for each in ended]
    assert {each.out for each in ended} == {f"value {sum(range(TASKS))}\n"}
    complaints = [
        line for each in ended for line in each.err.splitlines() if "| INFO " not in line
    ]
    assert not complaints
    assert database.is_sound()
    assert database.counts("flow_run") == {"Completed": PROCESSES}
    assert database.counts("task_run") == {"Completed": PROCESSES * TASKS}
    assert database.read("select count(*) from flow") == [(2,)]
    of_each = database.read("select count(*) from task_run group by flow_run_id")
    assert of_each == [(TASKS,)] * PROCESSES
    messages = "select count(distinct message), count(*) from log where message like 'task % of %'"
    of_maps = PROCESSES // 2 * TASKS
    assert database.read(messages) == [(of_maps, of_maps)]
    processes = Counter(line.split()[-1] for line in ledger.read_text().splitlines())
    assert list(processes.values()) == [TASKS] * PROCESSES
