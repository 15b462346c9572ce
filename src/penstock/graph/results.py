"""Results of graph tasks: a value, and where it is kept (section 9).

A `Result` on a task or a flow says how values are kept; those on states are made from it.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

from penstock import clock
from penstock.graph.serializers import (
    DateTimeSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
)
from penstock.settings import get_current_settings

__all__ = [
    "ConstantResult",
    "LocalResult",
    "NoResult",
    "NoResultType",
    "PrefectResult",
    "Result",
    "ResultNotImplementedError",
    "SecretResult",
]


class ResultNotImplementedError(NotImplementedError):
    """A kind of result does not say how it is written, read or looked for."""


class Result:
    """A value, and where it is kept. This one keeps it in memory only; subclasses in storage.

    Parameters:
        value: the value.
        location: where it is kept: a template that `format` fills in, or a function that gives
            the location; then `location` reads None.
        serializer: how the value is written; pickled by default.

    Example:
        >>> Result(1).from_value(2)
        <Result: 2>
    """

    def __init__(
        self,
        value: Any = None,
        location: str | Callable[..., str] | None = None,
        serializer: Serializer | None = None,
    ) -> None:
        self.value = value
        self._formatter: Callable[..., str] | None = None
        self._location: str | None = None
        if location is not None:
            self.location = location
        self.serializer: Serializer = PickleSerializer() if serializer is None else serializer

    @property
    def location(self) -> str | None:
        """Where the value is kept; none if that is not known, or a function gives it."""
        return self._location

    @location.setter
    def location(self, location: str | Callable[..., str] | None) -> None:
        if callable(location):
            self._formatter, self._location = location, None
        else:
            self._formatter, self._location = None, location

    @property
    def default_location(self) -> str:
        """A location for a value that has none: by the date, and never the same."""
        return f"{clock.now():%Y/%m/%d}/{uuid4()}.prefect_result"

    def __eq__(self, other: object) -> bool:
        """Two results of one class with the same public attributes are equal."""
        if type(self) is not type(other):
            return False
        return self._public() == cast("Result", other)._public()

    def _public(self) -> dict[str, Any]:
        public = {key: value for key, value in self.__dict__.items() if not key.startswith("_")}
        return {**public, "location": self._location}

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Give the value."""
        return f"<{type(self).__name__}: {self.value!r}>"

    def copy(self) -> Any:
        """Give a copy; what is in it is shared."""
        return copy.copy(self)

    def from_value(self, value: Any) -> Any:
        """Give a result of this kind with another value, which is not kept anywhere yet."""
        made = copy.copy(self)
        made._location = None  # noqa: SLF001 - a copy of its own
        made.value = value
        return made

    def format(self, **kwargs: Any) -> Any:
        """Give a copy whose location is filled in.

        Parameters:
            **kwargs: what the location's template may name; a function gets all of it.
        """
        made = copy.copy(self)
        if self._formatter is not None:
            made._location = self._formatter(**kwargs)  # noqa: SLF001 - a copy of its own
        elif self._location is not None:
            made._location = self._location.format(**kwargs)  # noqa: SLF001 - as above
        else:
            made._location = self.default_location  # noqa: SLF001 - as above
        made._formatter = None  # noqa: SLF001 - as above
        return made

    def exists(self, location: str, **kwargs: Any) -> bool:
        """Tell whether there is something at a location.

        Raises:
            ResultNotImplementedError: this kind of result does not say.
        """
        del location, kwargs
        raise self._not_implemented("exists")

    def read(self, location: str) -> Any:
        """Give a result of this kind with the value that is at a location.

        Raises:
            ResultNotImplementedError: this kind of result does not say how.
        """
        del location
        raise self._not_implemented("read")

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Write a value; give a result of this kind with it and its location.

        Raises:
            ResultNotImplementedError: this kind of result does not say how.
        """
        del value_, kwargs
        raise self._not_implemented("write")

    def _not_implemented(self, what: str) -> ResultNotImplementedError:
        return ResultNotImplementedError(
            f"{type(self).__name__} does not define {what}(): its values are kept in memory only."
            " Use LocalResult, or a subclass that does."
        )


class NoResultType(Result):
    """The result of what has none; `NoResult` is the one instance."""

    def __init__(self) -> None:
        super().__init__(value=None)

    def __eq__(self, other: object) -> bool:
        """It is equal to its like only."""
        return type(self) is type(other)

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Say that there is none."""
        return "<No result>"

    def __str__(self) -> str:
        """Say that there is none."""
        return "NoResult"

    def __reduce__(self) -> str:
        """Pickle the one instance by its name."""
        return "NoResult"

    def __copy__(self) -> NoResultType:
        """Give the one instance."""
        return self

    def from_value(self, value: Any) -> Any:
        """Give a result in memory with a value."""
        return Result(value)


NoResult = NoResultType()
"""The result of what has none."""


class LocalResult(Result):
    """Keeps values as files in a folder of this machine.

    Parameters:
        dir: the folder; by default, and for any folder in the home directory, the `results`
            folder of PENSTOCK_HOME.
        validate_dir: make the folder now, if it is not there.
        **kwargs: as of `Result`.
    """

    def __init__(self, dir: str | None = None, validate_dir: bool = True, **kwargs: Any) -> None:  # noqa: A002, FBT001, FBT002 - the field's signature
        home = Path.home()
        if dir is None or Path(dir).expanduser().absolute().is_relative_to(home):
            folder = get_current_settings().home / "results"
        else:
            folder = Path(dir).expanduser().absolute()
        if validate_dir:
            folder.mkdir(parents=True, exist_ok=True)
        self.dir = str(folder)
        super().__init__(**kwargs)

    @property
    def default_location(self) -> str:
        """A location by the time, in the folder."""
        return str(Path(self.dir) / f"penstock-result-{clock.now():%Y-%m-%dt%H-%M-%S}-{uuid4()}")

    def _path(self, location: str) -> Path:
        return Path(self.dir) / location

    def read(self, location: str) -> Any:
        """Give a result with the value in a file, named in full or within the folder.

        Raises:
            FileNotFoundError: there is no such file.
        """
        made = self.copy()
        made.location = location
        made.value = self.serializer.deserialize(self._path(location).read_bytes())
        return made

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Write a value to its file; give a result with it and the file's full path.

        The file is there whole or not at all, also after a crash.
        """
        made = self.format(**kwargs)
        path = self._path(made.location)
        path.parent.mkdir(parents=True, exist_ok=True)
        content = self.serializer.serialize(value_)
        beside = path.with_name(f".{path.name}.{uuid4().hex}")
        try:
            beside.write_bytes(content)
            beside.replace(path)
        finally:
            beside.unlink(missing_ok=True)
        made.location = str(path)
        made.value = value_
        return made

    def exists(self, location: str, **kwargs: Any) -> bool:
        """Tell whether there is a file at a location, which is filled in first."""
        return self._path(location.format(**kwargs)).exists()


class PrefectResult(Result):
    """Keeps a value as its own location, as JSON: for small values such as parameters.

    Raises:
        TypeError: the serializer is none for JSON or times.
    """

    def __init__(self, **kwargs: Any) -> None:
        if "serializer" not in kwargs:
            kwargs["serializer"] = JSONSerializer()
        super().__init__(**kwargs)

    @property
    def serializer(self) -> Serializer:  # type: ignore[override]
        """How the value is written."""
        return self._serializer

    @serializer.setter
    def serializer(self, serializer: Any) -> None:  # type: ignore[override]
        if not isinstance(serializer, (JSONSerializer, DateTimeSerializer)):
            message = (
                f"{type(self).__name__} only supports a JSONSerializer or a DateTimeSerializer,"
                f" not {serializer!r}."
            )
            raise TypeError(message)
        self._serializer: Serializer = serializer

    def _public(self) -> dict[str, Any]:
        return {**super()._public(), "serializer": self._serializer}

    def read(self, location: str) -> Any:
        """Give a result with the value that a location is."""
        made = self.copy()
        made.value = self.serializer.deserialize(location.encode())
        made.location = location
        return made

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Give a result with a value, and its JSON text as the location."""
        del kwargs
        made = self.copy()
        made.value = value_
        made.location = self.serializer.serialize(value_).decode()
        return made

    def exists(self, location: Any, **kwargs: Any) -> bool:
        """Tell whether a location is the text of a value."""
        del kwargs
        if not isinstance(location, str):
            return False
        try:
            self.serializer.deserialize(location.encode())
        except ValueError:
            return False
        return True


class ConstantResult(Result):
    """A value that is known beforehand, and kept nowhere.

    Raises:
        ValueError: a serializer is given.
    """

    def __init__(self, **kwargs: Any) -> None:
        _refuse_serializer(self, kwargs)
        super().__init__(**kwargs)

    def read(self, location: str) -> Any:
        """Give this result."""
        del location
        return self

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Refuse to be written.

        Raises:
            ValueError: always.
        """
        del value_, kwargs
        message = "Cannot write values to a ConstantResult: it has the one that it was made with."
        raise ValueError(message)

    def exists(self, location: str, **kwargs: Any) -> bool:
        """Say yes."""
        del location, kwargs
        return True


class SecretResult(Result):
    """A value that is kept nowhere, and asked of a task each time.

    Parameters:
        secret_task: the task, whose `run(name=...)` gives the value of a name.
        **kwargs: as of `Result`; the location is the task's name by default.

    Raises:
        ValueError: a serializer is given.
    """

    def __init__(self, secret_task: Any, **kwargs: Any) -> None:
        _refuse_serializer(self, kwargs)
        if kwargs.get("location") is None:
            kwargs["location"] = secret_task.name
        self.secret_task = secret_task
        super().__init__(**kwargs)

    def read(self, location: str) -> Any:
        """Give a result with the value of a name, asked of the task now."""
        made = self.copy()
        made.value = self.secret_task.run(name=location)
        made.location = location
        return made

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Refuse to be written.

        Raises:
            ValueError: always.
        """
        del value_, kwargs
        message = "Cannot write values to a SecretResult: the value is kept by who gives it."
        raise ValueError(message)


def _refuse_serializer(result: Result, kwargs: dict[str, Any]) -> None:
    if "serializer" in kwargs:
        message = f"{type(result).__name__} takes no serializer: its value is not written."
        raise ValueError(message)
