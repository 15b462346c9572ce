"""The tables of moves say what the rules do: every pair of types, in every circumstance."""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from itertools import product

import pytest

from penstock.records import FlowRunPolicy, TaskRunPolicy
from penstock.rules import FLOW_MOVES, MOVES, TASK_MOVES, decide_flow, decide_task
from penstock.states import StateType

HOUR = timedelta(hours=1)
ORIGINS = [None, *StateType]


def task_circumstances(make, origin):
    """Give task runs in `origin`, and facts, in all the ways that make a difference."""
    datas = [None, make.stored] if origin == "COMPLETED" else [None]
    times = [make.NOW - HOUR, make.NOW + HOUR] if origin in {"SCHEDULED", "PENDING"} else [None]
    cached = make.state("COMPLETED", data=make.stored, cache_key="k")
    for data, time, retries, flow, alone in product(
        datas, times, [0, 1], ["RUNNING", "PAUSED", "CANCELLING"], [True, False]
    ):
        state = make.state(origin, data=data, scheduled_time=time) if origin else None
        fields = {"flow_run_id": None} if alone else {}
        policy = TaskRunPolicy(retries=retries)
        run = make.task_run(state, run_count=1, empirical_policy=policy, **fields)
        facts = make.facts(flow_run=None if alone else make.flow_run(flow))
        for entry in (None, cached):
            facts.cached = entry
            yield run, facts


def flow_circumstances(make, origin):
    """Give flow runs in `origin`, and facts, in all the ways that make a difference."""
    datas = [None, make.stored] if origin == "COMPLETED" else [None]
    times = [make.NOW - HOUR, make.NOW + HOUR] if origin in {"SCHEDULED", "PENDING"} else [None]
    timeouts = [None, make.NOW - HOUR] if origin == "PAUSED" else [None]
    for data, time, timeout, reschedule, retries, deployed, pid in product(
        datas, times, timeouts, [True, False], [None, 1], [make.running_flow.id, None], ["7", None]
    ):
        details = {
            "scheduled_time": time,
            "pause_timeout": timeout,
            "pause_reschedule": reschedule,
        }
        state = make.state(origin, data=data, **details) if origin else None
        policy = FlowRunPolicy(retries=retries)
        run = make.flow_run(
            state,
            run_count=1,
            empirical_policy=policy,
            deployment_id=deployed,
            infrastructure_pid=pid,
        )
        yield run, make.facts()


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("kind", list(MOVES))
def test_the_rules_make_these_moves_and_no_others(make, kind, origin):
    circumstances = task_circumstances if kind == "task run" else flow_circumstances
    decide = decide_task if kind == "task run" else decide_flow
    made = defaultdict(set)
    for run, facts in circumstances(make, origin):
        for target in StateType:
            answer = decide(run, make.state(target, cache_key="k", pause_key="1"), facts)
            if answer.state is not None:
                made[target].add(answer.state.type)
    told = {target: set(given) for target, given in MOVES[kind][origin].items()}
    assert made == told


@pytest.mark.parametrize("moves", [FLOW_MOVES, TASK_MOVES])
def test_every_state_is_in_the_table(moves):
    assert set(moves) == set(ORIGINS)
    assert all(given for row in moves.values() for given in row.values())


@pytest.mark.parametrize("moves", [FLOW_MOVES, TASK_MOVES])
def test_every_run_can_end(moves):
    for origin in ORIGINS:
        reached, front = set(), {origin}
        while front:
            reached |= front
            front = {kind for each in front for row in moves[each].values() for kind in row}
            front -= reached
        assert "CANCELLED" in reached
