"""The named SQL of the services. As that of `store/statements.py`, it is for both databases."""

from __future__ import annotations

from penstock.store.statements import FLOW_RUN_COLUMNS

# A page of the flow runs that some process has, and has said so since: after an owner and an id.
READ_OWNED = """select owner, id, fence, lease_expires from flow_run
where beats > 0 and (owner, id) > (?, ?) order by owner, id limit ?"""

# A page of those that some process has, and has not been heard of since: after the given id.
READ_OWNED_SILENTLY = """select owner, id, fence, lease_expires from flow_run
where id > ? and owner is not null and beats = 0 order by id limit ?"""

# The task runs that a dead process has left: few, as what has not run for long is not recorded.
READ_UNFINISHED_TASK_RUNS = """select id from task_run where flow_run_id = ?
    and state_type not in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"""

# How far a flow run has come: its finished task runs, and the flow runs that it has called.
COUNT_COMPLETED = """select count(*) from task_run
where flow_run_id = ? and state_type = 'COMPLETED'"""
READ_CALLED_FLOW_RUNS = """select r.id from task_run t
join flow_run r on r.parent_task_run_id = t.id where t.flow_run_id = ?"""

# A page of the flow runs that are paused, after the given id.
READ_PAUSED = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id
where r.state_type = 'PAUSED' and r.id > ? order by r.id limit ?"""

# Flow runs that were resumed, or are to be gone on with, and that nobody executes.
READ_READY = """select r.id, r.name, f.name, r.state_name, r.state_timestamp
from flow_run r join flow f on f.id = r.flow_id
where r.state_type = 'SCHEDULED' and r.state_name in ('Resuming', 'AwaitingRetry')
    and r.owner is null and r.parent_task_run_id is null and r.next_scheduled_start_time <= ?
order by r.next_scheduled_start_time, r.id limit ?"""

# Flow runs that were cancelled since a time, and have task runs or subflow runs that are not
# final. Those made before the given id are not looked through: there may be millions.
FIND_CANCELLED_WITH_LEFT = """select r.id from flow_run r
where r.id >= ? and r.state_type = 'CANCELLED' and r.state_timestamp >= ? and (
    exists (
        select 1 from task_run t where t.flow_run_id = r.id
            and t.state_type not in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    ) or exists (
        select 1 from task_run t join flow_run s on s.parent_task_run_id = t.id
        where t.flow_run_id = r.id and (s.owner is null or s.control is null)
            and s.state_type not in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')
    )
)
order by r.id limit ?"""
