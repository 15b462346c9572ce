"""The named SQL of checks: everything that is recorded, a page at a time."""

from __future__ import annotations

from penstock.store.statements import FLOW_RUN_COLUMNS, TASK_RUN_COLUMNS

# Every flow run in order, with who owns it, a page at a time: after the given id.
FLOW_RUNS = f"""select {FLOW_RUN_COLUMNS}, r.owner, r.fence, r.lease_expires
from flow_run r left join flow f on f.id = r.flow_id where r.id > ? order by r.id limit ?"""

# Values that are kept in the row itself are not looked at, and may be large.
_COLUMNS = TASK_RUN_COLUMNS.replace(
    "t.result_data", "case when t.result_type = 'inline' then null else t.result_data end"
)

# Every task run in order, a page at a time: after the given flow run and id.
TASK_RUNS = f"""select {_COLUMNS} from task_run t
where (t.flow_run_id, t.id) > (?, ?) order by t.flow_run_id, t.id limit ?"""

# A flow run as it is by now.
HAS_FLOW_RUN = "select state_type from flow_run where id = ?"
TASK_RUN_STATE = "select state_type, state_name from task_run where flow_run_id = ? and id = ?"

# Calls of a flow run that are recorded more than once, with the same inputs.
REPEATED_CALLS = """select task_key, dynamic_key, fingerprint from task_run where flow_run_id = ?
group by task_key, dynamic_key, fingerprint having count(*) > 1"""

# The flow runs that something is recorded of, in order: the next one.
NEXT_OF_LOGS = """select flow_run_id from log where flow_run_id > ? order by flow_run_id limit 1"""

INPUTS_WITHOUT_FLOW_RUN = """select i.flow_run_id, count(*) from flow_run_input i
where not exists (select 1 from flow_run r where r.id = i.flow_run_id)
group by i.flow_run_id order by i.flow_run_id limit ?"""

CACHE_ENTRIES_WITHOUT_TASK_RUN = """select c.key, c.flow_run_id, c.task_run_id from cache_entry c
where not exists (
    select 1 from task_run t where t.flow_run_id = c.flow_run_id and t.id = c.task_run_id
) limit ?"""

LIMITS = "select id, name, slots, active from concurrency_limit order by name"
TAKEN_SLOTS = """select coalesce(sum(slots), 0) from concurrency_slot
where limit_id = ? and taken is not null"""
SLOTS = """select s.limit_id, s.id, l.name, s.holder, s.owner, s.lease_expires
from concurrency_slot s left join concurrency_limit l on l.id = s.limit_id
where (s.limit_id, s.id) > (?, ?) order by s.limit_id, s.id limit ?"""

INTEGRITY = "pragma integrity_check(20)"
