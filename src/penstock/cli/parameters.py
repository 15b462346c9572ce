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
    by_keyword: dict[str, Any] = {}
    for assignment in assignments:
        name, separator, text = assignment.partition("=")
        name = name.strip()
        if not separator or not name:
            message = f"--param {assignment!r} is no assignment. Write --param name=value."
            raise CommandError(message)
        if name in by_keyword:
            message = f"Parameter {name!r} is given twice. Give a list as JSON: {name}='[1, 2]'."
            raise CommandError(message)
        by_keyword[name] = value_of(own, _known(flow, own, name), text)
    missing = [name for name in _required(own) if name not in by_keyword]
    if missing:
        wanted = " ".join(f"--param {name}=..." for name in missing)
        message = f"Flow {flow.name!r} needs more parameters. Add {wanted}"
        raise CommandError(message)
    positional = [
        name
        for name, parameter in own.signature.parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and name in by_keyword
    ]
    values = tuple(by_keyword.pop(name) for name in positional)
    return own.bind(values, by_keyword)


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
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        hint = f"Did you mean {close[0]!r}?"
    else:
        hint = f"It takes {', '.join(map(repr, names))}." if names else "It takes none."
    message = f"Flow {flow.name!r} has no parameter {name!r}. {hint}"
    raise CommandError(message)


def _required(own: Parameters) -> list[str]:
    variadic = (own.var_positional, own.var_keyword)
    return [name for name in own.names if name not in own.defaults and name not in variadic]
