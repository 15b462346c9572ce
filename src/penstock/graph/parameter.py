"""Parameters: the values that a graph is run with (section 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from penstock.graph.ambient import context
from penstock.graph.dates import moment_of
from penstock.graph.results import PrefectResult
from penstock.graph.signals import FAIL
from penstock.graph.task import Task

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable

__all__ = ["DateTimeParameter", "Parameter", "no_default"]


class _NoDefault:
    """Stands for a default that nobody gave."""

    def __repr__(self) -> str:
        return "<no default>"

    def __reduce__(self) -> str:
        return "no_default"


no_default = _NoDefault()


class Parameter(Task):
    """A value that a graph is run with.

    Parameters:
        name: by which it is given.
        default: the value where none is given; None is one.
        required: a value must be given; by default if there is no default.
        tags: labels.

    Example:
        >>> Parameter("day", default="2013-01-01").required
        False
    """

    def __init__(
        self,
        name: str,
        default: Any = no_default,
        required: bool | None = None,  # noqa: FBT001 - the field's signature
        tags: Iterable[str] | None = None,
    ) -> None:
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance] - users give more
            message = f"A parameter's name must be a text that is not empty, and {name!r} is none."
            raise TypeError(message)
        self.required: bool = default is no_default if required is None else required
        self.default: Any = None if default is no_default else default
        super().__init__(name=name, slug=name, tags=tags, result=PrefectResult(), checkpoint=True)

    def __repr__(self) -> str:
        """Give the name."""
        return f"<Parameter: {self.name}>"

    def __call__(self, flow: Any = None) -> Any:
        """Put the parameter itself into a flow; give it.

        Parameters:
            flow: the flow; the active one by default.

        Raises:
            ValueError: there is no flow.
        """
        found = self._flow_to_bind_into(flow)
        found.add_task(self)
        return self

    def copy(self, name: str, **task_args: Any) -> Any:  # type: ignore[override]
        """Give a copy under another name.

        Parameters:
            name: the name.
            **task_args: attributes of the copy.
        """
        return super().copy(**{"name": name, "slug": name, **task_args})

    def run(self) -> Any:
        """Give the value that the run was given, or the default.

        Raises:
            FAIL: it is required, and was not given.
        """
        given = cast("dict[str, Any]", context.get("parameters") or {})
        if self.required and self.name not in given:
            raise FAIL(f'Parameter "{self.name}" was required but not provided.')
        return given.get(self.name, self.default)


class DateTimeParameter(Parameter):
    """A parameter that is a time: texts are read as ISO 8601, times without a zone as UTC.

    Parameters:
        name: by which it is given.
        required: a value must be given; else None is one.
        tags: labels.
    """

    def __init__(
        self,
        name: str,
        required: bool = True,  # noqa: FBT001, FBT002 - the field's signature
        tags: Iterable[str] | None = None,
    ) -> None:
        super().__init__(name=name, default=no_default if required else None, tags=tags)
        self.required = required

    def run(self) -> dt.datetime | None:
        """Give the time.

        Raises:
            FAIL: it is required, and was not given.
            ValueError, TypeError: what was given is no time.
        """
        value = super().run()
        if value is None:
            return None
        try:
            return moment_of(value)
        except (TypeError, ValueError) as error:
            message = (
                f"Parameter {self.name!r} must be a datetime or a text of one, as"
                f" '2013-01-31T12:00:00+00:00', not {value!r}."
            )
            raise type(error)(message) from None
