"""The named SQL of deleting what is old, and of looking at how much there is."""

from __future__ import annotations

# Root flow runs that are over, oldest first, a page at a time: after one id and before another.
FINISHED_ROOTS = """select id, flow_id from flow_run
where id > ? and id < ? and parent_task_run_id is null and owner is null
    and state_type in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') and state_timestamp < ?
order by id limit ?"""

# The same, looked at again by whoever deletes it, while nobody else writes.
IS_FINISHED = """select 1 from flow_run where id = ? and owner is null
    and state_type in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') and state_timestamp < ?"""

SUBFLOW_RUNS = """select id from flow_run
where parent_task_run_id in (select id from task_run where flow_run_id = ?)"""

# The n-th newest root run of each flow: what is as new, or newer, is kept.
NEWEST_TO_KEEP = """select flow_id, id from (
    select flow_id, id, row_number() over (partition by flow_id order by id desc) as place
    from flow_run where parent_task_run_id is null
) as ranked where place = ?"""

# The next task runs of a flow run: what has to be known of each to delete it.
NEXT_TASK_RUNS = """select id, cache_key,
    case when result_type = 'reference' then result_data else null end
from task_run where flow_run_id = ? and id > ? order by id limit ?"""
NEXT_TASK_RUNS_ALONE = """select id, cache_key,
    case when result_type = 'reference' then result_data else null end
from task_run where flow_run_id = ? and id > ? and id < ?
    and state_type in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED') and state_timestamp < ?
order by id limit ?"""
DELETE_CACHE_ENTRY = """delete from cache_entry
where key = ? and flow_run_id = ? and task_run_id = ?"""
DELETE_CACHE_KEY = "delete from cache_entry where key = ?"

# The next logs of a flow run: after one id and before another.
NEXT_LOGS = """select id from log
where flow_run_id = ? and id > ? and id < ? order by id limit ?"""
DELETE_LOGS_TO = "delete from log where flow_run_id = ? and id <= ?"
# The flow runs that logs, and task runs, are recorded of, in order: the next one.
NEXT_OF_LOGS = """select flow_run_id from log
where flow_run_id > ? and flow_run_id < ? order by flow_run_id limit 1"""
NEXT_OF_TASK_RUNS = """select flow_run_id from task_run
where flow_run_id > ? and flow_run_id < ? order by flow_run_id limit 1"""
HAS_FLOW_RUN = "select 1 from flow_run where id = ?"
IS_AT_REST = """select 1 from flow_run where id = ? and owner is null
    and state_type in ('COMPLETED', 'FAILED', 'CANCELLED', 'CRASHED')"""

# The result of a flow run, where it is in storage.
STORED_RESULT_OF_FLOW_RUN = """select result_data from flow_run
where id = ? and result_type = 'reference'"""

# Whether anything that is kept names a stored result, too.
NAMED_BY_TASK_RUN = """select 1 from task_run
where result_type = 'reference' and result_data = ? and flow_run_id <> ? limit 1"""
NAMED_BY_TASK_RUN_ALONE = """select 1 from task_run
where result_type = 'reference' and result_data = ? and not (flow_run_id = ? and id = ?) limit 1"""
NAMED_BY_FLOW_RUN = """select 1 from flow_run
where result_type = 'reference' and result_data = ? limit 1"""

# What is left of what is gone already.
INPUTS_WITHOUT_FLOW_RUN = """delete from flow_run_input
where not exists (select 1 from flow_run r where r.id = flow_run_input.flow_run_id)"""
USELESS_CACHE_KEYS = """select key from cache_entry c where c.key > ? and (
    c.expires < ? or not exists (
        select 1 from task_run t where t.flow_run_id = c.flow_run_id and t.id = c.task_run_id
    )
) order by c.key limit ?"""

# When something was last done for the whole store, and who is at it.
READ_CHORE = "select finished, owner, lease_expires from chore where name = ?"
WRITE_CHORE = """insert or replace into chore (name, finished, owner, lease_expires)
values (?, ?, ?, ?)"""
EXTEND_CHORE = "update chore set lease_expires = ? where name = ? and owner = ?"

# How much there is.
COUNTS = {
    "flow runs": "select count(*) from flow_run",
    "task runs": "select count(*) from task_run",
    "log records": "select count(*) from log",
    "flows": "select count(*) from flow",
    "cache entries": "select count(*) from cache_entry",
    "inputs": "select count(*) from flow_run_input",
    "limits": "select count(*) from concurrency_limit",
    "saved blocks": "select count(*) from block_document",
}
OLDEST_FLOW_RUN_KEY = "select id from flow_run order by id limit 1"
OLDEST_TASK_RUN_KEY_ALONE = """select id from task_run where flow_run_id = ?
order by id limit 1"""
OLDEST_FLOW_RUN = "select id, name from flow_run order by id limit 1"
OWNERS = """select owner, count(*), max(lease_expires) from flow_run where owner is not null
group by owner order by owner"""
JOURNAL_MODE = "pragma journal_mode"
SERVER_SIZE = "select pg_database_size(current_database())"
