"""Flows: functions whose runs are recorded, with all the task runs in them (sections 2.1, 2.2)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, Literal, Never, ParamSpec, TypeVar, overload
from uuid import UUID

from penstock import decorating as check
from penstock.context import collected
from penstock.loading import (
    LoadableFlow,
    load_flow_argument_from_entrypoint,
    load_flow_from_entrypoint,
    load_flow_from_script,
    load_flow_from_text,
    load_flows_from_script,
    select_flow,
)
from penstock.settings import get_current_settings
from penstock.task_runners import BaseTaskRunner, ConcurrentTaskRunner
from penstock.utilities.annotations import NotSet
from penstock.utilities.sources import source_file, source_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.records import FlowRun

__all__ = [
    "Flow",
    "flow",
    "load_flow_argument_from_entrypoint",
    "load_flow_from_entrypoint",
    "load_flow_from_script",
    "load_flow_from_text",
    "load_flows_from_script",
    "select_flow",
]

P = ParamSpec("P")
R = TypeVar("R")

_SKETCHING = "penstock.sketching"
"""The module that draws flows: while it is not loaded, none is being drawn."""

_OPTIONS = (
    "name",
    "version",
    "flow_run_name",
    "retries",
    "retry_delay_seconds",
    "task_runner",
    "description",
    "timeout_seconds",
    "validate_parameters",
    "persist_result",
    "result_storage",
    "result_serializer",
    "cache_result_in_memory",
    "log_prints",
    "on_completion",
    "on_failure",
    "on_cancellation",
    "on_crashed",
    "on_running",
    "on_crash",
)


class Flow(check.Decorated, LoadableFlow, Generic[P, R]):
    """A function whose runs are recorded. Made by `@flow`, whose options these are."""

    kind = "flow"

    @collected
    def __init__(  # noqa: PLR0913, PLR0917 - one parameter for each option of the field's decorator
        self,
        fn: Callable[P, R],
        name: str | None = None,
        version: str | None = None,
        flow_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | None = None,
        task_runner: type[BaseTaskRunner] | BaseTaskRunner = ConcurrentTaskRunner,
        description: str | None = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool = True,  # noqa: FBT001, FBT002
        persist_result: bool | None = None,  # noqa: FBT001
        result_storage: Any = None,
        result_serializer: Any = None,
        cache_result_in_memory: bool = True,  # noqa: FBT001, FBT002
        log_prints: bool | None = None,  # noqa: FBT001
        on_completion: list[Callable[..., Any]] | None = None,
        on_failure: list[Callable[..., Any]] | None = None,
        on_cancellation: list[Callable[..., Any]] | None = None,
        on_crashed: list[Callable[..., Any]] | None = None,
        on_running: list[Callable[..., Any]] | None = None,
        on_crash: Literal["crash", "resume"] = "crash",
        **unknown: Never,
    ) -> None:
        check.refuse_unknown(unknown, _OPTIONS, "flow")
        check.check_function(fn, "flow")
        check.check_name(name, "flow", ban_characters=True)
        name = name or getattr(fn, "__name__", type(fn).__name__).replace("_", "-")
        self.describe(fn, name or "", description)
        self.__name__ = getattr(fn, "__name__", self.name)
        check.check_run_name(flow_run_name, "flow_run_name")
        self.flow_run_name = flow_run_name
        check.check_texts("flow", version=version, description=description)
        check.check_flags("flow", validate_parameters=validate_parameters)
        self._version = version
        self._made_version: str | None = None
        self._made_entrypoint: str | None = None
        self.task_runner: BaseTaskRunner = check.check_runner(task_runner)
        self.should_validate_parameters = validate_parameters
        self.take_results(persist_result, result_storage, result_serializer)
        self.take_flags(cache_result_in_memory, log_prints)
        self.on_completion = check.check_hooks(on_completion, "on_completion")
        self.on_failure = check.check_hooks(on_failure, "on_failure")
        self.on_cancellation = check.check_hooks(on_cancellation, "on_cancellation")
        self.on_crashed = check.check_hooks(on_crashed, "on_crashed")
        self.on_running = check.check_hooks(on_running, "on_running")
        check.check_on_crash(on_crash, self.name)
        self.on_crash = on_crash
        self._take_numbers(retries, retry_delay_seconds, timeout_seconds)
        self._given_entrypoint: str | None = None
        if validate_parameters:
            from penstock.utilities.validation import check_signature

            check_signature(self.signature)

    def _take_numbers(
        self, retries: int | None, delay_s: float | None, timeout_s: float | None
    ) -> None:
        settings = get_current_settings()
        self.retries = settings.flow_default_retries if retries is None else retries
        check.check_count(self.retries, "retries", "flow", self.name)
        if delay_s is None:
            delay_s = settings.flow_default_retry_delay_seconds
        check.check_not_negative(delay_s, "retry_delay_seconds", "flow", self.name)
        self.retry_delay_seconds = delay_s
        check.check_not_negative(timeout_s, "timeout_seconds", "flow", self.name)
        self.timeout_seconds = float(timeout_s) if timeout_s else None

    # -- what it is ---------------------------------------------------------------------------

    @property
    def version(self) -> str | None:
        """Give the version: as given, else a hash of the source file if that can be read."""
        if self._version is None and self._made_version is None:
            self._made_version = source_version(self.fn) or ""
        return self._version or self._made_version or None

    @property
    def entrypoint(self) -> str | None:
        """Give where the flow is loaded from in another process: `file:function`."""
        if self._given_entrypoint is None and self._made_entrypoint is None:
            path = source_file(self.fn)
            name = getattr(self.fn, "__qualname__", None)
            is_found = path is not None and name is not None and "<locals>" not in name
            self._made_entrypoint = f"{path}:{name}" if is_found else ""
        return self._given_entrypoint or self._made_entrypoint or None

    @property
    def _entrypoint(self) -> str | None:
        """Give the entrypoint, under the name that programs of Prefect 2 know."""
        return self.entrypoint

    @property
    def parameters(self) -> Any:
        """Give the JSON schema of the parameters."""
        from penstock.utilities.callables import parameter_schema

        return parameter_schema(self.fn)

    # -- parameters ---------------------------------------------------------------------------

    def validate_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Give the parameters cast to the types they are annotated with.

        Raises:
            ParameterTypeError: some do not fit; every one is listed.
            SignatureMismatchError: there are names that the function does not have.
        """
        from penstock.utilities.validation import validate_parameters

        return validate_parameters(self.signature, parameters)

    def serialize_parameters(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Give the parameters as JSON can hold them; `<TypeName>` stands for what it cannot."""
        from penstock.parameters import to_json

        return to_json(parameters)

    def pickle_parameters(
        self, parameters: Mapping[str, Any], serialized: Mapping[str, Any]
    ) -> bytes | None:
        """Give the parameters pickled, where JSON does not hold them as they are."""
        from penstock.parameters import pickled_unless_plain

        return pickled_unless_plain(parameters, serialized)

    def parameters_of(self, flow_run: FlowRun) -> dict[str, Any]:
        """Give the parameters of a recorded run, as its function takes them.

        Raises:
            ParameterTypeError: the recorded ones do not fit the function any more.
        """
        from penstock.parameters import from_record

        recorded = from_record(flow_run)
        self.signature.refuse_unknown(recorded)
        filled = {**self.signature.defaults, **recorded}
        ordered = {name: filled[name] for name in self.signature.names if name in filled}
        return self.validate_parameters(ordered) if self.should_validate_parameters else ordered

    # -- calling ------------------------------------------------------------------------------

    def __call__(
        self, *args: Any, return_state: bool = False, wait_for: Any = None, **kwargs: Any
    ) -> Any:
        """Run the flow.

        Parameters:
            return_state: give the final state instead of the value; a failed run does not raise.
            wait_for: runs of the flow this is called in that have to complete before.

        Returns:
            The value; a coroutine of it for an async flow (but not when sync code of another flow
            calls it).

        Raises:
            ParameterBindError: the arguments do not fit; no run is made.
            Exception: what the run failed with.
        """
        from penstock.engine import enter_flow_run_engine_from_flow_call

        if _SKETCHING in sys.modules:
            sketch = sys.modules[_SKETCHING].present_sketch()
            if sketch is not None:
                return sketch.call(self, self.signature.bind(args, kwargs), wait_for)
        return enter_flow_run_engine_from_flow_call(
            self,
            self.signature.bind(args, kwargs),
            wait_for,
            "state" if return_state else "result",
        )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        return self(*args, return_state=True, **kwargs)

    def visualize(self, *args: P.args, **kwargs: P.kwargs) -> Any:
        """Draw what the flow calls, and what depends on what, without running or recording it.

        The flow's own code is called; what its tasks and subflows would give is stood for by
        placeholders, which can be handed on to others. Code that needs a value gets that of the
        task's option `viz_return_value`.

        Parameters:
            args, kwargs: the flow's parameters.

        Returns:
            A drawing: print it, `.save("flow.svg")` it, or let a notebook show it. For an async
            flow in async code an awaitable of it.

        Raises:
            VisualizationUnsupportedError: the flow calls `.submit` or `.map`, or uses the value
                of a task that has no `viz_return_value`.
            ParameterBindError, ParameterTypeError: the parameters do not fit.

        Example:
            >>> print(pipeline.visualize(day="2026-01-01"))  # doctest: +SKIP
        """
        from penstock import sketching

        return sketching.visualize(self, args, kwargs)

    def resume(self, flow_run_id: UUID | str, *, return_state: bool = False) -> Any:
        """Go on with a recorded run that was killed, crashed or failed.

        Task runs that are recorded Completed are not executed again, the rest is.

        Parameters:
            flow_run_id: the run's id.
            return_state: give the final state instead of the value.

        Raises:
            ValueError: this is no id, or that of a run of another flow.
            ObjectNotFound: there is no such run.
            RunOwnedElsewhere: a living process executes it.

        Example:
            >>> my_flow.resume("01a20480-3334-7aa3-8186-a049104944c6")  # doctest: +SKIP
        """
        from penstock.engine import resume_flow_run_here

        run_id = flow_run_id if isinstance(flow_run_id, UUID) else _parsed_id(flow_run_id)
        return resume_flow_run_here(self, run_id, "state" if return_state else "result")

    # -- options ------------------------------------------------------------------------------

    def with_options(  # noqa: PLR0913 - one parameter for each option
        self,
        *,
        name: str | None = None,
        version: str | None = None,
        flow_run_name: str | Callable[[], str] | None = None,
        retries: int | None = None,
        retry_delay_seconds: float | None = None,
        task_runner: type[BaseTaskRunner] | BaseTaskRunner | None = None,
        description: str | None = None,
        timeout_seconds: float | None = None,
        validate_parameters: bool | None = None,
        persist_result: Any = NotSet,
        result_storage: Any = NotSet,
        result_serializer: Any = NotSet,
        cache_result_in_memory: bool | None = None,
        log_prints: Any = NotSet,
        on_completion: list[Callable[..., Any]] | None = None,
        on_failure: list[Callable[..., Any]] | None = None,
        on_cancellation: list[Callable[..., Any]] | None = None,
        on_crashed: list[Callable[..., Any]] | None = None,
        on_running: list[Callable[..., Any]] | None = None,
        on_crash: Literal["crash", "resume"] | None = None,
        **unknown: Never,
    ) -> Flow[P, R]:
        """Give the same flow with other options; those that are not given are kept.

        None keeps an option, too, except for `persist_result`, `result_storage`,
        `result_serializer` and `log_prints`, which None unsets; 0 unsets `retries`,
        `retry_delay_seconds` and `timeout_seconds`.

        Example:
            >>> nightly = report.with_options(name="nightly report", retries=2)  # doctest: +SKIP
        """
        check.refuse_unknown(unknown, _OPTIONS, "with_options")
        keep_none = {
            "name": name,
            "version": version,
            "flow_run_name": flow_run_name,
            "retries": retries,
            "retry_delay_seconds": retry_delay_seconds,
            "task_runner": task_runner,
            "description": description,
            "timeout_seconds": timeout_seconds,
            "validate_parameters": validate_parameters,
            "cache_result_in_memory": cache_result_in_memory,
            "on_completion": on_completion,
            "on_failure": on_failure,
            "on_cancellation": on_cancellation,
            "on_crashed": on_crashed,
            "on_running": on_running,
            "on_crash": on_crash,
        }
        unset_none = {
            "persist_result": persist_result,
            "result_storage": result_storage,
            "result_serializer": result_serializer,
            "log_prints": log_prints,
        }
        options = {option: getattr(self, option) for option in _OPTIONS}
        options["version"] = self._version
        options["validate_parameters"] = self.should_validate_parameters
        options |= {option: value for option, value in keep_none.items() if value is not None}
        options |= check.given(unset_none)
        made = type(self)(self.fn, **options)
        made._given_entrypoint = self._given_entrypoint  # noqa: SLF001 - of the same class
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the flow with its options, and its function by name where that leads to it."""
        return check.reduce_decorated(self)

    def __repr__(self) -> str:
        """Give the flow's name."""
        return f"<Flow {self.name!r}>"


def _parsed_id(text: Any) -> UUID:
    try:
        return UUID(str(text))
    except ValueError:
        message = (
            f"{text!r} is not the id of a flow run. Give one such as"
            " 01a20480-3334-7aa3-8186-a049104944c6: see `penstock flow-run ls`."
        )
        raise ValueError(message) from None


@overload
def flow(fn: Callable[P, R], /) -> Flow[P, R]: ...


@overload
def flow(
    *,
    name: str | None = None,
    version: str | None = None,
    flow_run_name: str | Callable[[], str] | None = None,
    retries: int | None = None,
    retry_delay_seconds: float | None = None,
    task_runner: type[BaseTaskRunner] | BaseTaskRunner = ConcurrentTaskRunner,
    description: str | None = None,
    timeout_seconds: float | None = None,
    validate_parameters: bool = True,
    persist_result: bool | None = None,
    result_storage: Any = None,
    result_serializer: Any = None,
    cache_result_in_memory: bool = True,
    log_prints: bool | None = None,
    on_completion: list[Callable[..., Any]] | None = None,
    on_failure: list[Callable[..., Any]] | None = None,
    on_cancellation: list[Callable[..., Any]] | None = None,
    on_crashed: list[Callable[..., Any]] | None = None,
    on_running: list[Callable[..., Any]] | None = None,
    on_crash: Literal["crash", "resume"] = "crash",
) -> Callable[[Callable[P, R]], Flow[P, R]]: ...


def flow(fn: Any = None, /, **options: Any) -> Any:
    """Make a function a flow: its runs are recorded, with all the task runs in them.

    Parameters:
        name: the function's name, with `-` for `_`, by default.
        version: a hash of the source file by default.
        flow_run_name: a template over the parameters, or a function that gives the name.
        retries: how often a failed run is tried again; PENSTOCK_FLOW_DEFAULT_RETRIES by default.
            What is completed in it is not executed again.
        retry_delay_seconds: seconds before each retry.
        task_runner: where submitted and mapped tasks run; threads by default.
        description: the docstring by default.
        timeout_seconds: seconds after which a run is interrupted and is TimedOut.
        validate_parameters: check and cast parameters by their annotations.
        persist_result, result_storage, result_serializer, cache_result_in_memory: as for tasks;
            storage and serializer are the tasks' default, too.
        log_prints: log what the function and its tasks print.
        on_completion, on_failure, on_cancellation, on_crashed, on_running: lists of functions of
            (flow, flow_run, state).
        on_crash: what becomes of a run whose process has died, once that is noticed: "crash", it
            is Crashed and waits for somebody to go on with it; "resume", it goes on in another
            process (`penstock recover --watch`), with what was completed kept.

    Raises:
        TypeError, ValueError: an option is unknown, of the wrong type, or out of its range.

    Example:
        >>> @flow(log_prints=True)
        ... def hello(name: str = "world"):
        ...     print(f"hello {name}")
    """
    if fn is not None:
        check.check_function(fn, "flow")
        return Flow(fn, **options)
    check.refuse_unknown({k: v for k, v in options.items() if k not in _OPTIONS}, _OPTIONS, "flow")

    def decorate(fn: Callable[..., Any]) -> Flow[..., Any]:
        return Flow(fn, **options)

    return decorate
