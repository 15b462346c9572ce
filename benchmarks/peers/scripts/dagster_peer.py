"""Dagster: ops in one job, run by `execute_in_process` on the default instance on disk."""

from __future__ import annotations

import logging
import os
from importlib.metadata import version
from pathlib import Path

import common

# The instance reads its folder's settings when it is made; the folder is named by DAGSTER_HOME.
SETTINGS = "telemetry:\n  enabled: false\npython_logs:\n  python_log_level: ERROR\n"
Path(os.environ["DAGSTER_HOME"], "dagster.yaml").write_text(SETTINGS)

from dagster import DagsterInstance, DynamicOut, DynamicOutput, job, op  # noqa: E402

logging.getLogger("dagster").setLevel(logging.ERROR)
QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}


@op
def zero():
    return 0


@op
def inc(x):
    return common.inc(x)


@op
def total(xs):
    return sum(xs)


@op
def nothing():
    pass


@job
def empty():
    nothing()


@job
def one():
    inc(zero())


def run(a_job):
    return a_job.execute_in_process(instance=DagsterInstance.get(), run_config=QUIET)


def chain(arguments):
    """A job has to be drawn before it runs; drawing it is not timed."""

    @job
    def drawn():
        x = zero()
        for i in range(arguments.n):
            x = inc.alias(f"inc{i}")(x)

    return lambda: run(drawn).output_for_node(f"inc{arguments.n - 1}")


def fan(arguments):
    @op(out=DynamicOut())
    def items():
        for i in range(arguments.n):
            yield DynamicOutput(i, mapping_key=str(i))

    @job
    def drawn():
        total(items().map(inc).collect())

    return lambda: run(drawn).output_for_node("total")


def flows(n):
    for _ in range(n):
        run(empty)


if __name__ == "__main__":
    common.main(
        version("dagster"),
        {
            "chain": chain,
            "fan": fan,
            "flows": lambda a: lambda: flows(a.n),
            "cold": lambda _: lambda: run(one).output_for_node("inc"),
            "kill": chain,
        },
        warm_up=lambda: run(empty),
    )
