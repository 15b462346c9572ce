"""What a walk keeps of each task of a graph: its edges, what it waits for, what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.graph.edge import Edge
from penstock.graph.results import ConstantResult
from penstock.graph.state import Mapped, State, Success
from penstock.graph.wrapping import Constant

if TYPE_CHECKING:
    from uuid import UUID

    from penstock.graph.task import Task


_NOTHING: dict[Any, Any] = {}
_NO_CHILDREN: list[Any] = []
# Most tasks have none of these, and what is not made needs no collecting. Never changed.


class Node:
    """One task in one walk over its graph.

    Attributes:
        given: the state that the task begins with.
        is_kept: that one is a recorded run's, and holds, whatever it is.
        missing: how many of its edges do not have yet what they bring.
        state: what came of the task; of a mapped one, of its parent.
        children: the states of a mapped task's children, by index, as far as they are there.
        left: how many of them are not.
        follows: each of them waits for a child of another mapped task.
    """

    __slots__ = (
        "child_ids",
        "children",
        "columns",
        "constants",
        "context",
        "downstream",
        "fingerprint",
        "flattened",
        "follows",
        "given",
        "inputs",
        "is_complete",
        "is_decorated",
        "is_followed",
        "is_kept",
        "is_mapped",
        "left",
        "missing",
        "order",
        "run_id",
        "state",
        "task",
        "upstream",
        "waits",
    )

    def __init__(self, task: Task, order: int, upstream: list[tuple[Edge, Node]]) -> None:
        self.task = task
        self.order = order
        self.upstream = upstream
        self.downstream: list[tuple[Edge, Node]] = []
        self.missing = len(upstream)
        self.is_mapped = any(edge.mapped for edge, _node in upstream)
        self.is_decorated = getattr(task, "decorated", None) is not None
        self.constants: dict[Edge, State] = _NOTHING
        self.context: dict[str, Any] = _NOTHING
        self.given: State | None = None
        self.inputs: Any = None
        self.is_kept = False
        self.state: State | None = None
        self.is_complete = False
        self.children: list[State | None] = _NO_CHILDREN
        self.left = 0
        self.columns: list[Any] = _NO_CHILDREN
        self.waits: dict[int, int] = _NOTHING
        self.flattened: dict[Edge, Any] = _NOTHING
        self.run_id: UUID | None = None
        self.child_ids: dict[int, UUID] = _NOTHING
        self.is_followed = False
        self.fingerprint: bytes | None = None

    def __lt__(self, other: Node) -> bool:
        """Order by the place in the graph."""
        return self.order < other.order

    def complete(self) -> None:
        """Note that nothing of the task is missing any more; put its children into its state."""
        self.is_complete = True
        state = self.state
        if isinstance(state, Mapped) and self.is_mapped:
            state.map_states = list(self.children)
            state.result = [None if child is None else child.result for child in self.children]


def nodes_of(flow: Any) -> list[Node]:
    """Give the nodes of a flow's tasks, each after those that it comes after."""
    by_task: dict[Task, Node] = {}
    for order, task in enumerate(flow.sorted_tasks()):
        upstream = [(edge, by_task[edge.upstream_task]) for edge in flow.edges_in_order(task)]
        node = by_task[task] = Node(task, order, upstream)
        for edge, above in upstream:
            above.downstream.append((edge, node))
            if edge.mapped and not edge.flattened:
                above.is_followed = above.is_mapped
        constants = flow.constants.get(task)
        if constants:
            node.constants = {
                Edge(Constant(value), task, key=key): Success(result=ConstantResult(value=value))
                for key, value in constants.items()
            }
    return list(by_task.values())
