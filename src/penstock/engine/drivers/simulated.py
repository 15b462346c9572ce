"""The simulated driver: any of the others, watched, so that each effect may be the last.

A run's generator is wrapped in one that yields the same effects, and tells the watch before and
after each of them is done; the watch may let other threads go on there, or let the process die.
The effects themselves are done by the driver that does them in real life, in a world of its own
(`penstock.world`): so it is the engine that is simulated, and not a likeness of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from penstock.engine.effects import Effect, Steps

T = TypeVar("T")


class Watch(Protocol):
    """What is told of each effect. What it raises ends the run: nothing more of it is executed."""

    def before(self, call: Any, effect: Effect) -> Exception | None:
        """The run is about to have an effect done; give what it is told instead, if anything."""
        ...

    def after(self, call: Any, effect: Effect) -> None:
        """The effect is done, well or not, and the run has not been told yet."""
        ...

    def over(self, call: Any, value: Any) -> None:
        """The run is over, and its caller is about to be given `value`."""
        ...


class Ended(BaseException):
    """Raised by a watch: the process that executes the run is no more."""


def observed(steps: Steps[T], watch: Watch) -> Steps[T]:
    """Give the same run, watched."""
    call = cast("Any", steps).gi_frame.f_locals.get("call")
    answer: Any = None
    error: BaseException | None = None
    try:
        while True:
            try:
                effect = steps.send(answer) if error is None else steps.throw(error)
            except StopIteration as stop:
                watch.over(call, stop.value)
                return stop.value
            answer, error = None, watch.before(call, effect)
            if error is not None:
                continue
            try:
                answer = yield effect
            except GeneratorExit:
                raise
            except BaseException as caught:  # noqa: BLE001 - handed on to the run
                error = caught
            watch.after(call, effect)
    except (Ended, GeneratorExit):
        steps.close()
        raise
