"""Branches: the tables of section 4.5, by the graphs that are built and by what they give."""

from __future__ import annotations

import logging

import pytest

from penstock.graph import control_flow
from penstock.graph.ambient import context
from penstock.graph.control_flow import (
    CompareValue,
    FilterTask,
    Merge,
    case,
    ifelse,
    merge,
    switch,
)
from penstock.graph.edge import Edge
from penstock.graph.flow import Flow
from penstock.graph.parameter import Parameter
from penstock.graph.signals import FAIL, SKIP, TRIGGERFAIL
from penstock.graph.state import Failed, Skipped, Success
from penstock.graph.task import Task, task
from penstock.graph.task_runner import TaskRunner
from penstock.graph.triggers import all_finished, any_successful, not_all_skipped


@task
def identity(x):
    return x


@task
def inc(x):
    return x + 1


@task
def skipper():
    raise SKIP("not today")


@task
def failer():
    raise FAIL("broken")


class Say(Task):
    def __init__(self, what, **kwargs):
        self.what = what
        super().__init__(name=f"say {what}", **kwargs)

    def run(self):
        return self.what


def run(flow: Flow, **parameters):
    state = flow.run(parameters=parameters)
    return state, {t.name: s for t, s in state.result.items()}


# -- CompareValue ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "given", "skips"),
    [(1, 1, False), (1, 2, True), ("a", "a", False), (True, 1, False), (None, 0, True)],
)
def test_a_comparison_skips_itself(value, given, skips):
    compare = CompareValue(value)
    if skips:
        with pytest.raises(SKIP, match="did not match"):
            compare.run(given)
    else:
        assert compare.run(given) is None


# -- switch ---------------------------------------------------------------------------------------


def test_a_switch_puts_a_comparison_before_each_case():
    with Flow("switch") as flow:
        condition, a, b = identity("x"), Say("a"), Say("b")
        switch(condition, {"x": a, "y": b})
    compares = flow.get_tasks(task_type=CompareValue)
    assert [compare.value for compare in compares] == ["x", "y"]
    assert all(compare.tags == {"switch"} for compare in compares)
    assert flow.upstream_tasks(a) == {compares[0]}
    assert flow.upstream_tasks(b) == {compares[1]}
    assert {edge.key for edge in flow.edges_to(a)} == {None}
    assert {edge.key for edge in flow.edges_to(compares[0])} == {"value"}
    assert a.tags == set()


@pytest.mark.parametrize(("given", "succeeds"), [("x", "say a"), ("y", "say b"), ("z", None)])
def test_a_switch_runs_one_case(given, succeeds):
    with Flow("switch") as flow:
        condition, a, b = Parameter("condition"), Say("a"), Say("b")
        switch(condition, {"x": a, "y": b})
    state, states = run(flow, condition=given)
    assert state.is_successful()
    for name in ("say a", "say b"):
        assert states[name].is_skipped() is (name != succeeds)


def test_a_switch_without_a_flow():
    with pytest.raises(ValueError, match="Flow"):
        switch(Task(), {1: Task()})


def test_a_mapped_switch_decides_for_each_child():
    with Flow("mapped switch") as flow:
        condition = identity([1, 2, 1])
        one, two = inc.map([10, 20, 30]), inc.map([-10, -20, -30])
        switch(condition, {1: one, 2: two}, mapped=True)
        merged = merge(one, two, mapped=True)
    assert flow.run().result[merged].result == [11, -19, 31]


def test_a_skipped_condition_skips_all_cases():
    with Flow("skipped") as flow:
        a, b = Say("a"), Say("b")
        switch(skipper(), {"x": a, "y": b})
    state, states = run(flow)
    assert state.is_successful()
    assert states["say a"].is_skipped()
    assert states["say b"].is_skipped()


def test_a_failed_condition_fails_all_cases():
    with Flow("failed") as flow:
        a = Say("a")
        switch(failer(), {"x": a})
    state, states = run(flow)
    assert state.is_failed()
    assert type(states["say a"]).__name__ == "TriggerFailed"


# -- ifelse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "taken"),
    [(True, "yes"), (False, "no"), (1, "yes"), ([], "no"), ("false", "yes"), (None, "no")],
)
def test_ifelse_goes_by_truth(given, taken):
    with Flow("ifelse") as flow:
        condition, yes, no = Parameter("condition"), Say("yes"), Say("no")
        ifelse(condition, yes, no)
        merged = merge(yes, no)
    assert flow.run(parameters={"condition": given}).result[merged].result == taken


def test_ifelse_makes_a_truth_of_the_condition():
    with Flow("ifelse") as flow:
        ifelse(Parameter("condition"), Say("yes"), Say("no"))
    assert len(flow.get_tasks(name="as_bool")) == 1
    assert [t.value for t in flow.get_tasks(task_type=CompareValue)] == [True, False]


@pytest.mark.parametrize(
    ("yes", "no", "value"), [(Say("yes"), None, True), (None, Say("no"), False)]
)
def test_a_branch_that_is_none_adds_nothing(yes, no, value):
    with Flow("one branch") as flow:
        ifelse(Parameter("condition"), yes, no)
    assert [t.value for t in flow.get_tasks(task_type=CompareValue)] == [value]
    state, states = run(flow, condition=not value)
    assert state.is_successful()
    assert states[(yes or no).name].is_skipped()


def test_mapped_ifelse():
    with Flow("mapped ifelse") as flow:
        condition = identity([1, 0])
        yes, no = inc.map([1, 2]), inc.map([-1, -2])
        ifelse(condition, yes, no, mapped=True)
        merged = merge(yes, no, mapped=True)
    assert flow.run().result[merged].result == [2, -1]


# -- merge ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, None),
        ({"task_1": None}, None),
        ({"task_1": None, "task_2": 2, "task_3": 3}, 2),
        ({"task_2": 2, "task_1": 1}, 1),
        ({"task_1": 0, "task_2": 2}, 0),
        ({"task_10": 10, "task_2": 2}, 2),
        ({"b": 1, "a": None, "c": 2}, 1),
        ({"task_1": SKIP(), "task_2": 2}, 2),
        ({"task_1": SKIP()}, None),
    ],
)
def test_merge_gives_the_first_value(values, expected):
    assert Merge().run(**values) == expected


def test_merge_takes_branches_in_the_order_of_its_arguments():
    with Flow("twelve") as flow:
        branches = [identity(None) for _ in range(1)] + [identity(n) for n in range(2, 13)]
        merged = merge(*branches)
    assert {edge.key for edge in flow.edges_to(merged)} == {f"task_{n}" for n in range(1, 13)}
    assert flow.run().result[merged].result == 2


def test_merge_does_not_mind_skipped_branches():
    assert merge_state(Skipped(), Success(result=2)).result == 2
    assert merge_state(Success(result=1), Skipped()).result == 1


def test_merge_is_skipped_with_all_its_branches():
    assert merge_state(Skipped(), Skipped()).is_skipped()


def test_merge_fails_with_a_branch():
    assert type(merge_state(Failed(), Success(result=2))).__name__ == "TriggerFailed"


def test_merge_of_a_branch_that_skipped_itself():
    with Flow("own skip") as flow:
        merged = merge(skipper(), Say("b"))
    assert flow.run().result[merged].result == "b"


def merge_state(*states):
    merged = Merge()
    edges = {Edge(Task(), merged, key=f"task_{n}"): s for n, s in enumerate(states, 1)}
    return TaskRunner(merged).run(upstream_states=edges)


def test_merge_cannot_be_skipped_with_one_branch():
    with pytest.raises(ValueError, match="skip_on_upstream_skip"):
        Merge(skip_on_upstream_skip=True)
    flow = Flow("merge")
    with pytest.raises(ValueError, match="skip_on_upstream_skip"):
        merge(Task(), flow=flow, skip_on_upstream_skip=True)


def test_merge_takes_options():
    with Flow("options") as flow:
        merged = merge(Say("a"), name="chosen", trigger=any_successful, tags=["t"])
    assert merged.name == "chosen"
    assert merged.trigger is any_successful
    assert merged.tags == {"t"}
    assert merged in flow.tasks
    assert Merge().trigger is not_all_skipped
    assert Merge().skip_on_upstream_skip is False


def test_merge_into_a_flow_that_is_given():
    flow = Flow("given")
    merged = merge(Say("a"), flow=flow)
    assert merged in flow.tasks
    with pytest.raises(ValueError, match="Flow"):
        merge(Say("a"))


def test_merge_of_values():
    with Flow("values") as flow:
        merged = merge(skipper(), 5)
    assert flow.run().result[merged].result == 5


# -- case -----------------------------------------------------------------------------------------


def test_a_case_compares_before_what_is_first_in_it():
    with Flow("case") as flow:
        condition = identity(1)
        with case(condition, 1):
            a = Say("a")()
            b = inc(a)
            c = Say("c")()
            d = inc(condition)
    (compare,) = flow.get_tasks(task_type=CompareValue)
    assert compare.name == "case(1)"
    assert flow.upstream_tasks(compare) == {condition}
    assert flow.upstream_tasks(a) == {compare}
    assert flow.upstream_tasks(b) == {a}
    assert flow.upstream_tasks(c) == {compare}
    assert flow.upstream_tasks(d) == {compare, condition}


@pytest.mark.parametrize(("given", "expected"), [("a", 11), ("b", 21), ("c", None)])
def test_cases_and_a_merge(given, expected):
    with Flow("cases") as flow:
        condition = Parameter("condition")
        with case(condition, "a"):
            one = inc(identity(10))
        with case(condition, "b"):
            other = inc(identity(20))
        merged = merge(one, other)
    state = flow.run(parameters={"condition": given})
    assert state.is_successful()
    assert state.result[merged].result == expected
    assert state.result[merged].is_skipped() is (expected is None)


@pytest.mark.parametrize(
    ("outer", "inner", "expected"), [(1, 1, "in"), (1, 2, "out"), (2, 1, "skip"), (2, 2, "skip")]
)
def test_cases_nest(outer, inner, expected):
    with Flow("nested") as flow:
        x, y = Parameter("x"), Parameter("y")
        with case(x, 1):
            with case(y, 1):
                a = Say("in")()
            with case(y, 2):
                b = Say("out")()
    (compare_outer,) = (
        t for t in flow.get_tasks(task_type=CompareValue) if x in flow.upstream_tasks(t)
    )
    for compare in flow.downstream_tasks(y):
        assert flow.upstream_tasks(compare) == {y, compare_outer}
    states = flow.run(parameters={"x": outer, "y": inner}).result
    assert states[a].is_skipped() is (expected != "in")
    assert states[b].is_skipped() is (expected != "out")


def test_an_empty_case_adds_nothing():
    with Flow("empty") as flow:
        with case(identity(1), 1):
            pass
        with case(identity(2), 1):
            flow.add_task(Parameter("p"))
    assert flow.get_tasks(task_type=CompareValue) == []


def test_parameters_and_constants_belong_to_no_case():
    with Flow("constants") as flow, case(identity(1), 1):
        p = Parameter("p", default=1)
        a = inc(p)
        b = identity([1, 2])
        c = Say("c")
        c.set_upstream(7)
    (compare,) = flow.get_tasks(task_type=CompareValue)
    assert flow.downstream_tasks(compare) == {a, b, c}


def test_tasks_that_were_there_before_belong_to_no_case():
    with Flow("before") as flow:
        before = Say("before")()
        with case(identity(1), 2):
            after = inc(before)
    assert flow.upstream_tasks(before) == set()
    states = flow.run().result
    assert states[before].is_successful()
    assert not states[before].is_skipped()
    assert states[after].is_skipped()


def test_a_case_does_not_compare_with_a_task():
    with Flow("task"):
        value = identity(1)
        with pytest.raises(TypeError, match=r"'identity'.*is_equal"):
            case(1, value)


def test_a_case_is_of_one_flow():
    other = Flow("other")
    with Flow("one"), pytest.raises(ValueError, match=r"'one'.*'other'"), case(identity(1), 1):
        Say("a")()
        other.add_task(Task(name="b"))


@pytest.mark.parametrize("fails", [False, True])
def test_a_case_leaves_the_context_as_it_was(fails):
    with Flow("context"):
        outer = case(identity(1), 1)
        with outer:
            assert context.get("case") is outer
            try:
                with case(identity(2), 1) as inner:
                    assert context.get("case") is inner
                    if fails:
                        raise KeyError
            except KeyError:
                pass
            assert context.get("case") is outer
            Say("a")()
        assert "case" not in context


def test_a_case_that_could_not_be_built_adds_no_comparison():
    flow = Flow("broken")
    with flow, pytest.raises(KeyError), case(identity(1), 1):
        Say("a")()
        raise KeyError
    assert flow.get_tasks(task_type=CompareValue) == []


def test_a_case_can_be_used_again():
    with Flow("again") as flow:
        block = case(identity(1), 1)
        with block:
            a = Say("a")()
        with block:
            b = Say("b")()
    assert len(flow.get_tasks(task_type=CompareValue)) == 2
    assert flow.upstream_tasks(a) != flow.upstream_tasks(b)


def test_a_mapped_task_in_a_case():
    with Flow("mapped") as flow:
        with case(Parameter("go"), True):
            mapped = inc.map([1, 2])
        after = merge(mapped)
    assert flow.run(parameters={"go": True}).result[after].result == [2, 3]
    assert flow.run(parameters={"go": False}).result[after].is_skipped()


# -- FilterTask -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter_func", "given", "expected"),
    [
        (None, [1, None, 2], [1, 2]),
        (None, [1, ValueError(), SKIP(), TRIGGERFAIL()], [1]),
        (None, [0, "", False, []], [0, "", False, []]),
        (None, [], []),
        (lambda r: r != 2, [1, 2, 3], [1, 3]),
        (lambda r: True, [None], [None]),
    ],
)
def test_a_filter_keeps_what_is_of_use(filter_func, given, expected):
    assert FilterTask(filter_func=filter_func).run(given) == expected


def test_a_filter_runs_whatever_happened():
    filtered = FilterTask()
    assert filtered.trigger is all_finished
    assert filtered.skip_on_upstream_skip is False
    with Flow("filtered") as flow:

        @task
        def odd(n):
            if n == 2:
                raise ValueError(n)
            if n == 3:
                raise SKIP
            return n

        kept = filtered(odd.map([1, 2, 3, 4]))
    assert flow.run().result[kept].result == [1, 4]


def test_a_filter_logs_what_it_drops(caplog):
    caplog.set_level(logging.INFO)
    logging.getLogger("penstock").addHandler(caplog.handler)
    try:
        FilterTask(log_func=lambda r: f"dropped {r!r}").run([1, None, 2])
    finally:
        logging.getLogger("penstock").removeHandler(caplog.handler)
    assert "dropped None" in caplog.text
    assert "dropped 1" not in caplog.text


def test_what_control_flow_hands_on():
    assert all(hasattr(control_flow, name) for name in control_flow.__all__)
