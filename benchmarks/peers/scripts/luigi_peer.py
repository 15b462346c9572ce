"""Luigi: one process, its local scheduler, a local file target for each task."""

from __future__ import annotations

import logging
import warnings
from importlib.metadata import version
from pathlib import Path

import common
import luigi

warnings.simplefilter("ignore")
logging.getLogger("luigi-interface").setLevel(logging.ERROR)


class Inc(luigi.Task):
    i = luigi.IntParameter()

    def requires(self):
        return [Inc(self.i - 1)] if self.i else []

    def output(self):
        return luigi.LocalTarget(f"inc-{self.i}")

    def run(self):
        x = int(Path(self.input()[0].path).read_text()) if self.i else 0
        write(self, common.inc(x))


class Item(luigi.Task):
    i = luigi.IntParameter()

    def output(self):
        return luigi.LocalTarget(f"item-{self.i}")

    def run(self):
        write(self, common.inc(self.i))


class Total(luigi.Task):
    n = luigi.IntParameter()

    def requires(self):
        return [Item(i) for i in range(self.n)]

    def output(self):
        return luigi.LocalTarget("total")

    def run(self):
        write(self, sum(int(Path(item.path).read_text()) for item in self.input()))


class Empty(luigi.Task):
    i = luigi.IntParameter()
    done = False

    def complete(self):
        return self.done

    def run(self):
        self.done = True


def write(one, value):
    with one.output().open("w") as file:
        file.write(str(value))


def build(root):
    if not luigi.build([root], local_scheduler=True, workers=1, log_level="ERROR"):
        raise SystemExit("luigi failed")
    path = getattr(root.output(), "path", None)
    return int(Path(path).read_text()) if path else None


def flows(n):
    for i in range(n):
        build(Empty(i))


if __name__ == "__main__":
    common.main(
        version("luigi"),
        {
            "chain": lambda a: lambda: build(Inc(a.n - 1)),
            "fan": lambda a: lambda: build(Total(a.n)),
            "flows": lambda a: lambda: flows(a.n),
            "cold": lambda _: lambda: build(Inc(0)),
            "kill": lambda a: lambda: build(Inc(a.n - 1)),
        },
        warm_up=lambda: build(Empty(-1)),
    )
