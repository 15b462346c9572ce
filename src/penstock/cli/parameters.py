"""`--param name=value`: what a flow is called with, from text.

A value is JSON where the flow takes what it says, else text: `--param day=2024-05-01` gives a date
to a flow that wants one, `--param n=3` a number, `--param name=3` a text where it wants text.
"""

from __future__ import annotations

import difflib
import inspect
import json
from typing import TYPE_CHECKING, Any, NoReturn

from penstock.cli.failing import CommandError
from penstock.utilities.validation import takes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.utilities.parameters import Parameters


def bind_parameters(flow: Any, assignments: Sequence[str]) -> dict[str, Any]:
    """Give a flow's parameters by name, its defaults filled in.

    Parameters:
        flow: the flow.
        assignments: texts such as `n=3`.

    Raises:
        CommandError: one is no assignment, a name is unknown or given twice, a value is missing.
    """
    own: Parameters = flow.signature
    by_keyword = {
        name: value_of(own, _known(flow, own, name), text)
        for name, text in _assigned(assignments).items()
    }
    _refuse_missing(flow, [name for name in _required(own) if name not in by_keyword])
    positional = [
        name
        for name, parameter in own.signature.parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and name in by_keyword
    ]
    values = tuple(by_keyword.pop(name) for name in positional)
    return own.bind(values, by_keyword)


def graph_parameters(flow: Any, assignments: Sequence[str]) -> dict[str, Any]:
    """Give the values of a graph's parameters by name; those that have a default may be missing.

    Parameters:
        flow: the graph flow, whose `Parameter` objects say what it takes.
        assignments: texts such as `n=3`; a value is JSON if it is any, else text. Dates are
            left to the `DateTimeParameter` that takes them.

    Raises:
        CommandError: one is no assignment, a name is unknown or given twice, a value is missing.
    """
    # Here, as a decorated flow's run needs nothing of graphs.
    from penstock.graph.parameter import DateTimeParameter

    known = {parameter.name: parameter for parameter in flow.parameters()}
    given: dict[str, Any] = {}
    for name, text in _assigned(assignments).items():
        if name not in known:
            raise _unknown(flow, name, sorted(known))
        is_date = isinstance(known[name], DateTimeParameter) and text != "null"
        given[name] = text if is_date else _json_or_text(text)
    required = sorted(name for name, parameter in known.items() if parameter.required)
    _refuse_missing(flow, [name for name in required if name not in given])
    return given


def _assigned(assignments: Sequence[str]) -> dict[str, str]:
    """Give names and texts of `name=text`."""
    texts: dict[str, str] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        name = name.strip()
        if not separator or not name:
            message = f"--param {assignment!r} is no assignment. Write --param name=value."
            raise CommandError(message)
        if name in texts:
            message = f"Parameter {name!r} is given twice. Give a list as JSON: {name}='[1, 2]'."
            raise CommandError(message)
        texts[name] = text
    return texts


def _refuse_missing(flow: Any, missing: Sequence[str]) -> None:
    if missing:
        wanted = " ".join(f"--param {name}=..." for name in missing)
        message = f"Flow {flow.name!r} needs more parameters. Add {wanted}"
        raise CommandError(message)


def _json_or_text(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def value_of(own: Parameters, name: str, text: str) -> Any:
    """Give the value that a text stands for as a parameter.

    Parameters:
        own: the function's parameters.
        name: whose value it is; `**kwargs` by its own name.
        text: as it was typed.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text
    return value if takes(own, name, value) else text


def _refuse(constant: str) -> NoReturn:
    """`NaN` and `Infinity` are no JSON; a flow that wants a number takes them as text."""
    raise ValueError(constant)


def _known(flow: Any, own: Parameters, name: str) -> str:
    """Give the parameter that takes the name: its own, or `**kwargs`."""
    names = [each for each in own.names if each not in (own.var_positional, own.var_keyword)]
    if name in names:
        return name
    if own.var_keyword is not None:
        return own.var_keyword
    raise _unknown(flow, name, names)


def _unknown(flow: Any, name: str, names: Sequence[str]) -> CommandError:
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    else:
        hint = f"It takes {', '.join(map(repr, names))}." if names else "It takes none."
    return CommandError(f"Flow {flow.name!r} has no parameter {name!r}. {hint}")


def _required(own: Parameters) -> list[str]:
    variadic = (own.var_positional, own.var_keyword)
    return [name for name in own.names if name not in own.defaults and name not in variadic]
