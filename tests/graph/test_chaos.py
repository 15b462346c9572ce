"""Graphs in processes that are killed at random: what is recorded Completed stays done."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import textwrap

import pytest

from penstock.client import get_client
from penstock.store import get_store, reset_store

SEED = os.environ.get("CHAOS_SEED", "penstock")
"""Decides when processes are killed: CHAOS_SEED=... repeats a run that failed."""

KILLS = 6
LIVES_S = 0.5

WIDTH, TURNS = 120, 40

PROGRAM = """
    import datetime as dt
    import os
    import sys
    import time

    import penstock
    from penstock.graph import Flow, Parameter, context, signals, task, triggers
    from penstock.graph.executors import LocalDaskExecutor, LocalExecutor


    def note(line):
        file = os.open("ledger", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, f"{line}\\n".encode())
        os.close(file)


    @task
    def numbers(n):
        note("numbers")
        return list(range(n))

    @task
    def inc(x):
        time.sleep(0.005)
        note(f"{context.task_slug} {context.map_index}")
        return x + 1

    @task(max_retries=3, retry_delay=dt.timedelta(seconds=0.1))
    def flaky(x):
        note(f"flaky {context.task_run_count}")
        if context.task_run_count < 3:
            raise ValueError("not yet")
        return x

    @penstock.task
    def asked(turn):
        note(f"asked {turn}")
        return turn

    @task
    def polls():
        turn = context.get("task_loop_count", 1)
        note(f"turn {turn}")
        so_far = context.get("task_loop_result", 0) + asked(turn)
        time.sleep(0.04)
        if turn < {TURNS}:
            raise signals.LOOP(result=so_far)
        return so_far

    @task
    def fails():
        note("fails")
        raise ValueError("always")

    @task(trigger=triggers.any_failed)
    def repairs():
        note("repairs")
        return 1000

    @penstock.task(retries=2, retry_delay_seconds=0.05)
    def decorated(x):
        note(f"decorated {x}")
        if x == 2 and penstock.runtime.task_run.run_count < 2:
            raise ValueError("once")
        return 10 * x

    @task
    def summed(first, second, third, fourth, fifth):
        note("summed")
        return sum(first) + second + third + fourth + sum(fifth)

    EXECUTORS = {"here": LocalExecutor, "threads": lambda: LocalDaskExecutor(num_workers=4)}
    executor = EXECUTORS[os.environ["EXECUTOR"]]()

    with Flow("chaos", executor=executor) as flow:
        wide = inc.map(inc.map(numbers(Parameter("n", default={WIDTH}))))
        repaired = repairs(upstream_tasks=[fails()])
        several = decorated.map([1, 2, 3])
        answer = summed(wide, flaky(7), polls(), repaired, several)
    flow.set_reference_tasks([answer])

    if __name__ == "__main__":
        print("begun", flush=True)
        state = flow.resume(sys.argv[1]) if sys.argv[1:] else flow.run()
        print(type(state).__name__, state.result[answer].result)
"""
ANSWER = sum(range(2, WIDTH + 2)) + 7 + sum(range(1, TURNS + 1)) + 1000 + 60


class Chaos:
    """A graph run whose processes are killed again and again."""

    def __init__(self, folder, executor):
        self.folder = folder
        self.script = folder / "chaos.py"
        self.script.write_text(
            textwrap.dedent(PROGRAM).replace("{WIDTH}", str(WIDTH)).replace("{TURNS}", str(TURNS))
        )
        self.environment = os.environ | {
            "EXECUTOR": executor,
            "PENSTOCK_LOGGING_LEVEL": "ERROR",
            "PYTHONWARNINGS": "error",
        }
        self.kills = []
        self.killed = 0

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, self.script, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def live(self, seconds, *arguments):
        """Start a process, kill it after a while, and note what it has left."""
        child = self.start(*arguments)
        assert child.stdout.readline() == "begun\n", child.communicate()
        try:
            child.wait(seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            self.killed += 1
        child.communicate()
        self.kills.append((len(self.lines()), done()))

    def lines(self):
        """Give what was executed so far."""
        ledger = self.folder / "ledger"
        return ledger.read_text().splitlines() if ledger.exists() else []


def task_runs():
    """Read all task runs, through a connection of its own."""
    reset_store()
    with get_client(sync_client=True) as client:
        flow_runs = client.read_flow_runs()
    return [run for flow_run in flow_runs for run in get_store().read_task_runs(flow_run.id)]


def done():
    """Name, by its last line in the ledger, what is recorded to have come to its end."""
    return {last_line(run) for run in task_runs() if run.state.is_final()}


def last_line(run):
    """Give what a task run notes in the ledger when it comes to its end."""
    slug = run.task_key.rpartition("-")[0]
    if "@" in run.dynamic_key:
        return f"asked {run.dynamic_key.partition('.')[2] or 1}"
    index = run.dynamic_key.partition(".")[2]
    lines = {
        "flaky": "flaky 3",
        "polls": f"turn {TURNS}",
        "decorated": f"decorated {int(index or 0) + 1}",
    }
    if slug == "inc":
        return f"{run.task_key} {index}"
    return lines.get(slug, slug) if index or slug != "decorated" else "the parent of decorated"


@pytest.mark.parametrize("executor", ["here", "threads"])
def test_a_killed_graph_comes_to_the_same_end(executor, tmp_path, records):
    chaos = Chaos(tmp_path, executor)
    rng = random.Random(f"{SEED} {executor}")

    while len(chaos.kills) < KILLS:
        runs = records.flow_runs()
        arguments = [runs[0].id] if runs else []
        chaos.live(rng.uniform(0, LIVES_S), *arguments)
        reset_store()
    (run,) = records.flow_runs()
    last = chaos.start(run.id)
    out, err = last.communicate(timeout=30)

    assert out == f"begun\nSuccess {ANSWER}\n", err
    lines = chaos.lines()
    for length, ended in chaos.kills:
        again = ended & set(lines[length:])
        assert not again, f"executed again although recorded: {again}"
    assert sum(bool(ended) for _length, ended in chaos.kills) > 1, "the kills came too early"
    assert chaos.killed > 1, "the kills came too late"
    assert last_lines_expected() <= set(lines)
    assert {one.state.name for one in task_runs()} == {"Completed", "Mapped", "Failed"}
    assert done() >= last_lines_expected()
    records.check()


def last_lines_expected():
    """Give what is in the ledger of a run that is over, at least once each."""
    fixed = {"numbers", "fails", "repairs", "summed", "flaky 3"}
    children = {f"inc-{which} {index}" for which in (1, 2) for index in range(WIDTH)}
    turns = {f"asked {turn}" for turn in range(1, TURNS + 1)} | {f"turn {TURNS}"}
    return fixed | children | turns | {f"decorated {x}" for x in (1, 2, 3)}
