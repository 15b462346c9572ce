"""What the code that runs now can ask about its flow run, task run and deployment.

Each attribute is worked out when it is read, and empty outside of runs. In a process that is told
of a flow run by `PENSTOCK__FLOW_RUN_ID` alone, it is read from the store.

A test can say what an attribute is by an environment variable such as
`PENSTOCK__RUNTIME__FLOW_RUN__NAME=my-run`; its text is turned into the type of the real value.
"""

from __future__ import annotations

from penstock.runtime import deployment, flow_run, task_run

__all__ = ["deployment", "flow_run", "task_run"]
