"""Which transitions of a run are allowed, and what each rule makes of a proposal.

Pure functions on records: no I/O, no clock, no randomness of their own. The engine asks them for
the runs that its process owns, the store for transitions that come from outside. Section 4 of the
flow engine's specification.

    answer = decide_task(run, proposed, Facts(now=clock.now(), flow_run=flow_run))
    if answer.state is not None:
        record(run, answer.state, facts, answer.changes)      # and do what answer.after names
"""

from penstock.rules.answers import Answer, Facts, Status
from penstock.rules.bookkeeping import record, state_for_parent_task, take_back
from penstock.rules.checking import illegal, validate
from penstock.rules.deciding import decide_flow, decide_task, mark_late
from penstock.rules.flow_rules import FLOW_RULES, FORCED_FLOW_RULES, MARK_LATE_RULES
from penstock.rules.moves import FLOW_MOVES, MOVES, TASK_MOVES
from penstock.rules.policy import Policy, Rule
from penstock.rules.shared import has_stored_result
from penstock.rules.task_rules import AUTONOMOUS_TASK_RULES, FORCED_TASK_RULES, TASK_RULES

__all__ = [
    "AUTONOMOUS_TASK_RULES",
    "FLOW_MOVES",
    "FLOW_RULES",
    "FORCED_FLOW_RULES",
    "FORCED_TASK_RULES",
    "MARK_LATE_RULES",
    "MOVES",
    "TASK_MOVES",
    "TASK_RULES",
    "Answer",
    "Facts",
    "Policy",
    "Rule",
    "Status",
    "decide_flow",
    "decide_task",
    "has_stored_result",
    "illegal",
    "mark_late",
    "record",
    "state_for_parent_task",
    "take_back",
    "validate",
]
