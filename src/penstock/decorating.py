"""What the decorators of flows and tasks check alike: functions, names, hooks, numbers."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, cast

from penstock.exceptions import InvalidNameError, ReservedArgumentError
from penstock.utilities.annotations import NotSet
from penstock.utilities.asyncutils import is_async_fn
from penstock.utilities.parameters import Parameters
from penstock.utilities.sources import key_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_BANNED_CHARACTERS = "/%&><"
_RESERVED = ("return_state", "wait_for")


def check_function(fn: Any, kind: str) -> None:
    """Make sure that what is decorated can be called."""
    if not callable(fn):
        message = f"'fn' must be callable, got {type(fn).__name__}. Use @{kind} on a function."
        raise TypeError(message)


def check_reserved(names: Iterable[str], kind: str, name: str) -> None:
    """Refuse parameters whose names the call itself takes."""
    taken = [reserved for reserved in _RESERVED if reserved in names]
    if taken:
        message = (
            f"{kind.capitalize()} {name!r} has a parameter named {taken[0]!r}, which is a reserved"
            f" name of the call. Rename the parameter."
        )
        raise ReservedArgumentError(message)


def check_name(name: Any, kind: str, *, ban_characters: bool) -> None:
    """Make sure that a name is text, without characters that names may not have."""
    if name is not None and not isinstance(name, str):
        hint = f" Did you mean to call it, as in @{kind}(name=...)?" if callable(name) else ""
        message = (
            f"Expected a str for the parameter 'name' of @{kind}, got {type(name).__name__}.{hint}"
        )
        raise TypeError(message)
    if ban_characters and name is not None:
        bad = [character for character in _BANNED_CHARACTERS if character in name]
        if bad:
            message = (
                f"Name {name!r} contains an invalid character {bad[0]!r}. Names may not have any"
                f" of {' '.join(_BANNED_CHARACTERS)}. Give another: @{kind}(name=...)."
            )
            raise InvalidNameError(message)


def check_run_name(name: Any, option: str) -> None:
    """Make sure that a run's name is a template or a function that gives it."""
    if name is not None and not isinstance(name, str) and not callable(name):
        message = (
            f"Expected a str or a callable for {option!r}, got {type(name).__name__}. Give a"
            " template such as 'load-{day}', or a function without parameters."
        )
        raise TypeError(message)


def check_hooks(hooks: Any, option: str) -> list[Callable[..., Any]] | None:
    """Make sure that hooks are a list of things that can be called."""
    if hooks is None:
        return None
    try:
        checked = list(hooks)
    except TypeError:
        message = (
            f"Expected a list of callables for {option!r}, got {type(hooks).__name__}. Write"
            f" {option}=[my_hook]."
        )
        raise TypeError(message) from None
    if not checked:
        message = f"Empty list passed for {option!r}. Leave it out, or give at least one hook."
        raise ValueError(message)
    for hook in checked:
        if not callable(hook):
            message = (
                f"Expected callables in {option!r}, got {type(hook).__name__}: {hook!r}. Write"
                f" {option}=[my_hook], without calling it."
            )
            raise TypeError(message)
    return checked


def check_not_negative(value: Any, option: str, kind: str, name: str) -> None:
    """Refuse numbers below zero, and what is no number."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        message = (
            f"{option!r} of {kind} {name!r} must be a number, not {type(value).__name__}:"
            f" {value!r}."
        )
        raise TypeError(message)
    if value < 0:
        message = f"{option!r} of {kind} {name!r} must not be negative, got {value!r}."
        raise ValueError(message)
    if value - value != 0:
        message = f"{option!r} of {kind} {name!r} must be a finite number, got {value!r}."
        raise ValueError(message)


def check_texts(kind: str, **options: Any) -> None:
    """Make sure that options are text, or not given."""
    for option, value in options.items():
        if value is not None and not isinstance(value, str):
            what = type(value).__name__
            message = f"Expected a str for the parameter {option!r} of @{kind}, got {what}."
            raise TypeError(message)


def check_flags(kind: str, **flags: Any) -> None:
    """Make sure that options are True, False or None: any other value would count as True."""
    for option, value in flags.items():
        if value is not None and not isinstance(value, bool):
            message = (
                f"Expected True, False or None for the parameter {option!r} of @{kind}, got"
                f" {type(value).__name__}: {value!r}."
            )
            raise TypeError(message)


def check_tags(tags: Any, kind: str) -> set[str]:
    """Make sure that tags are several texts, and give them as a set of their own."""
    if tags is None:
        return set()
    hint = f" Write tags=[{tags!r}]." if isinstance(tags, str) else ""
    wrong = tags if isinstance(tags, str) or not hasattr(tags, "__iter__") else None
    if wrong is None:
        made: set[str] = set(tags)
        wrong = next((tag for tag in made if not isinstance(tag, str)), None)  # pyright: ignore[reportUnnecessaryIsInstance]
        if wrong is None:
            return made
    what = type(wrong).__name__
    message = f"Expected texts for the parameter 'tags' of @{kind}, got {what}.{hint}"
    raise TypeError(message)


CRASH_POLICIES = ("crash", "resume")


def check_on_crash(value: Any, name: str) -> None:
    """Refuse what does not say what is to follow when a flow's process dies."""
    if value not in CRASH_POLICIES:
        message = (
            f"'on_crash' of flow {name!r} must be 'crash' (a run whose process has died stays"
            f" Crashed) or 'resume' (it is gone on with in another process), got {value!r}."
        )
        raise ValueError(message)


def check_callable(value: Any, option: str, kind: str) -> None:
    """Make sure that an option is a function, or not given."""
    if value is not None and not callable(value):
        message = (
            f"Expected {option!r} of @{kind} to be callable, got {type(value).__name__}. Give the"
            " function itself, without calling it."
        )
        raise TypeError(message)


def check_runner(runner: Any) -> Any:
    """Give a task runner that was given as such, or as its class."""
    from penstock.task_runners import BaseTaskRunner

    made: Any = runner
    if isinstance(runner, type) and issubclass(runner, BaseTaskRunner):
        made = runner()
    if not isinstance(made, BaseTaskRunner):
        what = runner.__name__ if isinstance(runner, type) else type(runner).__name__
        message = (
            f"task_runner must be a BaseTaskRunner or a class of one, not {what}. Write, for"
            " example, task_runner=ConcurrentTaskRunner(max_workers=4)."
        )
        raise TypeError(message)
    return made


def check_count(value: Any, option: str, kind: str, name: str) -> None:
    """Refuse what is no whole number from zero up."""
    check_not_negative(value, option, kind, name)
    if value is not None and not isinstance(value, int):
        message = f"{option!r} of {kind} {name!r} must be a whole number, got {value!r}."
        raise TypeError(message)


def refuse_unknown(options: dict[str, Any], known: Iterable[str], kind: str) -> None:
    """Say which option does not exist, and which was perhaps meant."""
    for option in options:
        import difflib  # for a mistake only

        close = difflib.get_close_matches(option, list(known), n=1)
        hint = f" Did you mean {close[0]!r}?" if close else f" It takes: {', '.join(known)}."
        message = f"{kind}() got an unexpected option {option!r}.{hint}"
        raise TypeError(message)


class Decorated:
    """What a function that was made a flow or a task keeps of what it was."""

    kind: ClassVar[str]
    fn: Any
    name: str
    description: str | None
    isasync: bool
    signature: Parameters
    task_key: str
    persist_result: bool | None
    result_storage: Any
    result_serializer: Any
    cache_result_in_memory: bool
    log_prints: bool | None

    def describe(self, fn: Any, name: str, description: str | None) -> None:
        """Take over what the function says of itself.

        Raises:
            ReservedArgumentError: it has a parameter whose name the call itself takes.
        """
        self.fn = fn
        self.name = name
        self.__doc__ = getattr(fn, "__doc__", None)
        self.__module__ = getattr(fn, "__module__", __name__)
        self.__wrapped__ = fn
        if hasattr(fn, "__qualname__"):
            self.__qualname__: str = fn.__qualname__
        self.description = description or inspect.getdoc(fn)
        self.isasync = is_async_fn(fn)
        self.signature = Parameters(fn)
        check_reserved(self.signature.names, self.kind, name)
        self.task_key = key_of(fn, name)

    def take_results(self, persist: bool | None, storage: Any, serializer: Any) -> None:  # noqa: FBT001
        """Take over where and how the results of its runs are kept."""
        check_flags(self.kind, persist_result=persist)
        self.persist_result = persist
        self.result_storage = storage
        self.result_serializer = serializer

    def take_flags(self, cache_result_in_memory: bool, log_prints: bool | None) -> None:  # noqa: FBT001
        """Take over what stays in memory of its runs, and what becomes of what they print."""
        check_flags(
            self.kind, cache_result_in_memory=cache_result_in_memory, log_prints=log_prints
        )
        self.cache_result_in_memory = cache_result_in_memory
        self.log_prints = log_prints


_MADE_OF_THE_FUNCTION = ("fn", "__wrapped__", "signature")


def reduce_decorated(made: Any) -> tuple[Any, ...]:
    """Say how a flow or task is pickled, for its `__reduce__`.

    Its function cannot be pickled by name, for the name leads to what it was decorated into; so it
    is found there again. A function without a name that leads to it, or of a script, is pickled
    itself, for which cloudpickle is needed.
    """
    own = cast("dict[str, Any]", vars(made))
    state = {name: value for name, value in own.items() if name not in _MADE_OF_THE_FUNCTION}
    named = None if made.__module__ == "__main__" else _find(made.__module__, made.fn)
    is_found = getattr(named, "fn", None) is made.fn
    where = (made.__module__, made.fn.__qualname__) if is_found else made.fn
    return rebuild_decorated, (type(made), where, state)


def _find(module: str, fn: Any) -> Any:
    found: Any = sys.modules.get(module)
    for part in getattr(fn, "__qualname__", "").split("."):
        found = getattr(found, part, None)
    return found


def rebuild_decorated(kind: Any, where: Any, state: dict[str, Any]) -> Any:
    """Make a flow or task again of what `reduce_decorated` gave."""
    if isinstance(where, tuple):
        module, name = cast("tuple[str, str]", where)
        found: Any = import_module(module)
        for part in name.split("."):
            found = getattr(found, part)
        fn = found.fn
    else:
        fn = where
    made = object.__new__(kind)
    own = cast("dict[str, Any]", vars(made))
    own.update(state)
    made.fn = made.__wrapped__ = fn
    made.signature = Parameters(fn)
    return made


def given(options: dict[str, Any]) -> dict[str, Any]:
    """Give the options that were given at all."""
    return {name: value for name, value in options.items() if value is not NotSet}
