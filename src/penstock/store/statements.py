"""The named SQL of everything that is hot, or that a running flow needs.

Each is run as it stands, with its values as parameters. Filters and sorted pages of the client are
built with SQLAlchemy elsewhere (`store/search.py`).
"""

from __future__ import annotations

# What is asked of the runs of one process, those that it began just now left out.
READ_REQUESTS_OF_OWNER = """select id, fence, control from flow_run
where beats > 0 and owner = ?"""

# What a commit of a flow run's owner checks: is the fence its own still, was something asked?
READ_FENCE = "select fence, control from flow_run where id = ?"

# One task run, whole: written with each of its transitions that is committed.
WRITE_TASK_RUN = """insert or replace into task_run (
    flow_run_id, id, task_key, dynamic_key, name, state_type, state_name, state_timestamp,
    run_count, expected_start_time, next_scheduled_start_time, start_time, end_time, run_time_s,
    tags, fingerprint, cache_key, result_type, result_data, history, details
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

# A new flow run; its owner and lease, if any, are written with it.
INSERT_FLOW_RUN = """insert into flow_run (
    id, flow_id, name, flow_version, deployment_id, parent_task_run_id, idempotency_key,
    entrypoint, parameters, parameters_pickle, tags, run_count, state_type, state_name,
    state_timestamp, expected_start_time, next_scheduled_start_time, start_time, end_time,
    run_time_s, result_type, result_data, history, details, owner, fence, lease_expires
) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

# A transition of a flow run, with all that may change with it.
UPDATE_FLOW_RUN = """update flow_run set
    name = ?, flow_version = ?, parameters = ?, parameters_pickle = ?, tags = ?, run_count = ?,
    state_type = ?, state_name = ?, state_timestamp = ?, expected_start_time = ?,
    next_scheduled_start_time = ?, start_time = ?, end_time = ?, run_time_s = ?, result_type = ?,
    result_data = ?, history = ?, details = ?
where id = ?"""

# The owner of a flow run gives it up: it is finished, or stops here for now.
RELEASE_FLOW_RUN = """update flow_run set owner = null, lease_expires = null, control = null,
    beats = 0
where id = ? and fence = ?"""

# Its owner has brought it to its end: nothing that comes later from it is taken any more.
FINISH_FLOW_RUN = """update flow_run set owner = null, lease_expires = null, control = null,
    fence = fence + 1, beats = 0
where id = ? and fence = ?"""

# Who executes a flow run, and until when it is his.
READ_LEASE = "select owner, fence, lease_expires, state_type from flow_run where id = ?"

# When the newest task runs of a flow run came to their states: what is known of how long its
# process lived, besides its beats.
READ_LATEST_CHANGE = """select max(state_timestamp) from (
    select state_timestamp from task_run where flow_run_id = ? order by id desc limit 100
) as newest"""

# Take a flow run that nobody living owns; the token grows, so that the former owner is fenced off.
# A cancellation that was asked of that one stands.
CLAIM_FLOW_RUN = """update flow_run set owner = ?, fence = fence + 1, lease_expires = ?,
    control = case when control = 'CANCELLING' then control end, beats = 1
where id = ? and fence = ?"""

# The heartbeat: the owner still lives.
EXTEND_LEASE = "update flow_run set lease_expires = ?, beats = 1 where id = ? and fence = ?"

EXTEND_LEASES_OF_OWNER = "update flow_run set lease_expires = ? where beats > 0 and owner = ?"

# Somebody else asks something of a flow run that is owned.
ASK_OF_FLOW_RUN = "update flow_run set control = ? where id = ? and owner is not null"

# The owner has done what was asked, unless something else has been asked meanwhile.
HEED_REQUEST = "update flow_run set control = null where id = ? and fence = ? and control = ?"

# Flows are known by name; the first run of one makes its row.
INSERT_FLOW = "insert or ignore into flow (id, name, tags, created) values (?, ?, ?, ?)"
READ_FLOW_BY_NAME = "select id, name, tags, created from flow where name = ?"
READ_FLOW = "select id, name, tags, created from flow where id = ?"

INSERT_LOG = """insert or ignore into log (
    flow_run_id, id, task_run_id, name, level, message, timestamp
) values (?, ?, ?, ?, ?, ?, ?)"""

# The logs of a flow run in order, a page at a time: after the given id.
READ_LOGS = """select flow_run_id, id, task_run_id, name, level, message, timestamp from log
where flow_run_id = ? and id > ? order by id limit ?"""

# The newest entry of a cache key, with the task run whose result it names.
READ_CACHE_ENTRY = """select c.expires, t.result_type, t.result_data, t.history
from cache_entry c join task_run t on t.flow_run_id = c.flow_run_id and t.id = c.task_run_id
where c.key = ? and (c.expires is null or c.expires > ?)"""

WRITE_CACHE_ENTRY = """insert or replace into cache_entry (key, flow_run_id, task_run_id, expires)
values (?, ?, ?, ?)"""

# The columns that the records are made of, in the order of `encoding`'s functions.
FLOW_COLUMNS = "f.id, f.name, f.tags, f.created"
LOG_COLUMNS = "l.flow_run_id, l.id, l.task_run_id, l.name, l.level, l.message, l.timestamp"
FLOW_RUN_COLUMNS = """r.id, r.flow_id, f.name, r.name, r.flow_version, r.deployment_id,
    r.parent_task_run_id, r.idempotency_key, r.entrypoint, r.parameters, r.parameters_pickle,
    r.tags, r.run_count, r.expected_start_time, r.next_scheduled_start_time, r.start_time,
    r.end_time, r.run_time_s, r.result_type, r.result_data, r.history, r.details"""

TASK_RUN_COLUMNS = """t.flow_run_id, t.id, t.task_key, t.dynamic_key, t.name, t.run_count,
    t.expected_start_time, t.next_scheduled_start_time, t.start_time, t.end_time, t.run_time_s,
    t.tags, t.fingerprint, t.cache_key, t.result_type, t.result_data, t.history, t.details"""

READ_FLOW_RUN = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id where r.id = ?"""

# The newest flow runs before the given id: a page, newest first.
READ_FLOW_RUNS_BEFORE = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id where r.id < ? order by r.id desc limit ?"""

# The subflow runs that one dummy task run of a parent stands for, newest first.
READ_FLOW_RUNS_OF_PARENT = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id where r.parent_task_run_id = ?
order by r.id desc"""

READ_FLOW_RUN_BY_IDEMPOTENCY_KEY = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id
where r.flow_id = ? and r.idempotency_key = ?"""

# Everything that was recorded of a flow run's tasks: what a second execution goes by.
READ_TASK_RUNS_OF_FLOW_RUN = f"""select {TASK_RUN_COLUMNS}
from task_run t where t.flow_run_id = ? order by t.id"""

# A task run by its id alone. A task run is made after its flow run and seldom long after, so
# walking back over the flow runs from the task run's id finds it in a few steps, with no index.
READ_TASK_RUN = f"""select {TASK_RUN_COLUMNS}
from flow_run r join task_run t on t.flow_run_id = r.id and t.id = :id
where r.id <= :id order by r.id desc limit 1"""
READ_TASK_RUN_OF = f"""select {TASK_RUN_COLUMNS}
from task_run t where t.flow_run_id = ? and t.id = ?"""

# The flow run that a task run belongs to, found as by READ_TASK_RUN.
READ_FLOW_RUN_ID_OF_TASK_RUN = """select r.id
from flow_run r join task_run t on t.flow_run_id = r.id and t.id = :id
where r.id <= :id order by r.id desc limit 1"""
HAS_TASK_RUN = "select 1 from task_run where flow_run_id = ? and id = ?"

# The task run that a call within a flow run made before.
READ_TASK_RUN_BY_KEY = f"""select {TASK_RUN_COLUMNS}
from task_run t where t.flow_run_id = ? and t.task_key = ? and t.dynamic_key = ?"""

# Take a flow run away from its owner, if it has one: what that one still commits is refused.
FENCE_OFF_FLOW_RUN = """update flow_run set owner = null, lease_expires = null, control = null,
    fence = fence + 1, beats = 0
where id = ?"""

# A flow run is deleted with all that is recorded of it; its subflow runs stay, on their own.
DELETE_FLOW_RUN = "delete from flow_run where id = ?"
DELETE_TASK_RUNS_OF_FLOW_RUN = "delete from task_run where flow_run_id = ?"
DELETE_LOGS_OF_FLOW_RUN = "delete from log where flow_run_id = ?"
DELETE_CACHE_ENTRIES_OF_FLOW_RUN = "delete from cache_entry where flow_run_id = ?"
DETACH_SUBFLOW_RUNS_OF_FLOW_RUN = """update flow_run set parent_task_run_id = null
where parent_task_run_id in (select id from task_run where flow_run_id = ?)"""

DELETE_TASK_RUN = "delete from task_run where flow_run_id = ? and id = ?"
DELETE_LOGS_OF_TASK_RUN = "delete from log where flow_run_id = ? and task_run_id = ?"
DELETE_CACHE_ENTRIES_OF_TASK_RUN = """delete from cache_entry
where flow_run_id = ? and task_run_id = ?"""
DETACH_SUBFLOW_RUNS_OF_TASK_RUN = """update flow_run set parent_task_run_id = null
where parent_task_run_id = ?"""

DELETE_FLOW = "delete from flow where id = ?"
READ_FLOW_RUN_IDS_OF_FLOW = "select id from flow_run where flow_id = ?"

# What a shortened id, or a name, may stand for: the newest first.
FIND_FLOW_RUNS_BETWEEN = (
    "select id, name from flow_run where id between ? and ? order by id desc limit ?"
)
FIND_FLOW_RUNS_BY_NAME = "select id, name from flow_run where name = ? order by id desc limit ?"

# The latest run that is no subflow's.
FIND_LATEST_FLOW_RUN = """select id, name from flow_run where parent_task_run_id is null
order by id desc limit 1"""

# A flow run's task runs without their results, which may be large: for showing them.
_TASK_RUN_COLUMNS_ALONE = TASK_RUN_COLUMNS.replace("t.result_type, t.result_data", "null, null")

# A page of them in the order they were made: after the given id.
SHOW_TASK_RUNS = f"""select {_TASK_RUN_COLUMNS_ALONE}
from task_run t where t.flow_run_id = ? and t.id > ? order by t.id limit ?"""

# Where there are too many to show: those that did not complete come first.
SHOW_TASK_RUNS_THAT_MATTER = f"""select {_TASK_RUN_COLUMNS_ALONE}
from task_run t where t.flow_run_id = ? order by t.state_type = 'COMPLETED', t.id limit ?"""

COUNT_TASK_RUNS_BY_STATE = """select state_type, state_name, count(*) from task_run
where flow_run_id = ? group by state_type, state_name order by count(*) desc"""

# What a flow run that is cancelled has left: its task runs and subflow runs that are not final.
_NOT_FINAL = "not in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"
READ_UNFINISHED_TASK_RUNS = f"""select {TASK_RUN_COLUMNS}
from task_run t where t.flow_run_id = ? and t.state_type {_NOT_FINAL} order by t.id limit ?"""
READ_UNFINISHED_SUBFLOW_RUNS = f"""select {FLOW_RUN_COLUMNS}
from flow_run r join flow f on f.id = r.flow_id
where r.parent_task_run_id in (select id from task_run where flow_run_id = ?)
    and r.state_type {_NOT_FINAL} order by r.id limit ?"""

# Emptying a store: who may still be executing, and what goes.
READ_OWNED_FLOW_RUNS = """select id, name, owner, lease_expires from flow_run
where owner is not null"""
EMPTY_TABLES = {
    "flow runs": ("select count(*) from flow_run", "delete from flow_run"),
    "task runs": ("select count(*) from task_run", "delete from task_run"),
    "log records": ("select count(*) from log", "delete from log"),
    "flows": ("select count(*) from flow", "delete from flow"),
    "cache entries": ("select count(*) from cache_entry", "delete from cache_entry"),
    "saved blocks": ("select count(*) from block_document", "delete from block_document"),
    "inputs": ("select count(*) from flow_run_input", "delete from flow_run_input"),
    "limits": ("select count(*) from concurrency_limit", "delete from concurrency_limit"),
    "slots": ("select count(*) from concurrency_slot", "delete from concurrency_slot"),
}
