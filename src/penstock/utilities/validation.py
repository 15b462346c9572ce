"""Whether a call's values fit the function's annotations, and their cast to what is annotated.

pydantic does it, by its lax rules ("3" is an int). It costs a hundred milliseconds to import, so
values that fit as they are (plain scalars, and lists, sets, tuples and dictionaries of them) are
told by `fitters`, and pydantic is only asked about the rest.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast, get_args, get_origin

from penstock.exceptions import ParameterTypeError
from penstock.utilities.fitters import UNIONS, MisfitError, fitter_of, is_surely_valid
from penstock.utilities.parameters import Parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

_VALUE = "value"


def validate_parameters(
    fn: Callable[..., Any] | Parameters, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """Check the values of a call and cast them to what their parameters are annotated with.

    A parameter's own default is cast where it can be, so that `day: date = "2024-05-01"` is a
    date, and taken as it is where not: `day: date = None` has no other meaning. A value whose
    annotation names something that does not exist at run time (imported for type checkers only) is
    taken as it is, too.

    Args:
        fn: The function, or its parameters.
        parameters: Values by name, as `Parameters.bind` gives them.

    Returns:
        The values after the cast, by name; containers that were checked are copies.

    Raises:
        ParameterTypeError: Values that cannot be cast; every one of them is listed. Also where
            models of pydantic 1 and 2 are given together.
        SignatureMismatchError: A name that the function does not have.
    """
    own = Parameters.of(fn)
    own.refuse_unknown(parameters)
    _refuse_mixed_models(own, parameters)
    annotations = own.annotations
    valid: dict[str, Any] = {}
    problems: list[str] = []
    for name in own.names:
        if name not in parameters:
            if name not in own.defaults and name not in (own.var_positional, own.var_keyword):
                problems.append(f"{name}: a value is required")
            continue
        value = parameters[name]
        is_default = name in own.defaults and value is own.defaults[name]
        if name not in annotations:
            valid[name] = value
            continue
        if is_default and not _is_field_info(value):
            valid[name] = _cast_default(own, name, annotations[name], value)
            continue
        try:
            valid[name] = _validator(own, name, annotations[name])(value)
        except _InvalidValueError as error:
            problems.extend(f"{name}{place}: {text}" for place, text in error.problems)
    if problems:
        raise ParameterTypeError(_complaint(own, problems))
    return valid


def takes(fn: Callable[..., Any] | Parameters, name: str, value: Any) -> bool:
    """Say whether a parameter takes a value, as it is or after a cast.

    Args:
        fn: The function, or its parameters.
        name: The parameter; that of `**kwargs` stands for each of them.
        value: The value.

    Example:
        >>> def load(day: str): ...
        >>> takes(load, "day", 3)
        False
    """
    own = Parameters.of(fn)
    if name not in own.annotations:
        return True
    try:
        _validator(own, name, own.annotations[name])(
            {name: value} if name == own.var_keyword else value
        )
    except _InvalidValueError:
        return False
    return True


def check_signature(fn: Callable[..., Any] | Parameters) -> None:
    """Make sure that the function's parameters can be validated at all.

    Args:
        fn: The function, or its parameters.

    Raises:
        ValueError: An annotation is nothing that values can be checked against.
    """
    own = Parameters.of(fn)
    for name, annotation in own.annotations.items():
        has_field = _is_field_info(own.defaults.get(name))
        if isinstance(annotation, str) or (is_surely_valid(annotation) and not has_field):
            continue
        try:
            _model_of(own, name, annotation)
        except Exception as error:
            function = getattr(own.fn, "__qualname__", repr(own.fn))
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            msg = (
                f"Parameter {name!r} of {function!r} is annotated with {annotation!r}, which"
                f" values cannot be validated against: {reason} Change the annotation, or turn"
                " validation off with validate_parameters=False."
            )
            raise ValueError(msg) from error


class _InvalidValueError(Exception):
    """What is wrong with one value: (place inside of it, what is wrong there) each."""

    def __init__(self, problems: list[tuple[str, str]]) -> None:
        super().__init__(problems)
        self.problems = problems


def _cast_default(own: Parameters, name: str, annotation: Any, value: Any) -> Any:
    """Cast a default; without pydantic, where it plainly is what it should be."""
    if value is None or isinstance(annotation, str):
        return value
    members = get_args(annotation) if get_origin(annotation) in UNIONS else (annotation,)
    if fitter_of(annotation) is None and any(
        isinstance(value, member) for member in members if isinstance(member, type)
    ):
        return value
    try:
        return _validator(own, name, annotation)(value)
    except _InvalidValueError:
        return value


def _validator(own: Parameters, name: str, annotation: Any) -> Callable[[Any], Any]:
    """Return the parameter's validator; made once, unless its annotation is still unknown."""
    validators: dict[str, Callable[[Any], Any]] = own.kept.setdefault("validators", {})
    validator = validators.get(name)
    if validator is None:
        if isinstance(annotation, str):
            return _as_it_is
        validator = validators[name] = _make_validator(own, name, annotation)
    return validator


def _as_it_is(value: Any) -> Any:
    return value


def _make_validator(own: Parameters, name: str, annotation: Any) -> Callable[[Any], Any]:
    if is_v1_model(annotation):
        return _v1_validator(annotation)
    if name == own.var_positional:
        annotation = tuple[annotation, ...]
    elif name == own.var_keyword:
        annotation = dict[str, annotation]
    has_field = _is_field_info(own.defaults.get(name))
    fit = None if has_field else fitter_of(annotation)

    def validate(value: Any) -> Any:
        if fit is not None:
            try:
                return fit(value)
            except MisfitError:
                pass
        return _validate_by_pydantic(own, name, annotation, value)

    return validate


def _validate_by_pydantic(own: Parameters, name: str, annotation: Any, value: Any) -> Any:
    from pydantic import ValidationError  # heavy; only for values that need it

    models: dict[str, Any] = own.kept.setdefault("models", {})
    given = {} if _is_field_info(value) else {_VALUE: value}
    try:
        if name not in models:
            models[name] = _model_of(own, name, annotation)
        return getattr(models[name].model_validate(given), _VALUE)
    except ValidationError as error:
        problems = [(_place(entry["loc"][1:]), _in_words(entry)) for entry in error.errors()]
        raise _InvalidValueError(problems) from error
    except Exception as error:
        # A validator of the user's, or an annotation that no model can be made of.
        reason = f"cannot be validated against {annotation!r}: {type(error).__name__}: {error}"
        raise _InvalidValueError([("", reason)]) from error


def _model_of(own: Parameters, name: str, annotation: Any) -> Any:
    """Build a pydantic model with the one field: models take any class, type adapters do not."""
    import pydantic  # heavy, see the module

    if not isinstance(annotation, (type, Callable)) and type(annotation).__module__ == "builtins":
        raise TypeError("It is a value and not a type.")
    default = own.defaults.get(name)
    field = default if _is_field_info(default) else ...
    model = cast("Any", pydantic.create_model)(
        "Parameters",
        __config__=pydantic.ConfigDict(arbitrary_types_allowed=True),
        **{_VALUE: (annotation, field)},
    )
    if _VALUE not in model.model_fields:  # ClassVar and the like
        raise TypeError("It cannot stand at a parameter.")
    return model


def _v1_validator(annotation: Any) -> Callable[[Any], Any]:
    def validate(value: Any) -> Any:
        if isinstance(value, annotation):
            return value
        try:
            return annotation.parse_obj(value)
        except ValueError as error:
            entries = cast("Any", error).errors()
            problems = [(_place(entry["loc"]), entry["msg"]) for entry in entries]
            raise _InvalidValueError(problems) from error

    return validate


def _refuse_mixed_models(own: Parameters, parameters: Mapping[str, Any]) -> None:
    if "pydantic.v1.main" not in sys.modules:
        return
    from pydantic import BaseModel

    old = [name for name, value in parameters.items() if is_v1_model(type(value))]
    new = [name for name, value in parameters.items() if isinstance(value, BaseModel)]
    if old and new:
        problem = (
            f"{', '.join(old)}: models of pydantic 1 cannot be given together with models of"
            f" pydantic 2 ({', '.join(new)}); make all of them models of pydantic 2"
        )
        raise ParameterTypeError(_complaint(own, [problem]))


def is_v1_model(annotation: Any) -> bool:
    """Say whether it is a model class of pydantic 1, which ships inside of pydantic 2."""
    main = sys.modules.get("pydantic.v1.main")
    return (
        main is not None
        and isinstance(annotation, type)
        and issubclass(annotation, main.BaseModel)
    )


def _is_field_info(value: object) -> bool:
    """Say whether a default is pydantic's `Field(...)`, which stands for the default it holds."""
    fields = sys.modules.get("pydantic.fields")
    return fields is not None and isinstance(value, fields.FieldInfo)


def _place(location: tuple[int | str, ...]) -> str:
    return "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}".replace(".[", "[")
        for part in location
    )


def _in_words(entry: Any) -> str:
    if entry["type"] == "missing":
        return "a value is required"
    return f"{entry['msg']}, not {entry['input']!r:.80}"


def _complaint(own: Parameters, problems: list[str]) -> str:
    function = getattr(own.fn, "__qualname__", repr(own.fn))
    listed = "\n".join(f" - {problem}" for problem in problems)
    return (
        f"{function!r} was given parameters that do not fit its annotations:\n{listed}\n"
        f"It takes {own.signature_text}."
    )
