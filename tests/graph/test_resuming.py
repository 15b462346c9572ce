"""Graph runs that go on: after a crash, a failure, a pause; what is kept, and what begins anew."""

from __future__ import annotations

import datetime as dt
import io
import logging
import os
import subprocess
import sys
import textwrap
import threading
import time
from collections import Counter
from uuid import uuid4

import pytest

import penstock
from penstock.exceptions import MissingResult, ObjectNotFound, RunOwnedElsewhere
from penstock.graph import Flow, Parameter, case, context, merge, pause_task, signals, task
from penstock.graph.executors import LocalDaskExecutor, LocalExecutor
from penstock.graph.triggers import all_finished, any_failed, manual_only


@pytest.fixture(
    params=[LocalExecutor, lambda: LocalDaskExecutor(num_workers=2)], ids=["one by one", "threads"]
)
def executor(request):
    return request.param()


class Trouble:
    """Breaks a run as long as it is there."""

    def __init__(self):
        self.error = KeyboardInterrupt

    def __bool__(self):
        return self.error is not None

    def strike(self):
        """Raise what there is to raise."""
        if self.error is not None:
            raise self.error

    def ends(self):
        """Let everything succeed from now on."""
        self.error = None


@pytest.fixture
def trouble():
    return Trouble()


@pytest.fixture
def breaking(trouble, ledger):
    @task
    def breaks(value=None):
        ledger.append("breaks")
        trouble.strike()
        return value

    return breaks


def interrupt(flow, **parameters):
    with pytest.raises(KeyboardInterrupt):
        flow.run(**parameters)


# -- after a crash --------------------------------------------------------------------------------


def test_finished_tasks_are_not_run_again(executor, breaking, trouble, ledger, records):
    with Flow("chain", executor=executor) as flow:
        n = Parameter("n")
        first = ledger.noted(n)
        broken = breaking(first)
        last = ledger.noted(broken)
    interrupt(flow, n="first")
    assert records.flow_run().state.is_crashed()
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.is_successful()
    assert state.result[last].result == "first"
    assert state.result[n].result == state.result[first].result == "first"
    assert ledger == ["first", "breaks", "breaks", "first"]
    assert len(records.flow_runs()) == 1
    records.check()


def test_a_half_finished_map_runs_what_is_missing(executor, trouble, records):
    calls = Counter()

    @task
    def child(x):
        calls[x] += 1
        if x == 3:
            trouble.strike()
        return 10 * x

    @task
    def total(values):
        return sum(values)

    with Flow("map", executor=executor) as flow:
        children = child.map([0, 1, 2, 3, 4, 5])
        summed = total(children)
    interrupt(flow)
    done = {run.dynamic_key for run in records.task_runs("child") if run.state.is_completed()}
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.result[summed].result == 150
    assert state.result[children].result == [0, 10, 20, 30, 40, 50]
    again = {x for x, count in calls.items() if count > 1}
    assert 3 in again
    assert not {f"0.{x}" for x in again} & done
    records.check()


def test_branches_that_failed_or_were_skipped_stay_so(breaking, trouble, ledger, records):
    @task
    def fails():
        ledger.append("fails")
        raise ValueError("no")

    @task(trigger=any_failed)
    def repairs():
        ledger.append("repairs")
        return "repaired"

    with Flow("branches") as flow:
        failed = fails()
        repaired = repairs(upstream_tasks=[failed])
        with case(repaired, "no"):
            unused = ledger.noted("unused")
        with case(repaired, "repaired"):
            used = ledger.noted("used")
        merged = merge(unused, used)
        final = breaking(merged)
    flow.set_reference_tasks([final])
    interrupt(flow)
    before = list(ledger)
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.is_successful()
    assert state.result[final].result == "used"
    assert isinstance(state.result[failed].result, ValueError)
    assert type(state.result[unused]).__name__ == "Skipped"
    assert ledger == [*before, "breaks"]


def test_a_task_that_waits_for_a_retry_waits_on(breaking, trouble, records):
    attempts = []

    @task(max_retries=2, retry_delay=dt.timedelta(seconds=0.15))
    def flaky():
        attempts.append(context.task_run_count)
        if len(attempts) < 3:
            raise ValueError("again")
        return context.task_run_count

    with Flow("retries") as flow:
        value = flaky()
        breaking()
    interrupt(flow)
    assert attempts == [1]
    (waiting,) = records.task_runs("flaky")
    assert waiting.state.name == "AwaitingRetry"
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert attempts == [1, 2, 3]
    assert state.result[value].result == 3
    running = [one for one in records.task_run("flaky").history if one.name == "Running"]
    assert running[1].timestamp >= waiting.state.state_details.scheduled_time
    records.check()


def test_attempts_are_not_turns(breaking, trouble, records):
    """A turn of a loop has retries of its own, also after the run was broken off."""
    tried = []

    @task(max_retries=1, retry_delay=dt.timedelta(seconds=0.1))
    def loops():
        turn = context.get("task_loop_count", 1)
        tried.append((turn, context.task_run_count))
        if turn < 4:
            raise signals.LOOP(result=turn)
        if context.task_run_count == 1:
            raise ValueError("the last turn fails first")
        return context.task_loop_result

    with Flow("turns") as flow:
        value = loops()
        breaking()
    interrupt(flow)
    assert records.task_run("loops").state.name == "AwaitingRetry"
    trouble.ends()

    assert flow.resume(records.flow_run().id).result[value].result == 3
    assert tried == [(1, 1), (2, 1), (3, 1), (4, 1), (4, 2)]
    records.check()


def test_a_loop_goes_on_with_its_turn_and_what_it_called(executor, trouble, ledger, records):
    @penstock.task
    def asks(turn):
        ledger.append(f"asks {turn}")
        return turn * 10

    @task
    def polls():
        turn = context.get("task_loop_count", 1)
        ledger.append(f"turn {turn}")
        answers = [*context.get("task_loop_result", []), asks(turn)]
        if turn == 3:
            trouble.strike()
        if turn < 4:
            raise signals.LOOP(result=answers)
        return answers

    with Flow("polls", executor=executor) as flow:
        polled = polls()
    interrupt(flow)
    trouble.ends()

    assert flow.resume(records.flow_run().id).result[polled].result == [10, 20, 30, 40]
    turns = [line for line in ledger if line.startswith("turn")]
    assert turns == ["turn 1", "turn 2", "turn 3", "turn 3", "turn 4"]
    asked = [line for line in ledger if line.startswith("asks")]
    assert asked == ["asks 1", "asks 2", "asks 3", "asks 4"]
    records.check()


def test_a_crash_of_a_crash(breaking, trouble, ledger, records):
    with Flow("again") as flow:
        ledger.noted("first")
        breaking()
    interrupt(flow)
    with pytest.raises(KeyboardInterrupt):
        flow.resume(records.flow_run().id)
    trouble.ends()

    assert flow.resume(records.flow_run().id).is_successful()
    assert ledger == ["first", *["breaks"] * 3]
    assert records.flow_run().run_count == 3
    records.check()


# -- after a failure ------------------------------------------------------------------------------


def test_a_failed_run_begins_with_what_failed(executor, breaking, trouble, ledger, records):
    trouble.error = ValueError

    @task(trigger=all_finished)
    def reports(value):
        ledger.append(f"reports {type(value).__name__}")

    with Flow("fails", executor=executor) as flow:
        first = ledger.noted("first")
        broken = breaking(first)
        after = ledger.noted(broken)
        reports(after)
        ledger.noted("beside")
    flow.set_reference_tasks([after])
    assert flow.run().is_failed()
    before = Counter(ledger)
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.is_successful()
    assert state.result[after].result == "first"
    assert Counter(ledger) - before == {"breaks": 1, "first": 1, "reports str": 1}
    assert before["first"] == before["beside"] == 1
    records.check()


def test_a_failed_child_begins_anew_alone(executor, trouble, records):
    trouble.error = ValueError
    calls = Counter()

    @task(max_retries=1, retry_delay=dt.timedelta(0))
    def child(x):
        calls[x] += 1
        if x == 1:
            trouble.strike()
        return x

    with Flow("children", executor=executor) as flow:
        children = child.map([0, 1, 2])
    assert flow.run().is_failed()
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.result[children].result == [0, 1, 2]
    assert calls == {0: 1, 1: 3, 2: 1}
    records.check()


def test_after_a_failed_child_only_what_comes_after_it_begins_anew(executor, trouble, records):
    trouble.error = ValueError
    calls = Counter()

    @task
    def child(x):
        calls["child", x] += 1
        if x == 1:
            trouble.strike()
        return x

    @task(trigger=all_finished)
    def after(x):
        calls["after", type(x).__name__, x if isinstance(x, int) else None] += 1
        return x

    @task
    def last(x, y):
        calls["last", x] += 1
        return x + y

    with Flow("children", executor=executor) as flow:
        children = child.map([0, 1, 2])
        followed = last.map(after.map(children), [10, 10, 10])
    flow.set_reference_tasks([children, followed])
    assert flow.run().is_failed()
    before = Counter(calls)
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.result[followed].result == [10, 11, 12]
    assert calls - before == {("child", 1): 1, ("after", "int", 1): 1, ("last", 1): 1}
    records.check()


# -- paused ---------------------------------------------------------------------------------------


def test_a_paused_run_goes_on_as_approved(executor, ledger, records):
    @task(trigger=manual_only)
    def approved(x):
        ledger.append("approved")
        return x

    @task
    def asks(x):
        ledger.append("asks")
        pause_task("may I?")
        return x

    with Flow("paused", executor=executor) as flow:
        first = ledger.noted("first")
        one, two = approved(first), asks(first)
        last = ledger.noted(two, upstream_tasks=[one])
    flow.run()
    run = records.flow_run()
    assert run.state.is_paused()
    assert "'approved'" in run.state.message
    assert "'asks'" in run.state.message

    state = flow.resume(run.id)

    assert state.result[last].result == "first"
    assert ledger == ["first", "asks", *sorted(["approved", "asks"], reverse=False), "first"] or (
        ledger == ["first", "asks", "asks", "approved", "first"]
    )
    assert records.flow_run().state.is_completed()
    records.check()


def test_a_paused_child_of_a_map(executor, records):
    calls = Counter()

    @task
    def child(x):
        calls[x] += 1
        if x == 1:
            pause_task("this one?")
        return x

    with Flow("paused", executor=executor) as flow:
        children = child.map([0, 1, 2])
    flow.run()
    assert records.flow_run().state.is_paused()

    assert flow.resume(records.flow_run().id).result[children].result == [0, 1, 2]
    assert calls == {0: 1, 1: 2, 2: 1}
    records.check()


@pytest.mark.parametrize("is_asked", [False, True], ids=["resumed later", "resumed at once"])
def test_a_task_that_is_paused_in_a_turn_of_its_loop(monkeypatch, records, is_asked):
    turns = []

    @task
    def loops():
        turn = context.get("task_loop_count", 1)
        turns.append(turn)
        if turn == 3:
            pause_task("go on?")
        so_far = [*context.get("task_loop_result", []), turn]
        if turn < 4:
            raise signals.LOOP(result=so_far)
        return so_far

    with Flow("paused") as flow:
        looped = loops()
    if is_asked:
        monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
        monkeypatch.setattr("builtins.input", lambda _question: "y")
    state = flow.run()
    if not is_asked:
        assert records.flow_run().state.is_paused()
        state = flow.resume(records.flow_run().id)

    assert state.result[looped].result == [1, 2, 3, 4]
    assert turns == [1, 2, 3, 3, 4]
    records.check()


def test_what_was_paused_when_a_run_broke_is_paused_still(breaking, trouble, records):
    @task(trigger=manual_only)
    def approved():
        return "approved"

    with Flow("both") as flow:
        asked = approved()
        breaking()
    interrupt(flow)
    trouble.ends()

    flow.resume(records.flow_run().id)
    assert records.flow_run().state.is_paused()
    assert flow.resume(records.flow_run().id).result[asked].result == "approved"
    records.check()


# -- another graph than it was --------------------------------------------------------------------


def test_changed_constants_run_again_with_what_comes_after(
    breaking, trouble, ledger, records, caplog
):
    @penstock.task
    def decorated(x):
        ledger.append(f"decorated {x}")
        return x

    def build(constant):
        with Flow("constants") as flow:
            changed = ledger.noted(constant)
            after = ledger.noted(changed)
            other = decorated(constant)
            beside = ledger.noted("beside")
            breaking(upstream_tasks=[after, other, beside])
        return flow

    interrupt(build(1))
    assert Counter(ledger) == {1: 2, "decorated 1": 1, "beside": 1, "breaks": 1}
    ledger.clear()
    trouble.ends()

    with caplog.at_level(logging.WARNING):
        assert build(2).resume(records.flow_run().id).is_successful()

    assert Counter(ledger) == {2: 2, "decorated 2": 1, "breaks": 1}
    assert "Task 'noted' is run again: its inputs differ from those recorded." in caplog.text
    assert "Task 'decorated' is run again" in caplog.text
    records.check()


def test_changed_wiring_runs_again(breaking, trouble, ledger, records, caplog):
    def build(swapped):
        with Flow("wiring") as flow:
            one, two = ledger.noted("one"), ledger.noted("two")
            taken = ledger.noted(two if swapped else one)
            after = ledger.noted(taken)
            breaking(upstream_tasks=[after])
        return flow, after

    flow, _after = build(swapped=False)
    interrupt(flow)
    ledger.clear()
    trouble.ends()

    flow, after = build(swapped=True)
    assert flow.resume(records.flow_run().id).result[after].result == "two"
    assert ledger == ["two", "two", "breaks"]
    assert "its inputs differ" in caplog.text


def test_a_new_task_is_run_and_the_others_are_kept(breaking, trouble, ledger, records):
    def build(more):
        with Flow("more") as flow:
            first = ledger.noted("first")
            breaking()
            if more:
                task(lambda x: ledger.append(f"new {x}"), name="new")(first)
        return flow

    interrupt(build(more=False))
    trouble.ends()

    assert build(more=True).resume(records.flow_run().id).is_successful()
    assert ledger == ["first", "breaks", "breaks", "new first"]


def test_renamed_tasks_begin_anew_and_the_run_says_so(breaking, trouble, ledger, records, caplog):
    def build(name):
        with Flow("renamed") as flow:
            ledger.noted.copy(name=name)("value")
            breaking()
        return flow

    interrupt(build("old"))
    trouble.ends()

    with caplog.at_level(logging.WARNING):
        assert build("new").resume(records.flow_run().id).is_successful()

    assert ledger == ["value", "breaks", "value", "breaks"]
    assert "has no tasks any more that were recorded as 'old-1'" in caplog.text


def test_a_slug_of_its_own_lets_a_renamed_task_be_known(breaking, trouble, ledger, records):
    def build(name):
        with Flow("slugs") as flow:
            ledger.noted.copy(name=name, slug="the-one")("value")
            breaking()
        return flow

    interrupt(build("old"))
    trouble.ends()

    assert build("new").resume(records.flow_run().id).is_successful()
    assert ledger == ["value", "breaks", "breaks"]


def test_an_edited_file_goes_on_in_another_process(tmp_path, records):
    file = tmp_path / "edited.py"

    def run(text, *arguments):
        file.write_text(textwrap.dedent(text))
        return subprocess.run(
            [sys.executable, "-m", "penstock", *arguments],
            cwd=tmp_path,
            env=os.environ | {"PENSTOCK_LOGGING_LEVEL": "WARNING"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    text = """
        import os
        from pathlib import Path
        from penstock.graph import Flow, task

        OPTIONS = {"a", "b", "c"}

        @task
        def keeps(options):
            print("keeps")
            return sorted(options)

        @task
        def dies(options):
            print("dies", options)
            DIE

        with Flow("edited") as flow:
            dies(keeps(OPTIONS))
    """
    first = run(text.replace("DIE", "os._exit(9)"), "run", "edited.py")
    assert first.returncode == 9, first.stderr
    ended = run(text.replace("DIE", "pass"), "flow-run", "resume", "-")

    assert ended.returncode == 0, ended.stderr
    assert "dies ['a', 'b', 'c']" in ended.stdout
    assert "keeps" not in ended.stdout
    assert "run again" not in ended.stderr


def test_what_skipped_and_timed_out_tasks_gave_comes_back(executor, breaking, trouble, records):
    @task
    def skips(result):
        raise signals.SKIP("not today", **result)

    @task(timeout=1)
    def slow():
        time.sleep(5)

    @task(trigger=all_finished, skip_on_upstream_skip=False)
    def shows(*, given, bare, empty, late, waited):
        return [type(bare).__name__, given, empty, type(late).__name__, str(bare)]

    with Flow("signals", executor=executor) as flow:
        bare = skips({})
        given, empty = skips({"result": 5}), skips({"result": None})
        waited = breaking.copy(trigger=all_finished, skip_on_upstream_skip=False)(
            upstream_tasks=[bare, given, empty]
        )
        shown = shows(given=given, bare=bare, empty=empty, late=slow(), waited=waited)
    interrupt(flow)
    trouble.ends()

    state = flow.resume(records.flow_run().id)

    assert state.result[shown].result == ["SKIP", 5, None, "TaskTimeoutSignal", "not today"]
    records.check()


# -- what is lost ---------------------------------------------------------------------------------


@pytest.fixture
def lost(ledger):
    """A task whose value only the memory of its process holds."""

    @task
    def makes():
        ledger.append("makes")
        return threading.Lock()

    return makes


def test_a_lost_value_that_is_needed_is_made_again(
    executor, lost, breaking, trouble, ledger, records
):
    with Flow("lost", executor=executor) as flow:
        used = breaking(lost())
        ledger.noted("after", upstream_tasks=[used])
    interrupt(flow)
    trouble.ends()

    assert flow.resume(records.flow_run().id).is_successful()
    assert ledger == ["makes", "breaks", "makes", "breaks", "after"]
    records.check()


def test_a_lost_value_that_nobody_needs_is_let_be(
    executor, lost, breaking, trouble, ledger, records
):
    with Flow("lost", executor=executor) as flow:
        made = lost()
        used = task(lambda lock: ledger.append("uses"), name="uses")(made)
        breaking(upstream_tasks=[used, made])
    interrupt(flow)
    trouble.ends()

    assert flow.resume(records.flow_run().id).is_successful()
    assert ledger == ["makes", "uses", "breaks", "breaks"]


def test_lost_values_of_a_chain_are_made_again_together(lost, breaking, trouble, ledger, records):
    @task
    def wraps(lock):
        ledger.append("wraps")
        return [lock]

    with Flow("lost") as flow:
        breaking(wraps(lost()))
    interrupt(flow)
    ledger.clear()
    trouble.ends()

    assert flow.resume(records.flow_run().id).is_successful()
    assert ledger == ["makes", "wraps", "breaks"]


def test_lost_values_of_children_are_made_again(executor, breaking, trouble, ledger, records):
    @task
    def child(x):
        ledger.append(x)
        return threading.Lock() if x == 1 else x

    with Flow("lost", executor=executor) as flow:
        breaking(child.map([0, 1, 2]))
    interrupt(flow)
    ledger.clear()
    trouble.ends()

    assert flow.resume(records.flow_run().id).is_successful()
    assert ledger == [1, "breaks"]


def test_lost_values_of_a_map_that_was_left_half_way(executor, trouble, ledger, records):
    @task
    def child(x):
        ledger.append(x)
        if x == 2:
            trouble.strike()
        return threading.Lock()

    with Flow("lost", executor=executor) as flow:
        kinds = task(lambda all_: {type(each) for each in all_})(child.map([0, 1, 2]))
    interrupt(flow)
    ledger.clear()
    trouble.ends()

    assert flow.resume(records.flow_run().id).result[kinds].result == {type(threading.Lock())}
    assert sorted(ledger) == [0, 1, 2]


def test_values_of_a_decorated_task_that_are_not_to_be_kept(breaking, trouble, ledger, records):
    @penstock.task(persist_result=False)
    def secret():
        ledger.append("secret")
        return "s3cret"

    with Flow("lost") as flow:
        used = breaking(secret())
    interrupt(flow)
    trouble.ends()

    assert flow.resume(records.flow_run().id).result[used].result == "s3cret"
    assert ledger == ["secret", "breaks", "secret", "breaks"]


def test_large_results_come_back_from_storage(breaking, trouble, ledger, records):
    @task
    def large():
        ledger.append("large")
        return "x" * 200_000

    with Flow("large") as flow:
        used = breaking(large())
    interrupt(flow)
    trouble.ends()

    assert flow.resume(records.flow_run().id).result[used].result == "x" * 200_000
    assert ledger == ["large", "breaks", "breaks"]


def test_a_result_that_is_gone_from_storage_is_asked_for(
    breaking, trouble, ledger, records, penstock_home
):
    @task
    def large():
        ledger.append("large")
        return "x" * 200_000

    with Flow("gone") as flow:
        used = breaking(large())
    interrupt(flow)
    trouble.ends()
    (file,) = (penstock_home / "storage").iterdir()
    moved = file.rename(penstock_home / "moved")

    with pytest.raises(MissingResult, match=r"is gone.*Put it back"):
        flow.resume(records.flow_run().id)
    assert "Put it back" in records.flow_run().state.message
    moved.rename(file)

    assert flow.resume(records.flow_run().id).result[used].result == "x" * 200_000
    assert ledger == ["large", "breaks", "breaks"]
    records.check()


# -- what cannot go on, or need not ---------------------------------------------------------------


def test_a_completed_run_gives_its_states(executor, ledger, records):
    @task
    def fails():
        raise ValueError("no")

    with Flow("done", executor=executor) as flow:
        value = ledger.noted("value")
        mapped = ledger.noted.map(["a", "b"])
        failed = fails()
    flow.set_reference_tasks([value])
    ran = flow.run()
    count = len(ledger)

    state = flow.resume(str(records.flow_run().id))

    assert len(ledger) == count
    assert state.is_successful()
    assert {one: type(found) for one, found in state.result.items()} == {
        one: type(found) for one, found in ran.result.items()
    }
    assert state.result[value].result == "value"
    assert state.result[mapped].result == ["a", "b"]
    assert isinstance(state.result[failed].result, ValueError)


def test_a_run_that_is_not_there():
    with Flow("missing") as flow:
        pass
    with pytest.raises(ObjectNotFound, match="flow run"):
        flow.resume(uuid4())


@pytest.mark.parametrize("nonsense", ["", "latest", "release-8", 7, None])
def test_what_is_no_id(nonsense):
    with Flow("nonsense") as flow:
        pass
    with pytest.raises(ValueError, match=r"not the id of a flow run.*flow-run ls"):
        flow.resume(nonsense)


def test_a_run_of_another_flow(ledger, records):
    with Flow("one") as one:
        ledger.noted(1)
    with Flow("another") as another:
        ledger.noted(2)
    one.run()

    with pytest.raises(ValueError, match="is a run of flow 'one', not of 'another'"):
        another.resume(records.flow_run().id)
    assert ledger == [1]


def test_a_run_that_runs_right_now(records):
    refused = []

    @task
    def looks():
        with pytest.raises(RunOwnedElsewhere, match="this very process") as caught:
            flow.resume(records.flow_run().id)
        refused.append(caught.value)

    with Flow("now") as flow:
        looks()

    assert flow.run().is_successful()
    assert refused


def test_a_run_that_another_process_executes(tmp_path, ledger, records):
    script = tmp_path / "lives.py"
    script.write_text(
        textwrap.dedent("""
            from penstock.graph import Flow, task

            @task
            def waits():
                print("here", flush=True)
                input()

            with Flow("lives") as flow:
                waits()
            flow.run()
        """)
    )
    with Flow("lives") as flow:
        ledger.noted(1)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout.readline() == "here\n"
        with pytest.raises(RunOwnedElsewhere, match=r"living process"):
            flow.resume(records.flow_run().id)
        child.communicate("go on\n", timeout=30)

    assert ledger == []
    assert records.flow_run().state.is_completed()
