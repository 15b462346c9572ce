"""`--param name=value`: what a flow is called with, from text.

A value is JSON where the flow takes what it says, else text: `--param day=2024-05-01` gives a date
to a flow that wants one, `--param n=3` a number, `--param name=3` a text where it wants text.
"""

from __future__ import annotations

import difflib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from penstock.cli.failing import CommandError
from penstock.exceptions import ParameterTypeError
from penstock.utilities.validation import takes, validate_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from penstock.utilities.parameters import Parameters


def bind_parameters(
    flow: Any, assignments: Sequence[str], values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give a flow's parameters by name, its defaults filled in.

    Parameters:
        flow: the flow.
        assignments: texts such as `n=3`; they go before `values`.
        values: by name, as they are meant.

    Raises:
        CommandError: one is no assignment, a name is unknown or given twice, a value is missing
            or of a type that the flow does not take.
    """
    own: Parameters = flow.signature
    by_keyword = dict(values or {})
    for name in by_keyword:
        _known(flow, own, name)
    by_keyword |= {
        name: value_of(own, _known(flow, own, name), text)
        for name, text in _assigned(assignments).items()
    }
    _refuse_missing(flow, [name for name in _required(own) if name not in by_keyword])
    positional = [
        name
        for name, parameter in own.signature.parameters.items()
        if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and name in by_keyword
    ]
    by_place = tuple(by_keyword.pop(name) for name in positional)
    bound = own.bind(by_place, by_keyword)
    if flow.should_validate_parameters:
        _refuse_misfits(flow, own, bound)
    return bound


def _refuse_misfits(flow: Any, own: Parameters, bound: dict[str, Any]) -> None:
    """What was typed wrong is told before there is a run of it."""
    try:
        validate_parameters(own, bound)
    except ParameterTypeError as error:
        problems = [line.strip()[2:] for line in str(error).splitlines() if _is_problem(line)]
        what = "; ".join(problems) or " ".join(str(error).split())
        message = f"Flow {flow.name!r} does not take these parameters: {what}."
        raise CommandError(message) from error


def _is_problem(line: str) -> bool:
    return line.strip().startswith("- ")


def values_in(params_json: str | None, params_file: str | None) -> dict[str, Any]:
    """Give the parameters of a JSON text and of a file; those of the text go first.

    Parameters:
        params_json: an object.
        params_file: the path of a file, JSON or TOML by how its name ends.

    Raises:
        CommandError: there is no such file, it cannot be read, or it holds no parameters.
    """
    found = {} if params_file is None else _values_of_file(params_file)
    if params_json is not None:
        found |= _as_object(params_json, "--params-json")
    return found


def _values_of_file(name: str) -> dict[str, Any]:
    ending = name.rpartition(".")[2].lower()
    if ending not in ("json", "toml"):
        message = f"--params-file {name!r} must end in .json or .toml, which says what it is."
        raise CommandError(message)
    try:
        text = Path(name).expanduser().read_text(encoding="utf-8")
    except OSError as error:
        message = f"--params-file {name!r} cannot be read: {error.strerror}. Give a file's path."
        raise CommandError(message) from error
    except UnicodeDecodeError as error:
        message = f"--params-file {name!r} is not UTF-8: {error.reason}. Save it as UTF-8."
        raise CommandError(message) from error
    if ending == "json":
        return _as_object(text, name)
    # Only where it is used.
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"{name}: this is no TOML: {error}.") from error


def _as_object(text: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        message = f"{where}, line {error.lineno}, column {error.colno}: no JSON: {error.msg}."
        raise CommandError(message) from error
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{where}: this is no JSON: {error}.") from error
    if not isinstance(value, dict):
        message = (
            f"{where} holds {type(value).__name__}, and not an object with the parameters by name,"
            ' as in {"pages": 2}.'
        )
        raise CommandError(message)
    return cast("dict[str, Any]", value)


def graph_parameters(
    flow: Any, assignments: Sequence[str], values: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give the values of a graph's parameters by name; those that have a default may be missing.

    Parameters:
        flow: the graph flow, whose `Parameter` objects say what it takes.
        assignments: texts such as `n=3`; a value is JSON if it is any, else text. Dates are
            left to the `DateTimeParameter` that takes them.
        values: by name, as they are meant; the assignments go before them.

    Raises:
        CommandError: one is no assignment, a name is unknown or given twice, a value is missing.
    """
    # Here, as a decorated flow's run needs nothing of graphs.
    from penstock.graph.parameter import DateTimeParameter

    known = {parameter.name: parameter for parameter in flow.parameters()}
    given: dict[str, Any] = dict(values or {})
    for name in given:
        if name not in known:
            raise _unknown(flow, name, sorted(known))
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
    # Where neither is taken, what is wrong with the value says more than that it is no text.
    return text if not takes(own, name, value) and takes(own, name, text) else value


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
