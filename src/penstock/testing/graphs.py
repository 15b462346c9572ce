"""Graphs as sweeps call them: with parameters by name, and an answer that can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from uuid import UUID


class SweptGraph:
    """A graph whose answer is what became of each of its tasks.

    Parameters:
        flow: the flow of `penstock.graph`.
    """

    def __init__(self, flow: Any) -> None:
        self.flow = flow
        self.name: str = flow.name

    def __call__(self, **parameters: Any) -> list[Any]:
        """Run it."""
        return _answer(self.flow.run(parameters))

    def resume(self, flow_run_id: UUID) -> list[Any]:
        """Go on with a run of it."""
        return _answer(self.flow.resume(flow_run_id))


def swept(flow: Any) -> Any:
    """Give what a sweep calls: flows of decorated functions are called as they are."""
    # Without an import: who sweeps no graph need not load what makes them.
    is_graph = any(kind.__module__ == "penstock.graph.flow" for kind in type(flow).__mro__)
    return SweptGraph(flow) if is_graph else flow


def _answer(state: Any) -> list[Any]:
    result: Any = state.result
    if not isinstance(result, dict):
        return [type(state).__name__, _value(state)]
    tasks = cast("dict[Any, Any]", result)
    rows = [[one.name, type(done).__name__, _value(done)] for one, done in tasks.items()]
    return [type(state).__name__, rows]


def _value(state: Any) -> Any:
    if state.is_mapped():
        return [[type(child).__name__, _value(child)] for child in state.map_states]
    return None if isinstance(state.result, BaseException) else state.result
