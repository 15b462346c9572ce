"""The three questions that are asked of the rules; which policy answers is decided here (4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.rules.answers import UPDATE_PARENT_TASK, Answer, Facts, Status
from penstock.rules.checking import illegal
from penstock.rules.flow_rules import FLOW_POLICY, FORCED_FLOW_POLICY, MARK_LATE_POLICY
from penstock.rules.task_rules import AUTONOMOUS_TASK_POLICY, FORCED_TASK_POLICY, TASK_POLICY

if TYPE_CHECKING:
    from penstock.records import FlowRun, TaskRun
    from penstock.rules.policy import Policy
    from penstock.states import State

_REJECT = Status.REJECT


def decide_task(run: TaskRun, proposed: State, facts: Facts, *, force: bool = False) -> Answer:
    """Say what becomes of a state that is proposed for a task run.

    Neither the run nor the proposed state is changed. A run without a flow run has rules of its
    own, but for a forced state.

    Parameters:
        run: the run as recorded now.
        proposed: the wanted state.
        facts: what else the rules have to know.
        force: skip the rules but those that keep the books right.

    Raises:
        IllegalTransition: the proposal is refused and the run has no state to stay in.

    Example:
        >>> from penstock import clock
        >>> from penstock.records import TaskRun
        >>> from penstock.states import Pending
        >>> decide_task(TaskRun(name="load"), Pending(), Facts(now=clock.now())).status
        <Status.ACCEPT: 'ACCEPT'>
    """
    if force:
        policy = FORCED_TASK_POLICY
    elif run.flow_run_id is None:
        policy = AUTONOMOUS_TASK_POLICY
    else:
        policy = TASK_POLICY
    answer = policy.decide(run, proposed, facts)
    if answer.state is None and answer.status is _REJECT and run.state is None:
        raise illegal(run, proposed, answer.reason)
    return answer


def decide_flow(run: FlowRun, proposed: State, facts: Facts, *, force: bool = False) -> Answer:
    """Say what becomes of a state that is proposed for a flow run.

    As `decide_task`. Of a subflow run each written transition is copied to the task run that
    stands for it (`update_parent_task`; the copy is made by `state_for_parent_task`).

    Raises:
        IllegalTransition: the proposal is refused and the run has no state to stay in.
    """
    return _decide_flow(FORCED_FLOW_POLICY if force else FLOW_POLICY, run, proposed, facts)


def mark_late(run: FlowRun, proposed: State, facts: Facts) -> Answer:
    """Say what becomes of a Late state that the late-runs service proposes for a flow run.

    Raises:
        IllegalTransition: the proposal is refused and the run has no state to stay in.
    """
    return _decide_flow(MARK_LATE_POLICY, run, proposed, facts)


def _decide_flow(policy: Policy[FlowRun], run: FlowRun, proposed: State, facts: Facts) -> Answer:
    answer = policy.decide(run, proposed, facts)
    if answer.state is not None:
        if run.parent_task_run_id is not None:
            answer.after += (UPDATE_PARENT_TASK,)
    elif answer.status is _REJECT and run.state is None:
        raise illegal(run, proposed, answer.reason)
    return answer
