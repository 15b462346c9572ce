"""Drawing a `@flow`: its function is called with placeholders in place of task runs (section 2.1).

Nothing is run but the flow's own code, and nothing is recorded.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.exceptions import VisualizationUnsupportedError
from penstock.graph.picture import TASK, Arrow, Box, Picture
from penstock.graph.visualizing import Drawing, has_graphviz
from penstock.utilities.asyncutils import is_in_async_code
from penstock.utilities.collections import visit_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

_present: ContextVar[Sketch | None] = ContextVar("sketch", default=None)

_SHARED = (type(None), bool, int, float, complex, str, bytes, type(Ellipsis))
"""Equal values of these are often one object, so that none of them tells whose value it is."""


def present_sketch() -> Sketch | None:
    """Give the drawing that is being made by this code; none as a rule."""
    return _present.get()


def visualize(flow: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Draw what a flow calls with these arguments; see `Flow.visualize`."""
    sketch = Sketch(flow)
    parameters = flow.signature.bind(args, kwargs)
    if flow.should_validate_parameters:
        parameters = flow.validate_parameters(parameters)
    values, named = flow.signature.call_arguments(parameters)
    if not flow.isasync:
        return sketch.draw(lambda: flow.fn(*values, **named))
    drawing = sketch.draw_async(lambda: flow.fn(*values, **named))
    return drawing if is_in_async_code() else asyncio.run(drawing)


class Sketch:
    """What the code of a flow has called so far, and what depends on what."""

    def __init__(self, flow: Any) -> None:
        self._flow = flow
        self._boxes: list[Box] = []
        self._arrows: list[Arrow] = []
        # What stands for the values of tasks, by identity; kept, so that no id comes twice.
        self._values: dict[int, tuple[Any, str]] = {}

    def draw(self, code: Callable[[], Any]) -> Drawing:
        """Call the flow's function, and draw what it calls."""
        token = _present.set(self)
        try:
            code()
        finally:
            _present.reset(token)
        return self._drawing()

    async def draw_async(self, code: Callable[[], Coroutine[Any, Any, Any]]) -> Drawing:
        """Await the flow's function, and draw what it calls."""
        token = _present.set(self)
        try:
            await code()
        finally:
            _present.reset(token)
        return self._drawing()

    def _drawing(self) -> Drawing:
        picture = Picture(self._flow.name, self._boxes, self._arrows)
        return Drawing(picture, "svg" if has_graphviz() else "text")

    def call(self, called: Any, parameters: dict[str, Any], wait_for: Any = None) -> Any:
        """Note that a task, or a flow, is called; give what stands for its value."""
        key = f"n{len(self._boxes)}"
        self._boxes.append(Box(key, called.name, called.name, TASK, None, None, None, None))
        for name, value in parameters.items():
            self._connect(value, key, name)
        self._connect(wait_for, key, None)
        value = getattr(called, "viz_return_value", None)
        if value is None:
            value = Placeholder(called.name)
        if not isinstance(value, _SHARED):
            self._values[id(value)] = (value, key)
        if called.isasync and self._flow.isasync:
            return _given(value)
        return value

    def refuse(self, called: Any, how: str) -> NoReturn:
        """Raise: what was called cannot be drawn."""
        message = (
            f"{called.name}.{how}() cannot be drawn: what depends on it is known only when it"
            f" runs. Call it, as in {called.name}(...), or draw a run that was made."
        )
        raise VisualizationUnsupportedError(message)

    def _connect(self, value: Any, key: str, name: str | None) -> None:
        found: list[str] = []

        def look(part: Any) -> Any:
            known = self._values.get(id(part))
            if known is not None and known[1] not in found:
                found.append(known[1])
            return part

        visit_collection(value, look)
        self._arrows += [Arrow(each, key, name, False, False) for each in found]  # noqa: FBT003


async def _given(value: Any) -> Any:
    return value


class Placeholder:
    """Stands for the value of a task while its flow is drawn: it can be handed on, and no more."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        """Say whose value it stands for."""
        return f"<value of {self._name}>"

    def __getattr__(self, name: str) -> Any:
        """Refuse what a value may have: there is none."""
        if name.startswith("__"):
            raise AttributeError(name)
        self._refuse(f".{name}")

    def _refuse(self, use: str) -> NoReturn:
        message = (
            f"The value of {self._name!r} is used by the flow's own code ({use}), which cannot be"
            " drawn without it: tasks are not run. Give the task what stands for it:"
            " @task(viz_return_value=...)."
        )
        raise VisualizationUnsupportedError(message)


def _refusal(use: str) -> Callable[..., NoReturn]:
    def refuse(self: Placeholder, *_: Any) -> NoReturn:
        self._refuse(use)  # pyright: ignore[reportPrivateUsage] - a method of it, made here

    return refuse


_USES = {
    "iteration": ("iter", "next", "contains", "len", "reversed"),
    "[...]": ("getitem", "setitem", "delitem"),
    "a condition": ("bool",),
    "a call": ("call",),
    "a comparison": ("lt", "le", "gt", "ge"),
    "a number": ("int", "float", "index", "complex", "round", "abs", "neg", "pos", "invert"),
    "`with`": ("enter", "exit"),
    "`await`": ("await",),
    "an operator": tuple(
        prefix + name
        for prefix in ("", "r", "i")
        for name in (
            *("add", "sub", "mul", "truediv", "floordiv", "mod", "divmod", "pow", "matmul"),
            *("and", "or", "xor", "lshift", "rshift"),
        )
    ),
}

for _use, _names in _USES.items():
    for _name in _names:
        setattr(Placeholder, f"__{_name}__", _refusal(_use))
