"""`crash_sweep(flow, ...)` as a test calls it: raises with a report, quiet, and bounded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.settings import PENSTOCK_LOGGING_LEVEL, temporary_settings
from penstock.testing.sweeping import crash_sweep
from penstock.testing.utilities import penstock_test_harness

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from penstock.testing.sweeping import Sweep

POINTS_LIMIT = 300
"""At so many points a flow is crashed unless more are asked for; some milliseconds each."""


class CrashSweep:
    """Crashes a flow at every effect in turn, resumes it, and checks what came of it.

    Parameters:
        limit: the most points to crash at; where a flow has more, the seed chooses.
        seed: what decides the order of threads, and which points.
        every_task: also object to a task that ran again because its result was not recorded.
        may_fail: a flow that fails when nothing disturbs it is as it should be.
        run_input: what each pause is given that waits for input, by field.
        before_each: called before each run of the flow, to clear what the one before has left
            outside of penstock: files, variables.

    Example:
        >>> from penstock import flow, task
        >>> @task
        ... def double(number):
        ...     return 2 * number
        >>> @flow
        ... def main(number):
        ...     return double(double(number))
        >>> CrashSweep()(main, 3).failures
        []
    """

    def __init__(
        self,
        limit: int = POINTS_LIMIT,
        seed: int = 0,
        *,
        every_task: bool = True,
        may_fail: bool = False,
        run_input: Mapping[str, Any] | None = None,
        before_each: Callable[[], object] | None = None,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit must be at least 1, not {limit}: it is how often to crash.")
        self._limit = limit
        self._seed = seed
        self._every_task = every_task
        self._may_fail = may_fail
        self._run_input = run_input
        self._before_each = before_each

    def with_options(
        self,
        *,
        limit: int | None = None,
        seed: int | None = None,
        every_task: bool | None = None,
        may_fail: bool | None = None,
        run_input: Mapping[str, Any] | None = None,
        before_each: Callable[[], object] | None = None,
    ) -> CrashSweep:
        """Give one with other options; apart, so that a flow may have parameters of these names.

        Raises:
            ValueError: `limit` is less than 1.
        """
        return CrashSweep(
            self._limit if limit is None else limit,
            self._seed if seed is None else seed,
            every_task=self._every_task if every_task is None else every_task,
            may_fail=self._may_fail if may_fail is None else may_fail,
            run_input=self._run_input if run_input is None else run_input,
            before_each=self._before_each if before_each is None else before_each,
        )

    def __call__(self, flow: Any, *args: Any, **kwargs: Any) -> Sweep:
        """Sweep a flow, or a graph, that is called with these arguments.

        Returns:
            What was done: `points`, `stops`.

        Raises:
            AssertionError: a task ran twice after it was recorded Completed, the flow gave another
                answer, or a history is illegal; the message says where the flow had crashed. Or it
                failed when nothing disturbed it.
            TypeError: `flow` is no flow, or does not take these arguments.
            ValueError: a graph has not these parameters.
        """
        if not (hasattr(flow, "resume") and hasattr(flow, "name")):
            raise TypeError(
                f"crash_sweep takes a flow and its arguments, not {flow!r}. Decorate the function"
                " with @flow, and give the arguments after it: crash_sweep(flow, 1, key=2)."
            )
        parameters = _by_name(flow, args, kwargs)
        with penstock_test_harness(), temporary_settings({PENSTOCK_LOGGING_LEVEL: "CRITICAL"}):
            sweep = crash_sweep(
                flow,
                parameters,
                seed=self._seed,
                limit=self._limit,
                every_task=self._every_task,
                run_input=self._run_input,
                before_each=self._before_each,
            )
        sweep.check()
        if sweep.failed and not self._may_fail:
            raise AssertionError(
                f"Flow {flow.name!r} fails when nothing disturbs it, too: {sweep.answer}. Nothing"
                " is proved by that of the steps after the failure. If it is meant to fail:"
                " crash_sweep.with_options(may_fail=True)(...)."
            )
        return sweep


def _by_name(flow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    import inspect

    if not hasattr(flow, "fn"):
        if args:
            raise TypeError(f"Give the parameters of the graph {flow.name!r} by name.")
        return kwargs
    signature = inspect.signature(flow.fn)
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as error:
        raise TypeError(f"Flow {flow.name!r} cannot be called so: {error}.") from None
    by_name: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            by_name.update(value)
        elif kind in {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY}:
            raise TypeError(
                f"crash_sweep gives parameters by name, and {name!r} of flow {flow.name!r} has"
                " none. Call the flow in another one that takes it by name."
            )
        else:
            by_name[name] = value
    return by_name
