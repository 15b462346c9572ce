"""Drawings of graphs, before a run and after it: `flow.visualize()` and `penstock graph show`.

Mermaid, DOT and plain text need nothing more. SVG, PNG and PDF are drawn by Graphviz, which
pygraphviz brings with it: nothing has to be installed beside `penstock[draw]`.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.exceptions import MissingLibraryError, VisualizationUnsupportedError
from penstock.graph.diagrams import to_dot, to_mermaid, to_table, to_text
from penstock.graph.picture import picture_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.table import Table

    from penstock.graph.picture import Picture

SUFFIXES = {
    "mermaid": (".mmd", ".mermaid"),
    "dot": (".dot", ".gv"),
    "svg": (".svg",),
    "text": (".txt",),
    "png": (".png",),
    "pdf": (".pdf",),
}
"""The formats of drawings, each with how its files end; the first ending is the one given."""

_WRITERS = {"mermaid": to_mermaid, "dot": to_dot, "text": to_text}
_MIME_TYPES = {"svg": "image/svg+xml", "png": "image/png", "mermaid": "text/vnd.mermaid"}
_DRAW = """
import sys
import pygraphviz
drawn = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()).draw(
    format=sys.argv[1], prog="dot"
)
sys.stdout.buffer.write(drawn)
"""
DRAWING_LIMIT_S = 300
"""So long Graphviz may take; it is slow for tens of thousands of tasks."""


class Drawing:
    """A drawn graph; `str()` gives its text, and notebooks show it as a picture.

    Parameters:
        picture: what is drawn.
        format: one of `SUFFIXES`.

    Attributes:
        format: the drawing's format.
        data: the drawing: as text, or as bytes in the formats png and pdf.
    """

    def __init__(self, picture: Picture, format: str) -> None:  # noqa: A002 - the field's name
        self._picture = picture
        self.format = format
        self.data: str | bytes = _drawn(picture, format)

    def __str__(self) -> str:
        """Give the drawing as text; of an image that is none, the text format."""
        return self.data if isinstance(self.data, str) else to_text(self._picture)

    def __repr__(self) -> str:
        """Show the graph where an interpreter shows values; an image by its size."""
        if self.format in _WRITERS:
            return str(self).rstrip("\n")
        return f"<Drawing of flow {self._picture.name!r}: {self.format}, {len(self.data)} bytes>"

    def __rich__(self) -> Table:
        """Give rich a table, with the states in their colours."""
        return to_table(self._picture)

    def _repr_mimebundle_(
        self, include: Collection[str] | None = None, exclude: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Give notebooks what they show: the drawing, or one made for them of a text."""
        del include, exclude  # the notebook chooses by itself
        bundle: dict[str, Any] = {"text/plain": repr(self)}
        if self.format in _MIME_TYPES:
            bundle[_MIME_TYPES[self.format]] = self.data
        elif self.format == "text" and has_graphviz():
            bundle[_MIME_TYPES["svg"]] = _drawn(self._picture, "svg")
        return bundle

    def save(self, file: str | Path) -> Path:
        """Write the drawing to a file, in the format that the file's ending stands for, if any.

        Parameters:
            file: its path, as it is to be; folders that are missing are made.

        Returns:
            The path.

        Raises:
            OSError: it cannot be written.
            MissingLibraryError: the format is an image's, and pygraphviz is not installed.
        """
        path = Path(file).expanduser()
        wanted = format_of(path) or self.format
        drawn = self.data if wanted == self.format else _drawn(self._picture, wanted)
        data = drawn if isinstance(drawn, bytes) else drawn.encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path


def visualize(
    flow: Any,
    flow_state: Any = None,
    filename: str | Path | None = None,
    format: str | None = None,  # noqa: A002 - the field's name
) -> Drawing:
    """Draw the graph of a flow, with what became of its tasks after a run.

    A mapped task is one box; after a run it has the counts of its children's states, and the
    colour of one that failed, or is not over, if there is any.

    Parameters:
        flow: the graph flow.
        flow_state: what `flow.run()` returned, or states by task; none before a run.
        filename: where to write the drawing. Its ending is the format's, if it has none of these.
        format: `mermaid`, `dot`, `svg`, `text`, `png` or `pdf`; by default that of the
            filename's ending, svg for a filename without, and text where nothing is written.

    Returns:
        The drawing: print it, or let a notebook show it.

    Raises:
        VisualizationUnsupportedError: there is no such format, or Graphviz cannot draw the graph.
        MissingLibraryError: svg, png or pdf was asked for, and pygraphviz is not installed.
        TypeError: `flow_state` has no states of tasks.
        ValueError: the graph has a cycle.

    Example:
        >>> print(visualize(flow, format="mermaid"))  # doctest: +SKIP
    """
    if format is None:
        format = "text" if filename is None else format_of(filename) or "svg"  # noqa: A001
    drawing = Drawing(picture_of(flow, flow_state), _known(format))
    if filename is not None:
        path = Path(filename)
        if path.suffix.lower() not in SUFFIXES[drawing.format]:
            path = path.with_name(path.name + SUFFIXES[drawing.format][0])
        drawing.save(path)
    return drawing


def format_of(file: str | Path) -> str | None:
    """Give the format that a file's ending stands for; none for one that is no drawing's."""
    suffix = Path(file).suffix.lower()
    return next((each for each, suffixes in SUFFIXES.items() if suffix in suffixes), None)


def has_graphviz() -> bool:
    """Tell whether images can be drawn."""
    return importlib.util.find_spec("pygraphviz") is not None


def _known(name: str) -> str:
    found = name.lower().removeprefix(".")
    if found in SUFFIXES:
        return found
    message = f"There is no format {name!r} for drawings. There are: {', '.join(SUFFIXES)}."
    raise VisualizationUnsupportedError(message)


def _drawn(picture: Picture, name: str) -> str | bytes:
    writer = _WRITERS.get(name)
    if writer is not None:
        return writer(picture)
    if not has_graphviz():
        message = (
            f"Drawing {name} needs pygraphviz, which brings Graphviz with it: pip install"
            " 'penstock[draw]'. The formats mermaid, dot and text need nothing."
        )
        raise MissingLibraryError(message)
    image = _by_graphviz(to_dot(picture), name)
    return image.decode() if name == "svg" else image


def _by_graphviz(dot: str, name: str) -> bytes:
    """Have Graphviz draw, in a process of its own.

    It is a C library that may not be used by two threads, that writes what it thinks of this
    machine's fonts to stderr, and that a graph of great depth takes the stack from.
    """
    command = [sys.executable, "-P", "-c", _DRAW, name]
    try:
        done = subprocess.run(  # noqa: S603 - our own program, and no shell
            command, input=dot.encode(), capture_output=True, timeout=DRAWING_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        why = f"it took longer than {DRAWING_LIMIT_S} s"
    else:
        if done.returncode == 0 and done.stdout:
            return done.stdout
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        why = lines[-1] if lines else f"it ended with code {done.returncode}"
    message = (
        f"Graphviz could not draw this graph as {name}: {why}. The formats mermaid, dot and text"
        " do without it."
    )
    raise VisualizationUnsupportedError(message)
