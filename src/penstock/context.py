"""Where the code that runs now is: in which flow run, task run, and under which tags and settings.

Contexts are context variables used as context managers (section 7.1). The engine sets the run
contexts around the functions it calls; a program reads them with `get_run_context()`.
"""

from __future__ import annotations

import functools
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import TYPE_CHECKING, Any, ClassVar, Concatenate, ParamSpec, Self, TypeVar

from penstock import clock
from penstock.exceptions import MissingContextError
from penstock.settings import (
    SettingsContext,
    get_settings_context,
    use_profile,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from datetime import datetime
    from types import TracebackType
    from uuid import UUID

    from penstock.records import FlowRun, TaskRun
    from penstock.states import State

__all__ = [
    "ContextModel",
    "EngineContext",
    "FlowRunContext",
    "PenstockObjectRegistry",
    "PrefectObjectRegistry",
    "SettingsContext",
    "TagsContext",
    "TaskRunContext",
    "collected",
    "current_caller",
    "get_run_context",
    "get_settings_context",
    "tags",
    "use_profile",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")


class ContextModel:
    """A context that is entered with `with` and found with `get()`; nesting restores the former.

    An object cannot be entered twice at once; a `copy()` of it can.
    """

    __slots__ = ("_token",)
    variable: ClassVar[ContextVar[Any]]
    _token: Token[Any] | None

    @classmethod
    def get(cls) -> Self | None:
        """Give the innermost context of this class, or none."""
        return cls.variable.get()

    def __enter__(self) -> Self:
        """Make this the innermost context."""
        # The engine's own are set by `activate`, which leaves no token.
        if self._token is not None or self.variable.get() is self:
            message = f"This {type(self).__name__} is entered already. Enter a copy() of it."
            raise RuntimeError(message)
        self._token = self.variable.set(self)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Put the former context back."""
        if self._token is None:
            message = f"This {type(self).__name__} is left without having been entered."
            raise RuntimeError(message)
        self.variable.reset(self._token)
        self._token = None

    def activate(self) -> Any:
        """Set the context without entering it; give what `deactivate` needs. For the engine."""
        return self.variable.set(self)

    def deactivate(self, token: Any) -> None:
        """Put back what `activate` replaced."""
        self.variable.reset(token)

    def copy(self, **changes: Any) -> Self:
        """Give the same context, not entered, with `changes`."""
        made = object.__new__(type(self))
        for cls in type(self).__mro__:
            for name in getattr(cls, "__slots__", ()):
                if hasattr(self, name):
                    object.__setattr__(made, name, getattr(self, name))
        made._token = None
        for name, value in changes.items():
            setattr(made, name, value)
        return made


class _RunContext(ContextModel):
    __slots__ = ("_client", "log_prints", "parameters", "result_factory", "start_time")

    def __init__(
        self,
        *,
        parameters: dict[str, Any] | None = None,
        result_factory: Any = None,
        log_prints: bool = False,
        start_time: datetime | None = None,
        client: Any = None,
    ) -> None:
        self._token = None
        self.start_time = start_time or clock.now()
        self.parameters = {} if parameters is None else parameters
        self.result_factory = result_factory
        self.log_prints = log_prints
        self._client = client

    @property
    def client(self) -> Any:
        """Give a client of the records, made when it is first asked for."""
        if self._client is None:
            # The client is above this room; a context only hands it to who asks for it.
            from importlib import import_module

            self._client = import_module("penstock.client").get_client()
        return self._client


class FlowRunContext(_RunContext):
    """The flow run that the present code belongs to; also around a task run without a flow.

    `execution` is the engine's own view of the run; what it counts is handed on by the properties.
    `is_over` is true in the hooks of a run that has finished: flows they call are on their own.
    """

    __slots__ = ("autonomous_task_run", "execution", "flow", "flow_run", "is_over", "task_runner")
    variable: ClassVar[ContextVar[FlowRunContext | None]] = ContextVar("flow_run", default=None)

    def __init__(
        self,
        *,
        flow: Any = None,
        flow_run: FlowRun | None = None,
        task_runner: Any = None,
        autonomous_task_run: TaskRun | None = None,
        execution: Any = None,
        is_over: bool = False,
        **shared: Any,
    ) -> None:
        super().__init__(**shared)
        self.flow = flow
        self.flow_run = flow_run
        self.task_runner = task_runner
        self.autonomous_task_run = autonomous_task_run
        self.execution = execution
        self.is_over = is_over

    def activate(self) -> Any:
        """Set the context; the task run that the flow was called in is left meanwhile."""
        return self.variable.set(self), TaskRunContext.variable.set(None)

    def deactivate(self, token: Any) -> None:
        """Put back what `activate` replaced."""
        flow_token, task_token = token
        TaskRunContext.variable.reset(task_token)
        self.variable.reset(flow_token)

    @property
    def task_run_dynamic_keys(self) -> dict[str, int]:
        """Give how many calls of each task key the flow's own code has made."""
        return {} if self.execution is None else self.execution.dynamic_keys

    @property
    def task_run_futures(self) -> list[Any]:
        """Give the futures of task runs that have not finished."""
        return [] if self.execution is None else list(self.execution.unfinished)

    @property
    def task_run_states(self) -> list[State]:
        """Give the final states of task runs that are kept: the first of them, up to a bound."""
        return [] if self.execution is None else list(self.execution.kept_states)

    @property
    def flow_run_states(self) -> list[State]:
        """Give the final states of subflow runs that are kept."""
        return [] if self.execution is None else list(self.execution.subflow_states)

    @property
    def task_run_results(self) -> dict[int, Any]:
        """Give what is known of recent results: by identity of the object, its task run's id."""
        return {} if self.execution is None else self.execution.links.as_dict()

    @property
    def observed_flow_pauses(self) -> dict[str, int]:
        """Give how many pauses this execution has seen."""
        return {} if self.execution is None else self.execution.observed_pauses

    @property
    def timeout_scope(self) -> Any:
        """Give the deadline of the flow run, if it has one."""
        return None if self.execution is None else self.execution.deadline

    @property
    def background_tasks(self) -> list[Any]:
        """Give the work that goes on beside the flow's own code."""
        return self.task_run_futures


EngineContext = FlowRunContext


class TaskRunContext(_RunContext):
    """The task run that the present code belongs to.

    `turn` counts the turns of a graph's task that loops, from 1: what each calls is its own.
    """

    __slots__ = ("call", "dynamic_keys", "task", "task_run", "turn")
    variable: ClassVar[ContextVar[TaskRunContext | None]] = ContextVar("task_run", default=None)

    def __init__(
        self,
        *,
        task: Any,
        task_run: TaskRun,
        parameters: dict[str, Any] | None = None,
        log_prints: bool = False,
        result_factory: Any = None,
        call: Any = None,
        start_time: datetime | None = None,
        client: Any = None,
    ) -> None:
        # Made for every task run: no call of the base class for what is six assignments.
        self._token = None
        self._client = client
        self.task = task
        self.task_run = task_run
        self.parameters = {} if parameters is None else parameters
        self.log_prints = log_prints
        self.result_factory = result_factory
        self.call = call
        self.start_time = start_time or clock.now()
        self.dynamic_keys: dict[str, int] | None = None
        self.turn = 1


class TagsContext(ContextModel):
    """The tags that runs created here get besides their own."""

    __slots__ = ("current_tags",)
    variable: ClassVar[ContextVar[TagsContext | None]] = ContextVar("tags", default=None)

    def __init__(self, current_tags: set[str] | frozenset[str] = frozenset()) -> None:
        self._token = None
        self.current_tags = set(current_tags)

    @classmethod
    def get(cls) -> TagsContext:
        """Give the innermost tags; there are always some, perhaps empty."""
        return cls.variable.get() or cls()

    @classmethod
    def current(cls) -> set[str]:
        """Give the present tags without making a context for them."""
        found = cls.variable.get()
        return _NO_TAGS if found is None else found.current_tags


_NO_TAGS: set[str] = set()


@contextmanager
def tags(*new_tags: str) -> Generator[set[str]]:
    """Give every flow run and task run that is created in the block these tags, too.

    Yields:
        The set of all tags that apply in the block.

    Example:
        >>> with tags("nightly"):
        ...     my_flow()  # doctest: +SKIP
    """
    with TagsContext(TagsContext.current() | set(new_tags)) as context:
        yield context.current_tags


class PenstockObjectRegistry(ContextModel):
    """Collects the flows and tasks that are made while it is entered, as while a script is loaded.

    Parameters:
        block_code_execution: calls of flows do nothing but warn, so that a script whose last line
            calls its flow can be loaded without running it.
        capture_failures: a flow or task that cannot be made is noted with its error, which is not
            raised.

    Example:
        >>> with PenstockObjectRegistry(block_code_execution=True) as registry:
        ...     my_flow = Flow(print, name="mine")  # doctest: +SKIP
        >>> registry.get_instances(Flow)  # doctest: +SKIP
        [<Flow 'mine'>]
    """

    __slots__ = ("_failures", "_instances", "block_code_execution", "capture_failures")
    variable: ClassVar[ContextVar[PenstockObjectRegistry | None]] = ContextVar(
        "registry", default=None
    )

    def __init__(
        self, *, block_code_execution: bool = False, capture_failures: bool = False
    ) -> None:
        self._token = None
        self._instances: list[Any] = []
        self._failures: list[tuple[Exception, Any]] = []
        self.block_code_execution = block_code_execution
        self.capture_failures = capture_failures

    @classmethod
    def blocks(cls) -> bool:
        """Tell whether calls of flows are to do nothing here."""
        registry = cls.variable.get()
        return registry is not None and registry.block_code_execution

    def get_instances(self, kind: type[_T]) -> list[_T]:
        """Give what was made of a class and its subclasses, in that order."""
        return [made for made in self._instances if isinstance(made, kind)]

    def get_instance_failures(self, kind: type[_T]) -> list[tuple[Exception, _T]]:
        """Give what could not be made of a class: each error, and the object left half-made."""
        return [found for found in self._failures if isinstance(found[1], kind)]

    def note(self, made: object, error: Exception | None = None) -> bool:
        """Take note of an object that was made, or not; say whether its error is kept here."""
        if error is None:
            self._instances.append(made)
        elif self.capture_failures:
            self._failures.append((error, made))
        return self.capture_failures


PrefectObjectRegistry = PenstockObjectRegistry
"""The name that programs made for Prefect use."""


def collected(init: Callable[Concatenate[Any, _P], None]) -> Callable[Concatenate[Any, _P], None]:
    """Decorate the `__init__` of what a registry collects."""

    @functools.wraps(init)
    def noted(made: Any, *args: _P.args, **kwargs: _P.kwargs) -> None:
        registry = PenstockObjectRegistry.variable.get()
        try:
            init(made, *args, **kwargs)
        except Exception as error:
            if registry is None or not registry.note(made, error):
                raise
        else:
            if registry is not None:
                registry.note(made)

    return noted


def get_run_context() -> FlowRunContext | TaskRunContext:
    """Give the context of the task run that this code is in, else that of the flow run.

    Raises:
        MissingContextError: the code is in no run.
    """
    found = TaskRunContext.variable.get() or FlowRunContext.variable.get()
    if found is None:
        message = (
            "No run context is available: this is neither inside a flow run nor a task run. Call"
            " it from a function decorated with @flow or @task."
        )
        raise MissingContextError(message)
    return found


def current_run_id() -> UUID | None:
    """Give the id of the flow run that the present code belongs to, or of the task run on its own.

    Returns:
        The id; None outside of all runs.
    """
    context = FlowRunContext.variable.get()
    run = None if context is None else context.flow_run or context.autonomous_task_run
    return None if run is None else run.id


def current_caller() -> Any:
    """Give the flow or task whose code runs now: the innermost of both, or none."""
    task_context = TaskRunContext.variable.get()
    if task_context is not None:
        return task_context.task
    flow_context = FlowRunContext.variable.get()
    return None if flow_context is None else flow_context.flow
