"""Results of graph tasks: a value, and where it is kept (section 9).

A `Result` on a task or a flow says how values are kept; those on states are made from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, cast
from uuid import uuid4

from penstock import clock
from penstock.graph.serializers import (
    DateTimeSerializer,
    JSONSerializer,
    PickleSerializer,
    Serializer,
)
from penstock.results import LocalFolder
from penstock.settings import PENSTOCK_HOME

if TYPE_CHECKING:
    from collections.abc import Callable

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

_PICKLE = PickleSerializer()
_NOT_GIVEN: Any = object()


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
        >>> Result(location="{day}.pickle").format(day="2013-01-01").location
        '2013-01-01.pickle'
    """

    serializer: Serializer

    def __init__(
        self,
        value: Any = None,
        location: str | Callable[..., str] | None = None,
        serializer: Serializer | None = None,
    ) -> None:
        self.value: Any = value
        self._location: str | None = None
        self._formatter: Callable[..., str] | None = None
        if location is not None:
            self.location = location
        self.serializer = _PICKLE if serializer is None else serializer

    @property
    def location(self) -> str | None:
        """Where the value is kept; None if that is not known, or a function gives it."""
        return self._location

    @location.setter
    def location(self, location: str | Callable[..., str] | None) -> None:
        if callable(location):
            self._location, self._formatter = None, location
        else:
            self._location, self._formatter = location, None

    @property
    def default_location(self) -> str:
        """A location for a value that has none: by the date, and never the same."""
        return f"{clock.now():%Y/%m/%d}/{uuid4()}.prefect_result"

    def __eq__(self, other: object) -> bool:
        """Compare class and public attributes: value, location, serializer and the like."""
        if type(self) is not type(other):
            return False
        return self._public() == cast("Result", other)._public()

    def _public(self) -> dict[str, Any]:
        public = {key: value for key, value in self.__dict__.items() if key[0] != "_"}
        return {**public, "location": self._location}

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Give the value."""
        return f"<{type(self).__name__}: {self.value!r}>"

    def __copy__(self) -> Self:
        """Give a copy; what is in it is shared."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        return made

    def copy(self) -> Self:
        """Give a copy; what is in it is shared."""
        return self.__copy__()

    def from_value(self, value: Any) -> Any:
        """Give a result of this kind with another value, which is not kept anywhere yet."""
        made = self.__copy__()
        made.__dict__.update(value=value, _location=None)
        return made

    def apart(self) -> Self:
        """Give what keeps another value the same way, and never at the location of this one."""
        if self._location is None and self._formatter is None:
            return self
        made = self.__copy__()
        made.location = None
        return made

    def format(self, **kwargs: Any) -> Self:
        """Give a copy whose location is filled in.

        Parameters:
            **kwargs: what the location's template may name; a function gets all of it.

        Raises:
            KeyError: the template names something that is not there.
        """
        made = self.__copy__()
        if self._location is not None:
            made.location = self._location.format(**kwargs)
        elif self._formatter is not None:
            made.location = self._formatter(**kwargs)
        else:
            made.location = self.default_location
        return made

    def exists(self, location: Any, **kwargs: Any) -> bool:
        """Tell whether there is something at a location.

        Parameters:
            location: the location, or its template.
            **kwargs: what a template may name.

        Raises:
            ResultNotImplementedError: this kind of result does not say.
        """
        self._refuse("exists", location, kwargs)

    def read(self, location: str) -> Any:
        """Give a result of this kind with the value that is at a location.

        Raises:
            ResultNotImplementedError: this kind of result does not say how.
        """
        self._refuse("read", location)

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Write a value; give a result of this kind with it and its location.

        Parameters:
            value_: the value. It is not called `value`, as a task's input may be.
            **kwargs: what the location's template may name.

        Raises:
            ResultNotImplementedError: this kind of result does not say how.
        """
        self._refuse("write", value_, kwargs)

    def _refuse(self, what: str, *_arguments: Any) -> NoReturn:
        message = (
            f"{type(self).__name__} does not define {what}(): it keeps values in memory only. Use"
            " a LocalResult, or a subclass of Result that defines exists, read and write."
        )
        raise ResultNotImplementedError(message)


class NoResultType(Result):
    """The result of what has none; `NoResult` is the one instance."""

    def __eq__(self, other: object) -> bool:
        """It is equal to its like only."""
        return type(self) is type(other)

    __hash__ = object.__hash__

    def __reduce__(self) -> str:
        """Pickle the one instance by its name."""
        return "NoResult"

    def __copy__(self) -> Self:
        """Give the one instance."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Give the one instance."""
        return self

    def from_value(self, value: Any) -> Any:
        """Give a result in memory with a value."""
        return Result(value)

    def format(self, **kwargs: Any) -> Self:
        """Give the one instance, which is kept nowhere."""
        del kwargs
        return self


NoResult = NoResultType()
"""The result of what has none."""


class LocalResult(Result):
    """Keeps values as files in a folder of this machine.

    Parameters:
        dir: the folder; by default, and for every folder in PENSTOCK_HOME, `results` in there.
        validate_dir: make the folder now, if it is not there.
        value: as of `Result`.
        location: a file within the folder, or a full path; else as of `Result`.
        serializer: as of `Result`.

    Example:
        >>> import tempfile
        >>> kept = LocalResult(tempfile.mkdtemp(), location="{day}.pickle")
        >>> written = kept.write([1, 2], day="monday")
        >>> kept.read("monday.pickle").value
        [1, 2]
    """

    def __init__(
        self,
        dir: str | None = None,  # noqa: A002 - the field's signature
        validate_dir: bool = True,  # noqa: FBT001, FBT002 - the same
        value: Any = None,
        location: str | Callable[..., str] | None = None,
        serializer: Serializer | None = None,
    ) -> None:
        home = PENSTOCK_HOME.value()
        folder = home if dir is None else Path(dir).expanduser().absolute()
        if folder.is_relative_to(home):
            folder = home / "results"
        if validate_dir:
            folder.mkdir(parents=True, exist_ok=True)
        self.dir = str(folder)
        super().__init__(value, location, serializer)

    @property
    def default_location(self) -> str:
        """A location by the time, in the folder."""
        return str(Path(self.dir) / f"penstock-result-{clock.now():%Y-%m-%dt%H-%M-%S}-{uuid4()}")

    def _file(self, location: str) -> Path:
        return Path(self.dir) / location

    def read(self, location: str) -> Any:
        """Give a result with the value in a file, named in full or within the folder.

        Raises:
            FileNotFoundError: there is no such file.
        """
        made = self.copy()
        made.location = location
        made.value = self.serializer.deserialize(self._file(location).read_bytes())
        return made

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Write a value to its file; give a result with it and the file's full path.

        The file is there whole or not at all. With PENSTOCK_STORE_DURABILITY=full it survives loss
        of power.

        Parameters:
            value_: the value.
            **kwargs: what the location's template may name.

        Raises:
            OSError: the file cannot be written.
        """
        made = self.format(**kwargs)
        assert made.location is not None
        file = self._file(made.location)
        target = file.resolve()
        LocalFolder(target.parent).write_path(target.name, self.serializer.serialize(value_))
        made.location = str(file)
        made.value = value_
        return made

    def exists(self, location: Any, **kwargs: Any) -> bool:
        """Tell whether there is a file at a location, which is filled in first."""
        return self._file(str(location).format(**kwargs)).exists()


class PrefectResult(Result):
    """Keeps a value as its own location, as JSON: for small values such as parameters.

    Parameters:
        value: as of `Result`.
        location: the value as JSON.
        serializer: a `JSONSerializer`, the default, or a `DateTimeSerializer`.

    Raises:
        TypeError: the serializer is another one.

    Example:
        >>> PrefectResult().write({"a": 1}).location
        '{"a": 1}'
    """

    def __init__(
        self,
        value: Any = None,
        location: str | Callable[..., str] | None = None,
        serializer: Serializer | None = None,
    ) -> None:
        super().__init__(value, location, JSONSerializer() if serializer is None else serializer)

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; of serializers only one that writes text.

        Raises:
            TypeError: the serializer is another one.
        """
        if name == "serializer" and not isinstance(value, (JSONSerializer, DateTimeSerializer)):
            message = (
                f"{type(self).__name__} only supports a JSONSerializer or a DateTimeSerializer,"
                f" not {value!r}: the value is kept as text."
            )
            raise TypeError(message)
        super().__setattr__(name, value)

    def read(self, location: str) -> Any:
        """Give a result with the value that a location is."""
        made = self.copy()
        made.value = self.serializer.deserialize(location.encode())
        made.location = location
        return made

    def write(self, value_: Any, **kwargs: Any) -> Any:
        """Give a result with a value, and its text as the location.

        Raises:
            TypeError: JSON cannot hold the value.
        """
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

    Parameters:
        value: the value.
        location: as of `Result`.
        serializer: not to be given.

    Raises:
        ValueError: a serializer is given.
    """

    def __init__(
        self,
        value: Any = None,
        location: str | Callable[..., str] | None = None,
        serializer: Serializer | None = _NOT_GIVEN,
    ) -> None:
        _refuse_serializer(self, serializer)
        super().__init__(value, location)

    def read(self, location: str) -> Any:
        """Give this result."""
        del location
        return self

    def write(self, value_: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be written.

        Raises:
            ValueError: always.
        """
        del value_, kwargs
        message = "Cannot write values to a ConstantResult: it has the one that it was made with."
        raise ValueError(message)

    def exists(self, location: Any, **kwargs: Any) -> bool:
        """Say yes."""
        del location, kwargs
        return True


class SecretResult(Result):
    """A value that is kept nowhere, and asked of a task each time.

    Parameters:
        secret_task: the task, whose `run(name=...)` gives the value of a name.
        value: as of `Result`.
        location: the name; that of the task by default.
        serializer: not to be given.

    Raises:
        ValueError: a serializer is given.
    """

    def __init__(
        self,
        secret_task: Any,
        value: Any = None,
        location: str | Callable[..., str] | None = None,
        serializer: Serializer | None = _NOT_GIVEN,
    ) -> None:
        _refuse_serializer(self, serializer)
        self.secret_task: Any = secret_task
        super().__init__(value, secret_task.name if location is None else location)

    def read(self, location: str) -> Any:
        """Give a result with the value of a name, asked of the task now."""
        made = self.copy()
        made.value = self.secret_task.run(name=location)
        made.location = location
        return made

    def write(self, value_: Any, **kwargs: Any) -> NoReturn:
        """Refuse to be written.

        Raises:
            ValueError: always.
        """
        del value_, kwargs
        message = "Cannot write values to a SecretResult: its value is kept by who gives it."
        raise ValueError(message)


def _refuse_serializer(result: Result, serializer: Any) -> None:
    if serializer is not _NOT_GIVEN:
        message = f"{type(result).__name__} takes no serializer: its value is not written."
        raise ValueError(message)
