"""The named SQL of the inputs of flow runs; see `statements.py` for how each is run."""

from __future__ import annotations

HAS_FLOW_RUN = "select 1 from flow_run where id = ?"

# A key is given once in a flow run: a second row of it is not written.
INSERT_INPUT = """insert or ignore into flow_run_input (flow_run_id, key, value, sender, created)
values (?, ?, ?, ?, ?)"""

READ_INPUT = """select key, value, sender, created from flow_run_input
where flow_run_id = ? and key = ?"""

# The keys that begin with a text of so many characters, in the order they came.
READ_INPUT_KEYS = """select key from flow_run_input
where flow_run_id = ? and substr(key, 1, ?) = ? order by created, key"""

DELETE_INPUT = "delete from flow_run_input where flow_run_id = ? and key = ?"

DELETE_INPUTS_OF_FLOW_RUN = "delete from flow_run_input where flow_run_id = ?"
