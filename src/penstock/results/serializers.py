"""Serializers: a value to bytes and back, with options that are kept beside the data.

`penstock.serializers` hands these names on. A serializer of one's own is a subclass with a `type`
of its own, options as annotated attributes, `dumps` and `loads`.
"""

from __future__ import annotations

import base64
import copy
import difflib
import importlib
import inspect
import sys
import warnings
from typing import Any, ClassVar, cast

from penstock.results import pickling
from penstock.results.scripts import import_by_path
from penstock.settings import PENSTOCK_RESULTS_DEFAULT_SERIALIZER

_REQUIRED: Any = inspect.Parameter.empty
_OWN_PICKLERS = frozenset({"cloudpickle", "pickle"})
_NO_DEFAULT = ("PydanticUndefined", "Ellipsis")
_types: dict[str, type[Serializer]] = {}


def _default_of(value: Any) -> Any:
    """Give an option's default, out of the `pydantic.Field(...)` it may be written as.

    Serializers of Prefect 2 are models of pydantic; here they are plain classes.
    """
    kind = cast("type[object]", type(value))
    if kind.__name__ != "FieldInfo" or kind.__module__.partition(".")[0] != "pydantic":
        return value
    if value.default_factory is not None:
        return value.default_factory()
    return value.default if repr(value.default) not in _NO_DEFAULT else _REQUIRED


class Serializer:
    """The base of serializers; called with a type's tag, it makes one of that type.

    Parameters:
        options: `type`, the tag, and the options of that type.

    Raises:
        ValueError: no serializer has the tag, or it has no such option.

    Example:
        >>> Serializer(type="json").dumps([1, 2])
        b'[1, 2]'
        >>> from typing import Literal
        >>> class TextSerializer(Serializer):
        ...     type: Literal["text"] = "text"
        ...     encoding: str = "utf-8"
        ...
        ...     def dumps(self, value):
        ...         return value.encode(self.encoding)
        ...
        ...     def loads(self, data):
        ...         return data.decode(self.encoding)
        >>> Serializer(type="text").loads(b"a")
        'a'
    """

    type: str
    _options: ClassVar[dict[str, Any]] = {"type": _REQUIRED}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._options = {
            name: _default_of(getattr(cls, name, _REQUIRED))
            for base in reversed(cls.__mro__)
            for name, annotation in inspect.get_annotations(base).items()
            if not name.startswith("_") and "ClassVar" not in str(annotation)
        }
        if isinstance(tag := cls._options["type"], str):
            _types[tag] = cls

    def __new__(cls, **options: Any) -> Serializer:  # noqa: PYI034 - another than itself
        """Make a serializer of the type that `type` names, where the base itself is called."""
        if cls is Serializer:
            cls = _find_type(options.get("type"))  # noqa: PLW0642 - that is what it is for
        return object.__new__(cls)

    def __init__(self, **options: Any) -> None:
        known = type(self)._options  # noqa: SLF001 - its own
        for name in options:
            if name not in known:
                raise ValueError(
                    f"The {self.type!r} serializer has no option {name!r}."
                    f"{_suggestion(name, known)} Its options are: {', '.join(known)}."
                )
        for name, default in known.items():
            value = options.get(name, default)
            if value is _REQUIRED:
                raise ValueError(f"The {self.type!r} serializer needs the option {name!r}.")
            setattr(self, name, value if name in options else copy.copy(value))
        if self.type != known["type"]:
            raise ValueError(
                f"{type(self).__name__} has the type {known['type']!r}, not {self.type!r}. Leave"
                f" `type` out, or call Serializer(type={self.type!r})."
            )
        self.check()

    def check(self) -> None:
        """Check the options; a subclass may raise ValueError for a wrong one."""

    def dumps(self, value: Any) -> bytes:
        """Turn `value` into bytes.

        Raises:
            Exception: it cannot be written.
        """
        raise NotImplementedError(f"{type(self).__name__} has no dumps.")

    def loads(self, data: bytes) -> Any:
        """Turn bytes that `dumps` made into the value.

        Raises:
            Exception: they cannot be read.
        """
        raise NotImplementedError(f"{type(self).__name__} has no loads.")

    def as_dict(self) -> dict[str, Any]:
        """Give the options that `Serializer(**options)` makes this serializer of again."""
        values = {name: getattr(self, name) for name in type(self)._options}  # noqa: SLF001
        return {
            name: value.as_dict() if isinstance(value, Serializer) else value
            for name, value in values.items()
            if value is not None and value != {}
        }

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.as_dict() == cast("Serializer", other).as_dict()

    def __hash__(self) -> int:
        return hash(self.type)

    def __repr__(self) -> str:
        options = {name: value for name, value in self.as_dict().items() if name != "type"}
        shown = ", ".join(f"{name}={value!r}" for name, value in options.items())
        return f"{type(self).__name__}({shown})"


class PickleSerializer(Serializer):
    """Pickles values, as base64 text.

    Parameters:
        picklelib: the module whose `dumps` and `loads` do it. `cloudpickle`, the default, is only
            imported for what Python's own pickle cannot write.
        picklelib_version: the version that wrote; kept beside the data, compared when it is read.

    Raises:
        ValueError: the module cannot be imported, or is no pickle library.
    """

    type = "pickle"
    picklelib: str = "cloudpickle"
    picklelib_version: str | None = None

    def check(self) -> None:
        """Import the library, unless it is one that is always there."""
        if self.picklelib not in _OWN_PICKLERS:
            _import_library(self.picklelib, "picklelib", ("dumps", "loads"))
        recorded = self.picklelib_version
        if recorded is None:
            return
        _import_library(self.picklelib, "picklelib", ("dumps", "loads"))
        if (present := self._present_version()) and recorded != present:
            warnings.warn(
                f"This data was written with {self.picklelib} {recorded}, and {present} is"
                " installed. It may not be readable; install the version that wrote it if so.",
                RuntimeWarning,
                stacklevel=3,
            )

    def dumps(self, value: Any) -> bytes:
        """Pickle `value`."""
        if self.picklelib == "cloudpickle":
            return base64.b64encode(pickling.dumps(value))
        return base64.b64encode(importlib.import_module(self.picklelib).dumps(value))

    def loads(self, data: bytes) -> Any:
        """Unpickle.

        Raises:
            UnreadableResult: a class that the data names is gone.
        """
        pickled = base64.b64decode(data, validate=True)
        if self.picklelib in _OWN_PICKLERS:
            return pickling.loads(pickled, "Its pickle")
        return importlib.import_module(self.picklelib).loads(pickled)

    def as_dict(self) -> dict[str, Any]:
        """Give the options, with the version of the library where it took part."""
        options = super().as_dict()
        if version := self._present_version():
            options["picklelib_version"] = version
        return options

    def _present_version(self) -> str | None:
        # Unless it has been imported, it cannot have written anything.
        module = sys.modules.get(self.picklelib)
        version = getattr(module, "__version__", None)
        return version if isinstance(version, str) else None


class JSONSerializer(Serializer):
    """Writes values as JSON, which other programs can read.

    What JSON has no form for (times, UUIDs, dataclasses, pydantic models, ...) is written as an
    object with its class's path and its data, and made again from them. Exceptions keep their
    class and text only, tuples become lists.

    Parameters:
        jsonlib: the module whose `dumps` and `loads` do it.
        object_encoder: the path of a function that turns what JSON has no form for into what it
            has; None for none.
        object_decoder: the path of the function that undoes it; called with each JSON object.
        dumps_kwargs: further options of the module's `dumps`.
        loads_kwargs: further options of the module's `loads`.

    Raises:
        ValueError: a module or function cannot be imported, or `dumps_kwargs` has `default` beside
            an encoder, or `loads_kwargs` has `object_hook` beside a decoder.
    """

    type = "json"
    jsonlib: str = "json"
    object_encoder: str | None = "penstock.serializers.json_object_encoder"
    object_decoder: str | None = "penstock.serializers.json_object_decoder"
    dumps_kwargs: dict[str, Any] = {}  # noqa: RUF012 - a default, copied for each instance
    loads_kwargs: dict[str, Any] = {}  # noqa: RUF012 - the same

    def check(self) -> None:
        """Import what is named; refuse what would be overwritten."""
        _import_library(self.jsonlib, "jsonlib", ("dumps", "loads"))
        for path in filter(None, (self.object_encoder, self.object_decoder)):
            import_by_path(path)
        if self.object_encoder and "default" in self.dumps_kwargs:
            raise ValueError(
                "dumps_kwargs of a JSONSerializer has 'default', which object_encoder sets. Give"
                " the function's path as object_encoder, or set object_encoder=None."
            )
        if self.object_decoder and "object_hook" in self.loads_kwargs:
            raise ValueError(
                "loads_kwargs of a JSONSerializer has 'object_hook', which object_decoder sets."
                " Give the function's path as object_decoder, or set object_decoder=None."
            )

    def dumps(self, value: Any) -> bytes:
        """Write `value` as JSON.

        Raises:
            TypeError: a part of it has no form in JSON; the message names its type.
        """
        options = dict(self.dumps_kwargs)
        if self.object_encoder:
            options["default"] = import_by_path(self.object_encoder)
            if self.object_encoder == type(self).object_encoder:
                from penstock.results.json_objects import (
                    with_plain_keys,  # only where JSON is used
                )

                value = with_plain_keys(value)
        text = importlib.import_module(self.jsonlib).dumps(value, **options)
        return text.encode() if isinstance(text, str) else text

    def loads(self, data: bytes) -> Any:
        """Read JSON.

        Raises:
            ValueError: it is none.
        """
        options = dict(self.loads_kwargs)
        if self.object_decoder:
            options["object_hook"] = import_by_path(self.object_decoder)
        return importlib.import_module(self.jsonlib).loads(data.decode(), **options)


class CompressedSerializer(Serializer):
    """Compresses what another serializer writes, as base64 text.

    Parameters:
        serializer: the other one, or its type's tag, or its options.
        compressionlib: the module whose `compress` and `decompress` do it: lzma, bz2, zlib, ...

    Raises:
        ValueError: the module cannot be imported, or does not compress.
    """

    type = "compressed"
    serializer: Any
    compressionlib: str = "lzma"

    def check(self) -> None:
        """Make the other serializer; import the library."""
        inner: Any = self.serializer
        if isinstance(inner, dict):
            inner = Serializer(**cast("dict[str, Any]", inner))
        self.serializer = resolve_serializer(inner)
        _import_library(self.compressionlib, "compressionlib", ("compress", "decompress"))

    def dumps(self, value: Any) -> bytes:
        """Write and compress `value`."""
        library = importlib.import_module(self.compressionlib)
        return base64.b64encode(library.compress(self.serializer.dumps(value)))

    def loads(self, data: bytes) -> Any:
        """Decompress and read."""
        library = importlib.import_module(self.compressionlib)
        return self.serializer.loads(
            library.decompress(base64.b64decode(data, validate=True)),
        )


class CompressedPickleSerializer(CompressedSerializer):
    """Pickles and compresses values."""

    type = "compressed/pickle"
    serializer: Any = "pickle"


class CompressedJSONSerializer(CompressedSerializer):
    """Writes values as JSON and compresses them."""

    type = "compressed/json"
    serializer: Any = "json"


def resolve_serializer(option: object = None) -> Serializer:
    """Give the serializer that a `result_serializer` option names.

    Parameters:
        option: a serializer, its type's tag, or None for PENSTOCK_RESULTS_DEFAULT_SERIALIZER.

    Returns:
        The serializer.

    Raises:
        TypeError: the option is none of these.
        ValueError: no serializer has the tag.
    """
    if option is None:
        option = PENSTOCK_RESULTS_DEFAULT_SERIALIZER.value()
    if isinstance(option, Serializer):
        return option
    if isinstance(option, str):
        return Serializer(type=option)
    kind = cast("Any", option if isinstance(option, type) else type(option))
    made = " Make an instance of it." if isinstance(option, type) else ""
    raise TypeError(
        "result_serializer must be a penstock.serializers.Serializer or a type's tag such as"
        f" 'pickle' or 'json', not {kind.__module__}.{kind.__qualname__}.{made}"
    )


def _find_type(tag: object) -> type[Serializer]:
    found = _types.get(tag) if isinstance(tag, str) else None
    if found is None:
        raise ValueError(
            f"There is no serializer of type {tag!r}.{_suggestion(str(tag), _types)} There are:"
            f" {', '.join(_types)}. One of your own is known once the module with its class has"
            " been imported."
        )
    return found


def _suggestion(name: str, known: dict[str, Any]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _import_library(name: Any, option: str, functions: tuple[str, str]) -> None:
    try:
        library = importlib.import_module(name)
    except (ImportError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(
            f"{option}={name!r} cannot be imported: {error}. Install it (`pip install {name}`), or"
            " name another module."
        ) from error
    missing = [function for function in functions if not hasattr(library, function)]
    if missing:
        raise ValueError(
            f"{option}={name!r} cannot be used: the module has no {' and no '.join(missing)}."
        )
