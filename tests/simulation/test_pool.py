"""The pool of workers under every order of things that a seed can think of."""

from __future__ import annotations

import threading
from random import Random

import pytest

from penstock import clock, world
from penstock.task_runners.waiting import block
from penstock.testing import Simulation


class Works:
    """Work on a pool that waits for other work on the same pool, as tasks do that call tasks."""

    def __init__(self, random, limit):
        self.random = random
        self.limit = limit
        self.pool = world.stand_in.new_pool(limit)
        self.at_work = 0
        self.done = 0

    def submit(self, depth):
        over = threading.Lock()
        over.acquire()

        def work():
            self.at_work += 1
            for _ in range(self.random.randrange(4)):
                others = [
                    self.submit(depth - 1) for _ in range(self.random.randrange(min(depth, 3)))
                ]
                clock.sleep(self.random.choice((0, 0, 0.001, 0.02)))
                for other in others:
                    self.at_work -= 1
                    block(other)
                    self.at_work += 1
            self.at_work -= 1
            self.done += 1
            over.release()

        self.pool.submit(work)
        return over


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_no_work_is_forgotten(first, tmp_path):
    def run():
        works = Works(Random(seed), Random(seed).randint(1, 4))
        begun = [works.submit(4) for _ in range(4)]
        for over in begun:
            world.acquire(over)
        return works

    simulation = Simulation(0, tmp_path / "simulated.db")
    for seed in range(first, first + 20):
        simulation.seed = seed
        life = simulation.run(run)

        assert life.error is None
        assert life.value.done >= 4
        assert life.value.at_work == 0
    simulation.close()
