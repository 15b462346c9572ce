"""The parameters of one function: from a call's arguments to names, and back.

`inspect` is asked once for each function; binding a call then is a few dictionary operations.
Flows and tasks keep one `Parameters` each. Names and values are always in the order of
declaration; `*args` is a tuple under its own name and `**kwargs` a dictionary under its own name.
"""

from __future__ import annotations

import functools
import inspect
import types
import typing
from typing import TYPE_CHECKING, Any, cast

from penstock.exceptions import ParameterBindError, SignatureMismatchError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ANYTHING = inspect.Signature(
    [
        inspect.Parameter("args", inspect.Parameter.VAR_POSITIONAL),
        inspect.Parameter("kwargs", inspect.Parameter.VAR_KEYWORD),
    ]
)
"""Taken for built-in callables that do not tell their signature."""


_SHOWN_LENGTH = 60
"""How much of a default's `repr` a message shows."""


class Parameters:
    """The parameters of a function. Make it with `Parameters.of`.

    Attributes:
        fn: The function.
        names: Names of all parameters, in order of declaration.
        signature: The signature as `inspect` gives it.
        defaults: Default values by name, of the parameters that have one.
        var_positional: The name of `*args`, or None.
        var_keyword: The name of `**kwargs`, or None.
        kept: Room for what others work out once from these parameters (validators).
    """

    __slots__ = (
        "_annotations",
        "_count",
        "_is_plain",
        "defaults",
        "fn",
        "kept",
        "names",
        "signature",
        "var_keyword",
        "var_positional",
    )

    def __init__(self, fn: Callable[..., Any]) -> None:
        """Look at the signature of `fn`, once."""
        self.fn = fn
        try:
            self.signature = inspect.signature(fn)
        except ValueError:
            self.signature = _ANYTHING
        parameters = self.signature.parameters
        self.names = tuple(parameters)
        self.defaults = {
            name: parameter.default
            for name, parameter in parameters.items()
            if parameter.default is not parameter.empty
        }
        of_kind = {parameter.kind: name for name, parameter in parameters.items()}
        self.var_positional = of_kind.get(inspect.Parameter.VAR_POSITIONAL)
        self.var_keyword = of_kind.get(inspect.Parameter.VAR_KEYWORD)
        self._is_plain = of_kind.keys() <= {inspect.Parameter.POSITIONAL_OR_KEYWORD}
        self._count = len(self.names)
        self.kept: dict[str, Any] = {}
        self._annotations: dict[str, Any] | None = None
        if "<locals>" in getattr(fn, "__qualname__", "") and self._has_text_annotations():
            # The names may be local to the function that is defining `fn` right now.
            self._annotations = self._resolved_annotations(_locals_where_defined(fn))

    @classmethod
    def of(cls, fn: Callable[..., Any] | Parameters) -> Parameters:
        """Return the parameters of `fn`; parameters themselves are returned as they are."""
        return fn if isinstance(fn, Parameters) else cls(fn)

    @property
    def annotations(self) -> dict[str, Any]:
        """Annotations by name, of the parameters that have one.

        Annotations that are text (as under `from __future__ import annotations`) are evaluated;
        what names nothing yet stays text, and is tried again the next time.
        """
        if self._annotations is not None:
            return self._annotations
        annotations = self._resolved_annotations({})
        if not any(isinstance(annotation, str) for annotation in annotations.values()):
            self._annotations = annotations
        return annotations

    @property
    def signature_text(self) -> str:
        """The signature as it is written, for messages; long defaults are cut to a line."""
        parameters: list[inspect.Parameter] = []
        for parameter in self.signature.parameters.values():
            shown = parameter
            if isinstance(parameter.annotation, str):
                shown = shown.replace(annotation=_AsWritten(parameter.annotation))
            if parameter.default is not parameter.empty:
                shown = shown.replace(default=_AsWritten(_in_a_line(parameter.default)))
            parameters.append(shown)
        empty = inspect.Signature.empty
        return str(self.signature.replace(parameters=parameters, return_annotation=empty))

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Give each parameter its value, as a call of the function would.

        Args:
            args: Positional arguments.
            kwargs: Keyword arguments.

        Returns:
            Values by name, in the order of declaration, defaults filled in.

        Raises:
            ParameterBindError: The function cannot be called so.

        Example:
            >>> Parameters.of(lambda x, y=2: None).bind((1,), {})
            {'x': 1, 'y': 2}
        """
        if not self._is_plain:
            return self._bind_any(args, kwargs, fill_in=True)
        given = len(args)
        if given == self._count and not kwargs:
            return dict(zip(self.names, args, strict=True))
        if given > self._count:
            return self._bind_any(args, kwargs, fill_in=True)
        bound = dict(zip(self.names, args, strict=False))
        defaults = self.defaults
        by_keyword = 0
        for name in self.names[given:]:
            if name in kwargs:
                bound[name] = kwargs[name]
                by_keyword += 1
            elif name in defaults:
                bound[name] = defaults[name]
            else:
                return self._bind_any(args, kwargs, fill_in=True)
        if by_keyword != len(kwargs):
            return self._bind_any(args, kwargs, fill_in=True)
        return bound

    def call_arguments(
        self, parameters: Mapping[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Turn bound parameters back into the arguments of a call.

        Args:
            parameters: Values by name, as `bind` gives them; those with a default may be missing.

        Returns:
            Positional and keyword arguments.

        Raises:
            SignatureMismatchError: A name that the function does not have.
        """
        if self._is_plain and len(parameters) == self._count:
            try:
                return tuple([parameters[name] for name in self.names]), {}
            except KeyError:
                pass
        self.refuse_unknown(parameters)
        args: list[Any] = []
        kwargs: dict[str, Any] = {}
        required_is_missing = False
        for name, parameter in self.signature.parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                kwargs.update(parameters.get(name, {}))
            elif parameter.kind is parameter.VAR_POSITIONAL:
                args.extend(parameters.get(name, ()))
            elif parameter.kind is parameter.KEYWORD_ONLY or required_is_missing:
                if name in parameters:
                    kwargs[name] = parameters[name]
            elif name in parameters:
                args.append(parameters[name])
            elif name in self.defaults:
                args.append(self.defaults[name])
            else:
                # The call itself will say what is missing, if nothing after it moves up.
                required_is_missing = True
        return tuple(args), kwargs

    def without_defaults(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """Bind as `bind` does, but leave out parameters that were not given."""
        bound = self._bind_any(args, kwargs, fill_in=False)
        for variadic in (self.var_positional, self.var_keyword):
            if variadic is not None and not bound[variadic]:
                del bound[variadic]
        return bound

    def explode(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Lift what is in `**kwargs` to the top level.

        Raises:
            ParameterBindError: A name in `**kwargs` is also that of a parameter (which a
                positional-only parameter allows).
        """
        exploded = dict(parameters)
        if self.var_keyword is None or self.var_keyword not in exploded:
            return exploded
        extra = cast("dict[str, Any]", exploded.pop(self.var_keyword))
        if both := sorted(extra.keys() & exploded.keys()):
            problem = f"{both[0]!r} is given both as a parameter and inside **{self.var_keyword}"
            raise ParameterBindError.from_bind_failure(self.fn, problem, self.signature_text)
        exploded.update(extra)
        return exploded

    def collapse(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Undo `explode`: gather names that are no parameter's under the name of `**kwargs`.

        Raises:
            SignatureMismatchError: There are such names, but the function has no `**kwargs`.
        """
        if self.var_keyword is None:
            self.refuse_unknown(parameters)
            return dict(parameters)
        own = self.signature.parameters
        collapsed = {
            name: value
            for name, value in parameters.items()
            if name in own and name != self.var_keyword
        }
        collapsed[self.var_keyword] = {
            name: value for name, value in parameters.items() if name not in collapsed
        }
        return collapsed

    def refuse_unknown(self, parameters: Mapping[str, Any]) -> None:
        """Raise SignatureMismatchError where a name is not that of a parameter."""
        unknown = [name for name in parameters if name not in self.signature.parameters]
        if unknown:
            name = getattr(self.fn, "__qualname__", repr(self.fn))
            msg = (
                f"Function {name!r} has no parameter {', '.join(map(repr, unknown))}."
                f" It expects {list(self.names)}, but was given {list(parameters)}."
            )
            raise SignatureMismatchError(msg)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the function."""
        return Parameters, (self.fn,)

    def __repr__(self) -> str:
        """Show the function and its signature."""
        return f"<Parameters of {getattr(self.fn, '__qualname__', self.fn)}{self.signature_text}>"

    def _bind_any(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, fill_in: bool
    ) -> dict[str, Any]:
        """Bind any signature.

        Not by `inspect`: it refuses a keyword that is also the name of a positional-only parameter
        with a default, which a function with `**kwargs` takes.
        """
        bound: dict[str, Any] = {}
        left = dict(kwargs)
        taken = 0
        for name, parameter in self.signature.parameters.items():
            kind = parameter.kind
            if kind is parameter.VAR_POSITIONAL:
                bound[name] = args[taken:]
                taken = len(args)
            elif kind is parameter.VAR_KEYWORD:
                bound[name], left = left, {}
            elif kind is not parameter.KEYWORD_ONLY and taken < len(args):
                if name in left and kind is not parameter.POSITIONAL_ONLY:
                    raise self._bind_error(args, kwargs)
                bound[name] = args[taken]
                taken += 1
            elif name in left and kind is not parameter.POSITIONAL_ONLY:
                bound[name] = left.pop(name)
            elif name not in self.defaults:
                raise self._bind_error(args, kwargs)
            elif fill_in:
                bound[name] = self.defaults[name]
        if left or taken < len(args):
            raise self._bind_error(args, kwargs)
        return bound

    def _bind_error(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> ParameterBindError:
        """Let `inspect` find the words for why a call cannot be bound."""
        problem: object = "the arguments do not fit"
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            problem = error
        return ParameterBindError.from_bind_failure(self.fn, problem, self.signature_text)

    def _has_text_annotations(self) -> bool:
        return any(isinstance(p.annotation, str) for p in self.signature.parameters.values())

    def _resolved_annotations(self, local_names: Mapping[str, Any]) -> dict[str, Any]:
        annotations: dict[str, Any] = {}
        names: dict[str, Any] | None = None
        for name, parameter in self.signature.parameters.items():
            annotation = parameter.annotation
            if annotation is parameter.empty:
                continue
            if not isinstance(annotation, type):
                if names is None:
                    names = {**_names_seen_by(self.fn), **local_names}
                annotation = _evaluated(annotation, names)
            annotations[name] = annotation
        return annotations


def _in_a_line(default: Any) -> str:
    """Show a default; frames, arrays and the like take many lines."""
    text = repr(default)
    if "\n" in text:
        text = " ".join(text.split())
    if len(text) <= _SHOWN_LENGTH:
        return text
    return f"{text[:_SHOWN_LENGTH].rstrip()}..."


class _AsWritten:
    """An annotation that is text, shown without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def _function_inside(fn: Any) -> Any:
    """Return the plain function inside of partials, wrappers, methods and callable objects."""
    while True:
        if isinstance(fn, functools.partial):
            fn = cast("functools.partial[Any]", fn).func
        elif hasattr(fn, "__wrapped__"):
            fn = fn.__wrapped__
        elif inspect.ismethod(fn):
            fn = fn.__func__
        elif inspect.isclass(fn):
            return fn.__init__
        elif inspect.isfunction(fn) or not inspect.isfunction(type(fn).__call__):
            return fn
        else:
            fn = type(fn).__call__


def _names_seen_by(fn: Any) -> dict[str, Any]:
    """Return what names mean inside of `fn`: globals of its module, variables it closes over."""
    function = _function_inside(fn)
    names = dict(cast("dict[str, Any]", getattr(function, "__globals__", {})))
    if inspect.isfunction(function):
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        for name, cell in cells:
            try:
                names[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
    return names


def _locals_where_defined(fn: Any) -> dict[str, Any]:
    """Return the local names of the call that is defining `fn`, if it is still going on."""
    code = getattr(_function_inside(fn), "__code__", None)
    frame = inspect.currentframe()
    found: dict[str, Any] = {}
    while frame is not None:
        if code is not None and code in frame.f_code.co_consts:
            found = dict(frame.f_locals)
            break
        frame = frame.f_back
    return found


def _evaluated(annotation: Any, names: dict[str, Any]) -> Any:
    """Evaluate the text in an annotation; give it back where it names what is not there."""
    holder = types.SimpleNamespace(__annotations__={"it": annotation})
    try:
        return typing.get_type_hints(holder, names, names, include_extras=True)["it"]
    except Exception:  # noqa: BLE001 - any failure means the same: not known (yet)
        return annotation
