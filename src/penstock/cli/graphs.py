"""`penstock graph show`: the graph of a flow, and what became of its tasks in a run."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from penstock.cli.failing import CommandError
from penstock.cli.finding import find_flow_run
from penstock.cli.output import write, write_renderable
from penstock.cli.stores import existing_store
from penstock.cli.targets import load_target
from penstock.graph.resuming import recorded_states
from penstock.graph.visualizing import format_of, visualize

if TYPE_CHECKING:
    from collections.abc import Mapping


def show_graph(
    target: str, format_name: str | None, output: str | None, reference: str | None
) -> None:
    """Draw the graph of a flow.

    Parameters:
        target: where the flow is; see `load_target`.
        format_name: how to draw; by default as the file's name says, and as text without a file.
        output: the file to write; none writes to stdout.
        reference: the run whose states are shown, if any; see `find_flow_run`.

    Raises:
        CommandError: the flow is no graph, the run is another flow's, or a terminal cannot show
            the drawing.
        VisualizationUnsupportedError, MissingLibraryError: it cannot be drawn so.
    """
    flow = load_target(target, only_graphs=True)
    if not flow.is_graph:
        message = (
            f"Flow {flow.name!r} is a decorated function: which tasks it runs is only known when"
            " it has run. What can be shown so is a flow made with penstock.graph.Flow."
        )
        raise CommandError(message)
    if format_name is None and output is not None:
        format_name = format_of(output) or "svg"
    states = None if reference is None else _states_of(flow, reference)
    drawing = visualize(flow, states, format=format_name)
    if output is not None:
        write(f"Wrote {drawing.save(output)}\n")
    elif isinstance(drawing.data, bytes):
        message = f"A drawing in format {drawing.format} is no text. Add --output FILE."
        raise CommandError(message)
    elif drawing.format == "text" and sys.stdout.isatty():
        write_renderable(drawing)
    else:
        write(drawing.data)


def _states_of(flow: Any, reference: str) -> Mapping[Any, Any]:
    """Give the states of a recorded run's tasks."""
    store = existing_store()
    run = store.read_flow_run(find_flow_run(store, reference))
    if run.flow_name != flow.name:
        message = (
            f"Flow run {run.name!r} ({run.id}) is one of flow {run.flow_name!r}, not of"
            f" {flow.name!r}."
        )
        raise CommandError(message)
    return recorded_states(flow, run.id, with_results=False)
