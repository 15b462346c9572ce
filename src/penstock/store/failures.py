"""Named SQL for what a summary says of a run that failed."""

from __future__ import annotations

from penstock.store.statements import TASK_RUN_COLUMNS

# The first task runs of a flow run that went wrong.
READ_FAILED_TASK_RUNS = f"""select {TASK_RUN_COLUMNS}
from task_run t where t.flow_run_id = ? and t.state_type in ('FAILED', 'CRASHED')
order by t.id limit ?"""  # noqa: S608 - columns, and no values

COUNT_FAILED_TASK_RUNS = """select count(*) from task_run
where flow_run_id = ? and state_type in ('FAILED', 'CRASHED')"""

# The task runs that had completed at a time, when the flow run was gone on with.
COUNT_COMPLETED_BEFORE = """select count(*) from task_run
where flow_run_id = ? and state_type = 'COMPLETED' and end_time < ?"""

# What was logged of errors, the newest first: by a task run, and by the flow's own code.
READ_ERRORS_OF_TASK_RUN = """select message from log
where flow_run_id = ? and task_run_id = ? and level >= 40 order by id desc limit ?"""
READ_ERRORS_OF_FLOW = """select message from log
where flow_run_id = ? and task_run_id is null and level >= 40 order by id desc limit ?"""
