"""Calls in place of the present one: any number of them, one frame deep."""

from __future__ import annotations

import sys

import pytest

from penstock.graph.tail_calls import RecursiveCall, is_tail_recursive, tail_recursive


def test_a_call_is_made_in_place_of_the_present_one():
    depths = []

    @tail_recursive
    def count(left, total=0):
        depths.append(len(frames()))
        if left:
            raise RecursiveCall(count, left - 1, total=total + 1)
        return total

    assert count(5_000) == 5_000
    assert len(set(depths)) == 1


def frames():
    frame = sys._getframe(1)
    found = []
    while frame is not None:
        found.append(frame)
        frame = frame.f_back
    return found


def test_it_is_made_with_the_arguments_that_are_asked_for():
    @tail_recursive
    def gather(*args, **kwargs):
        if not kwargs:
            raise RecursiveCall(gather, *args, 2, third=3)
        return args, kwargs

    assert gather(1) == ((1, 2), {"third": 3})


def test_a_bound_method_is_called_with_its_object():
    class Countdown:
        def __init__(self, left):
            self.left = left

        @tail_recursive
        def run(self, calls=1):
            self.left -= 1
            if self.left:
                raise RecursiveCall(self.run, calls + 1)
            return calls

    assert Countdown(7).run() == 7


def test_a_method_may_be_asked_for_with_its_object_by_hand():
    class Countdown:
        def __init__(self, left):
            self.left = left

        @tail_recursive
        def run(self, calls=1):
            self.left -= 1
            if self.left:
                raise RecursiveCall(Countdown.run, self, calls=calls + 1)
            return calls

    assert Countdown(7).run() == 7


def test_a_function_that_is_not_decorated_is_an_error():
    def plain():
        return 1

    @tail_recursive
    def call():
        raise RecursiveCall(plain)

    with pytest.raises(RecursionError, match=r"plain.*@tail_recursive"):
        call()


def test_a_request_for_another_function_goes_on_to_where_that_one_was_called():
    @tail_recursive
    def inner():
        raise RecursiveCall(outer, again=False)

    @tail_recursive
    def outer(again=True):
        return inner() if again else "outer again"

    assert outer() == "outer again"


def test_without_its_wrapper_around_it_a_request_is_raised():
    @tail_recursive
    def outer():
        return 1

    @tail_recursive
    def inner():
        raise RecursiveCall(outer)

    with pytest.raises(RecursiveCall):
        inner()


def test_what_a_function_raises_otherwise_is_raised():
    @tail_recursive
    def fails():
        raise ValueError("boom")

    with pytest.raises(ValueError, match="boom"):
        fails()


def test_code_between_that_catches_exceptions_lets_a_request_through():
    @tail_recursive
    def careful(left):
        try:
            if left:
                raise RecursiveCall(careful, left - 1)
        except Exception:  # noqa: BLE001 - as careful users write
            return "caught"
        return "done"

    assert careful(3) == "done"


def test_who_makes_such_calls_can_be_told():
    def plain():
        return 1

    assert is_tail_recursive(tail_recursive(plain))
    assert not is_tail_recursive(plain)
    assert tail_recursive(plain).__name__ == "plain"
