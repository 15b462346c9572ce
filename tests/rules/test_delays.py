"""How long a task run waits between attempts, and that jitter keeps the mean."""

from __future__ import annotations

import math
import random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.records import TaskRunPolicy
from penstock.rules.answers import draw_exponential
from penstock.rules.delays import clamped, retry_delay

positive = st.floats(min_value=0.01, max_value=1e6)


def no_jitter(mean_s):
    raise AssertionError("nothing is to be drawn")


@pytest.mark.parametrize("factor", [None, 0, 0.0])
def test_without_a_factor_nothing_is_drawn(factor):
    policy = TaskRunPolicy(retries=1, retry_delay=3, retry_jitter_factor=factor)
    assert retry_delay(policy, 1, no_jitter) == 3.0


@pytest.mark.parametrize("delay", [None, 0, [], [0, 0]])
def test_without_a_delay_nothing_is_drawn(delay):
    policy = TaskRunPolicy(retries=1, retry_delay=delay, retry_jitter_factor=1)
    assert retry_delay(policy, 1, no_jitter) == 0.0


def test_the_mean_of_the_draw_is_the_delay_of_this_attempt():
    means = []
    policy = TaskRunPolicy(retries=3, retry_delay=[1, 10], retry_jitter_factor=0.5)
    for run_count in (1, 2, 3):
        retry_delay(policy, run_count, lambda mean: means.append(mean) or mean)
    assert means == [1, 10, 10]


@given(drawn=st.floats(min_value=0, max_value=1e9), mean=positive, factor=positive)
def test_a_delay_stays_within_its_bounds(drawn, mean, factor):
    assert 0 <= clamped(drawn, mean, factor) <= mean * (1 + factor) * (1 + 1e-9)


@given(mean=positive, factor=positive)
def test_a_draw_of_the_mean_is_the_mean(mean, factor):
    assert clamped(mean, mean, factor) == pytest.approx(mean)


@given(first=positive, second=positive, factor=positive)
def test_a_longer_draw_is_never_a_shorter_delay(first, second, factor):
    low, high = sorted((first, second))
    assert clamped(low, 10, factor) <= clamped(high, 10, factor)


@pytest.mark.parametrize("factor", [0.1, 0.5, 1, 3, 10])
def test_the_delays_are_the_wanted_one_on_average(factor):
    # Draws at the middles of equal shares of the distribution: its mean, without chance.
    shares = 10_000
    draws = [-20 * math.log(1 - (share + 0.5) / shares) for share in range(shares)]
    assert fmean(clamped(each, 20, factor) for each in draws) == pytest.approx(20, rel=0.001)


def test_the_default_draw_is_exponential():
    random.seed(11)
    drawn = [draw_exponential(4) for _ in range(20_000)]
    assert min(drawn) >= 0
    assert fmean(drawn) == pytest.approx(4, rel=0.05)
    assert sum(each > 4 for each in drawn) / len(drawn) == pytest.approx(0.368, abs=0.02)
