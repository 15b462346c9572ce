"""What a task was given, in words: to say which of its inputs differ from those it had before."""

from __future__ import annotations

import inspect
from reprlib import Repr
from typing import TYPE_CHECKING

from penstock.results import fingerprint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from penstock.task_runners import Call

_SHORT = Repr()
_SHORT.maxstring = _SHORT.maxother = 60


def inputs_in_words(call: Call) -> dict[str, tuple[str, bytes]]:
    """Give each argument of a call, by name: how it looks, and what tells it from others."""
    try:
        arguments = inspect.signature(call.fn).bind(*call.args, **call.kwargs).arguments
    except (TypeError, ValueError):
        return {}
    return {
        name: (_SHORT.repr(value), fingerprint({name: value})) for name, value in arguments.items()
    }


def differences_in_words(
    former: Mapping[str, tuple[str, bytes]], now: Mapping[str, tuple[str, bytes]]
) -> str:
    """Say which inputs differ, and how: `: its input 'x' was 1, and is 2`."""
    parts: list[str] = []
    for name, (looks, print_) in now.items():
        if name not in former:
            parts.append(f"{name!r} was not given, and is {looks}")
        elif former[name][1] != print_:
            was = former[name][0]
            change = f"was {was}, and is {looks}" if was != looks else f"({looks}) is another one"
            parts.append(f"{name!r} {change}")
    if not parts:
        return ": its inputs come from other task runs"
    return f": its input {'; '.join(parts)}"
