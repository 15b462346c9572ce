"""The rows about stores on a server, and about runs that wait to be resumed."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from tools.postgres_server import PostgresServer, find_or_install

from benchmarks.work import chain
from penstock import flow, pause_flow_run, resume_flow_run
from penstock.context import get_run_context
from penstock.settings import reload_settings
from penstock.store import get_store

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Sequence

    from benchmarks.work import Bench, Sample

FLEET = 64
WARM_UP = 20
COMMITS = 200
IDLE_S = 15.0
RESUMER = """
import sys, time
from penstock import resume_flow_run
for line in sys.stdin:
    asked = time.time()
    resume_flow_run(line.strip())
    print(asked, flush=True)
"""


def use_server(bench: Bench) -> str:
    """Start a server with its default settings, and have this process keep its records there."""
    binaries = find_or_install()
    if binaries is None:
        sys.exit("there is no PostgreSQL, and it could not be installed")
    server = PostgresServer(binaries, flushes=True)
    bench.ending.callback(server.close)
    server.start()
    server.execute("create database bench")
    bench.url = server.url("bench")
    os.environ["PENSTOCK_STORE_URL"] = bench.url
    reload_settings()
    get_store()
    return bench.url


@contextmanager
def counted_transactions() -> Generator[list[int]]:
    """Count the transactions in which the journal commits."""
    dialect: Any = get_store()._dialect  # noqa: SLF001 - only it knows what it puts together
    counts, apply = [0], dialect.apply

    def counting(group: Sequence[Any]) -> None:
        counts[0] += 1
        apply(group)

    dialect.apply = counting
    try:
        yield counts
    finally:
        del dialect.apply


class RowsFloor:
    """The rows that were recorded last, inserted again by one pipeline of psycopg."""

    TABLES = ("flow_run", "task_run", "log")

    def __init__(self, url: str) -> None:
        self.connection = psycopg.connect(url, autocommit=True)
        for table in self.TABLES:
            copy = sql.Identifier(f"floor_{table}")
            self.connection.execute(
                sql.SQL("create table {} (like {} including all)").format(
                    copy, sql.Identifier(table)
                )
            )

    def take(self, seen: dict[str, int], transactions: int) -> float:
        """Insert what is there now and was not `seen`, in so many transactions; seconds."""
        rows: list[tuple[sql.Composed, Any]] = []
        for table in self.TABLES:
            copy = sql.Identifier(f"floor_{table}")
            self.connection.execute(sql.SQL("truncate {}").format(copy))
            found = self.connection.execute(
                sql.SQL("select * from {} order by id offset {}").format(
                    sql.Identifier(table), seen.get(table, 0)
                ),
                binary=True,
            ).fetchall()
            marks = sql.SQL(", ").join([sql.Placeholder()] * len(found[0]))
            insert = sql.SQL("insert into {} values ({})").format(copy, marks)
            rows += [(insert, row) for row in found]
        size = -(-len(rows) // transactions)
        begin = time.perf_counter()
        with self.connection.pipeline():
            for first in range(0, len(rows), size):
                with self.connection.transaction():
                    for insert, row in rows[first : first + size]:
                        self.connection.execute(insert, row, prepare=True, binary=True)
        return time.perf_counter() - begin

    def seen(self) -> dict[str, int]:
        """Count what is there."""
        count = sql.SQL("select count(*) from {}")
        return {
            table: self.connection.execute(count.format(sql.Identifier(table))).fetchone()[0]  # pyright: ignore[reportOptionalSubscript]
            for table in self.TABLES
        }


def bench_fleet(bench: Bench) -> list[Sample]:
    """Flow runs at once, each of so many tasks; the floor has as many rows and transactions."""
    floor = RowsFloor(use_server(bench))
    samples: list[Sample] = []

    def one(_: int) -> None:
        bench.timed(chain, bench.count, bench.count)

    with ThreadPoolExecutor(FLEET) as threads:
        list(threads.map(one, range(FLEET)))
        for _ in range(bench.pairs):
            seen = floor.seen()
            with counted_transactions() as counts:
                begin = time.perf_counter()
                list(threads.map(one, range(FLEET)))
                work_s = time.perf_counter() - begin
            tasks = FLEET * bench.count
            floor_s = floor.take(seen, counts[0])
            samples.append({"floor": floor_s / tasks, "work": work_s / tasks})
    return samples


def bench_chain(bench: Bench) -> list[Sample]:
    """Tasks one after the other on a server; the floor is one insert and commit by psycopg."""
    url = use_server(bench)
    bench.timed(chain, WARM_UP, WARM_UP)
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(
        "create table item (id bytea primary key, type text, started float8, result bytea)"
    )

    def floor() -> float:
        begin = time.perf_counter()
        for _ in range(COMMITS):
            row = (os.urandom(16), "COMPLETED", 1.0, b"x" * 50)
            connection.execute("insert into item values (%s, %s, %s, %s)", row, prepare=True)
        return (time.perf_counter() - begin) / COMMITS

    return bench.paired(floor, lambda: bench.timed(chain, bench.count, bench.count) / bench.count)


@flow
def rests() -> float:
    """Pause, tell who it is, and give the time at which it goes on."""
    context = get_run_context()
    resting.append(str(context.flow_run.id))  # pyright: ignore[reportAttributeAccessIssue]
    pause_flow_run(timeout=600)
    return time.time()


resting: list[str] = []


def bench_resume(bench: Bench) -> list[Sample]:
    """How long after another process resumes a run its code goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", RESUMER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as resumer:
        assert resumer.stdin is not None
        assert resumer.stdout is not None
        samples: list[Sample] = []
        for number in range(bench.count + 1):
            woken: list[float] = []
            thread = threading.Thread(target=lambda to=woken: to.append(rests()))
            thread.start()
            while len(resting) <= number or not is_resting(resting[-1]):
                time.sleep(0.01)
            # Not in step with whoever looks.
            time.sleep(0.2 + number % 7 * 0.005)
            resumer.stdin.write(resting[-1] + "\n")
            resumer.stdin.flush()
            asked = float(resumer.stdout.readline())
            thread.join()
            bench.task_runs.append(0)
            samples.append({"work": woken[0] - asked})
        resumer.stdin.close()
    return samples[1:]


def is_resting(flow_run_id: str) -> bool:
    from uuid import UUID

    state = get_store().read_flow_run(UUID(flow_run_id)).state
    return state is not None and state.is_paused()


def bench_resume_on_server(bench: Bench) -> list[Sample]:
    """The same on a server."""
    use_server(bench)
    return bench_resume(bench)


@flow
async def rests_async() -> None:
    context = get_run_context()
    resting.append(str(context.flow_run.id))  # pyright: ignore[reportAttributeAccessIssue]
    await pause_flow_run(timeout=600)


def bench_idle(bench: Bench) -> list[Sample]:
    """What part of a core a process takes whose runs all wait."""

    async def waiting() -> list[Sample]:
        runs = [asyncio.create_task(rests_async()) for _ in range(bench.count)]  # pyright: ignore[reportArgumentType]
        while len(resting) < bench.count or not await asyncio.to_thread(all_rest):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        samples = [await idle() for _ in range(bench.pairs)]
        await asyncio.gather(*[resume_flow_run(each) for each in resting], *runs)
        return samples

    samples = asyncio.run(waiting())
    bench.task_runs += [0] * bench.count
    return samples


def all_rest() -> bool:
    return all(is_resting(each) for each in resting)


async def idle() -> Sample:
    begin, used = time.perf_counter(), time.process_time()
    await asyncio.sleep(IDLE_S)
    return {"work": 100 * (time.process_time() - used) / (time.perf_counter() - begin)}


def bench_idle_on_server(bench: Bench) -> list[Sample]:
    """The same on a server."""
    use_server(bench)
    return bench_idle(bench)


BENCHES: dict[str, Callable[[Bench], list[Sample]]] = {
    "pg-fleet": bench_fleet,
    "pg-chain": bench_chain,
    "resume": bench_resume,
    "pg-resume": bench_resume_on_server,
    "idle": bench_idle,
    "idle-1000": bench_idle,
    "pg-idle-1000": bench_idle_on_server,
}
