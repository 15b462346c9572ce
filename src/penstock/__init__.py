"""penstock: Python workflows that finish.

```python
from penstock import flow, task
```

Names and modules are loaded when they are first asked for, so that importing the package costs
little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock import runtime
    from penstock.client import get_client
    from penstock.context import tags
    from penstock.engine import checkpoint, pause_flow_run, resume_flow_run, suspend_flow_run
    from penstock.flows import Flow, flow
    from penstock.logging import get_run_logger
    from penstock.states import State
    from penstock.tasks import Task, task
    from penstock.utilities.annotations import allow_failure, unmapped

__version__ = "0.1.0"

_WHERE = {
    "Flow": "penstock.flows",
    "State": "penstock.states",
    "Task": "penstock.tasks",
    "allow_failure": "penstock.utilities.annotations",
    "checkpoint": "penstock.engine",
    "flow": "penstock.flows",
    "get_client": "penstock.client",
    "get_run_logger": "penstock.logging",
    "pause_flow_run": "penstock.engine",
    "resume_flow_run": "penstock.engine",
    "suspend_flow_run": "penstock.engine",
    "tags": "penstock.context",
    "task": "penstock.tasks",
    "unmapped": "penstock.utilities.annotations",
}

_MODULES = frozenset(
    {
        "blocks",
        "client",
        "concurrency",
        "context",
        "engine",
        "exceptions",
        "filesystems",
        "flow_runs",
        "flows",
        "futures",
        "graph",
        "input",
        "logging",
        "results",
        "runtime",
        "serializers",
        "settings",
        "states",
        "task_runners",
        "tasks",
        "testing",
        "utilities",
    }
)
"""What can be used after `import penstock` alone, as in `penstock.states.Completed()`."""

__all__ = [
    "Flow",
    "State",
    "Task",
    "allow_failure",
    "checkpoint",
    "flow",
    "get_client",
    "get_run_logger",
    "pause_flow_run",
    "resume_flow_run",
    "runtime",
    "suspend_flow_run",
    "tags",
    "task",
    "unmapped",
]


def __getattr__(name: str) -> Any:
    """Load a public name or module when it is first asked for."""
    if name in _MODULES:
        return import_module(f"penstock.{name}")
    module = _WHERE.get(name)
    if module is None:
        message = f"module 'penstock' has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return list(__all__)
