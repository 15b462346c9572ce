"""Typed inputs: `RunInput`, and what makes one of any type; sending and receiving them."""

from __future__ import annotations

import json
import re
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, cast, get_origin

import pydantic
from pydantic.json_schema import GenerateJsonSchema

from penstock.client import run_inputs
from penstock.client.awaiting import here_or_awaitable
from penstock.ids import new_id
from penstock.input.actions import SENDER_PREFIX, ensure_flow_run_id, sender_or_own
from penstock.input.keysets import Keyset, keyset_from_base_key, keyset_from_paused_state
from penstock.input.receiving import Receiver
from penstock.store import get_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from uuid import UUID

    from penstock.records import FlowRunInput

__all__ = [
    "AutomaticRunInput",
    "RunInput",
    "RunInputMetadata",
    "keyset_from_base_key",
    "keyset_from_paused_state",
    "receive_input",
    "run_input_subclass_from_type",
    "send_input",
]


@dataclass
class RunInputMetadata:
    """Under which key an input was received, from whom, and by which flow run."""

    key: str
    sender: str | None
    receiver: UUID


class _Schema(GenerateJsonSchema):
    """A default that JSON has no form for is left out of the schema."""

    ignored_warning_kinds: ClassVar[Any] = {"skipped-choice", "non-serializable-default"}


class RunInput(pydantic.BaseModel):
    """What a flow run waits for, or is sent: fields with types, as in every pydantic model.

    Example:
        >>> class Approval(RunInput):
        ...     approved: bool
        ...     reason: str = ""
        >>> approval = pause_flow_run(wait_for_input=Approval)  # doctest: +SKIP
    """

    model_config = pydantic.ConfigDict(extra="forbid")

    _description: ClassVar[str | None] = None
    _metadata: RunInputMetadata | None = pydantic.PrivateAttr(default=None)

    @property
    def metadata(self) -> RunInputMetadata | None:
        """Give where a received input comes from; none for one that was not received."""
        return self._metadata

    @classmethod
    def keyset_from_type(cls) -> Keyset:
        """Give the keys that are named after this class."""
        return keyset_from_base_key(_key_name(cls.__name__))

    @classmethod
    def with_initial_data(cls, description: str | None = None, **defaults: Any) -> type[Self]:
        """Give a class with other defaults, and what people are to know.

        Parameters:
            description: what is wanted, in Markdown; it is shown with the pause.
            defaults: values by field, taken where no other is given.

        Raises:
            TypeError: there is no such field.

        Example:
            >>> class Approval(RunInput):
            ...     approved: bool
            >>> Approval.with_initial_data("Release 2.1?", approved=False)().approved
            False
        """
        unknown = sorted(set(defaults) - set(cls.model_fields))
        if unknown:
            message = (
                f"{cls.__name__} has no field {unknown[0]!r}: it has"
                f" {', '.join(map(repr, cls.model_fields)) or 'none'}."
            )
            raise TypeError(message)
        fields = {name: _with_default(cls.model_fields[name], defaults[name]) for name in defaults}
        made = cast("Any", pydantic.create_model)(
            cls.__name__, __base__=cls, __module__=cls.__module__, **fields
        )
        if description is not None:
            made._description = description  # noqa: SLF001 - a class of this very kind
        return made

    @classmethod
    def save(cls, keyset: Keyset, flow_run_id: UUID | str | None = None) -> Any:
        """Record what is wanted of a flow run's users: the schema, and the description if any.

        Parameters:
            keyset: under which keys.
            flow_run_id: the run; the one that this code is in unless given.

        Returns:
            Nothing; in async code an awaitable of it.
        """
        run_id = ensure_flow_run_id(flow_run_id)
        values: dict[str, Any] = {keyset["schema"]: json.loads(schema_text(cls))}
        if cls._description:
            values[keyset["description"]] = cls._description

        def work() -> None:
            store = get_store()
            for key, value in values.items():
                run_inputs.create_input(store, run_id, key, value, None)

        return here_or_awaitable(work)

    @classmethod
    def load(cls, keyset: Keyset, flow_run_id: UUID | str | None = None) -> Any:
        """Give what a flow run was given; made of the defaults if that is nothing.

        Parameters:
            keyset: under which keys.
            flow_run_id: the run; the one that this code is in unless given.

        Returns:
            An instance; in async code an awaitable of it.

        Raises:
            pydantic.ValidationError: it does not fit, or a field has no default.
        """
        run_id = ensure_flow_run_id(flow_run_id)
        return here_or_awaitable(lambda: read_response(cls, run_id, keyset))

    @classmethod
    def load_from_flow_run_input(cls, flow_run_input: FlowRunInput) -> Self:
        """Give the instance that a record of an input stands for.

        Raises:
            pydantic.ValidationError: it does not fit.
        """
        made = cls.model_validate_json(flow_run_input.value)
        made._metadata = RunInputMetadata(  # noqa: SLF001 - an instance of this very class
            flow_run_input.key, flow_run_input.sender, flow_run_input.flow_run_id
        )
        return made

    def respond(
        self, run_input: Any, sender: str | None = None, key_prefix: str | None = None
    ) -> Any:
        """Send something to the flow run that has sent this.

        Parameters:
            run_input: what: a `RunInput`, a pydantic model, or any value.
            sender: who sends; this code's flow run unless given.
            key_prefix: what the key begins with; follows from the type unless given.

        Returns:
            Nothing; in async code an awaitable of it.

        Raises:
            RuntimeError: this was not sent by a flow run.
        """
        origin = None if self._metadata is None else self._metadata.sender
        if origin is None or not origin.startswith(SENDER_PREFIX):
            message = (
                f"Nobody can be responded to: this {type(self).__name__} was"
                + (" not received" if self._metadata is None else f" sent by {origin!r}")
                + ", and only a flow run can be sent an input."
            )
            raise RuntimeError(message)
        return send_input(run_input, origin.removeprefix(SENDER_PREFIX), sender, key_prefix)

    def send_to(
        self, flow_run_id: UUID | str, sender: str | None = None, key_prefix: str | None = None
    ) -> Any:
        """Send this to a flow run; see `send_input`."""
        prefix = key_prefix or _auto_prefix(type(self).__name__)
        value = self.model_dump(mode="json", by_alias=True)
        run_id = ensure_flow_run_id(flow_run_id)
        own = sender_or_own(sender)
        key = run_inputs.checked_key(f"{prefix}-{new_id()}")

        def work() -> None:
            run_inputs.create_input(get_store(), run_id, key, value, own)

        return here_or_awaitable(work)

    @classmethod
    def receive(
        cls,
        timeout: float | None = 3600,
        poll_interval: float = 10,
        raise_timeout_error: bool = False,  # noqa: FBT001, FBT002 - as programs give it
        exclude_keys: Iterable[str] | None = None,
        key_prefix: str | None = None,
        flow_run_id: UUID | str | None = None,
    ) -> Receiver[Any]:
        """Receive instances of this class that are sent to a flow run; see `receive_input`."""
        return _receiver(
            cls,
            cls.load_from_flow_run_input,
            ensure_flow_run_id(flow_run_id),
            key_prefix,
            timeout=timeout,
            poll_interval=poll_interval,
            raise_timeout_error=raise_timeout_error,
            exclude_keys=exclude_keys or (),
        )


class AutomaticRunInput(RunInput):
    """An input that is one value of any type; its field `value` has that type in subclasses."""


def given(made: RunInput) -> Any:
    """Give what a flow sees of an input: the instance, or the value of a plain type."""
    return cast("Any", made).value if isinstance(made, AutomaticRunInput) else made


def schema_text(kind: type[RunInput]) -> str:
    """Give the JSON schema of an input, as it is stored.

    Raises:
        TypeError: a field has a type that no schema can be made of.
    """
    try:
        return json.dumps(kind.model_json_schema(schema_generator=_Schema))
    except pydantic.errors.PydanticUserError as error:
        message = (
            f"{kind.__name__} cannot be waited for: no JSON schema can be made of it, so nobody"
            f" could be told what to give. {error.message}"
        )
        raise TypeError(message) from error


def description_of(kind: type[RunInput]) -> str | None:
    """Give what people are to know of an input; see `RunInput.with_initial_data`."""
    return kind._description  # noqa: SLF001 - fields of inputs may have any public name  # pyright: ignore[reportPrivateUsage]


def read_response(kind: type[RunInput], flow_run_id: UUID, keyset: Keyset) -> Any:
    """Give what a flow run was given, read at once, in whatever code; see `RunInput.load`."""
    found = run_inputs.read_input(get_store(), flow_run_id, keyset["response"])
    return given(kind() if found is None else kind.load_from_flow_run_input(found))


def _receiver(
    kind: type[RunInput],
    make: Callable[[FlowRunInput], Any],
    flow_run_id: UUID,
    key_prefix: str | None,
    **options: Any,
) -> Receiver[Any]:
    return Receiver(flow_run_id, key_prefix or _auto_prefix(kind.__name__), make, **options)


def _with_default(field: Any, default: Any) -> tuple[Any, Any]:
    """Give a field's definition with another default."""
    kind = field.annotation
    if field.metadata:
        kind = Annotated[(kind, *field.metadata)]
    return kind, pydantic.Field(
        default=default,
        alias=field.alias,
        title=field.title,
        description=field.description,
        examples=field.examples,
        json_schema_extra=field.json_schema_extra,
    )


def _key_name(name: str) -> str:
    """Give a type's name as keys may have it."""
    return re.sub("[^a-z0-9]+", "-", name.lower()).strip("-") or "input"


def _auto_prefix(name: str) -> str:
    return f"{_key_name(name)}-auto"


def run_input_subclass_from_type(wanted: Any) -> type[RunInput]:
    """Give the `RunInput` that a type stands for.

    Parameters:
        wanted: a subclass of `RunInput`, which is given as it is; a pydantic model, of which one
            is made; or any type, of which one is made with the field `value`.

    Raises:
        TypeError: it is no type, or none that pydantic knows.

    Example:
        >>> run_input_subclass_from_type(int)(value="3").value
        3
    """
    if isinstance(wanted, type) and issubclass(wanted, RunInput):
        return wanted
    if isinstance(wanted, type) and issubclass(wanted, pydantic.BaseModel):
        return _of_model(wanted)
    if isinstance(wanted, pydantic.BaseModel):
        message = f"{wanted!r} is no type: give its class, {type(wanted).__name__}."
        raise TypeError(message)
    try:
        made = cast("Any", pydantic.create_model)(
            _type_name(wanted),
            __base__=AutomaticRunInput,
            __module__=__name__,
            value=(wanted, ...),
        )
    except (pydantic.errors.PydanticUserError, TypeError) as error:
        message = (
            f"{wanted!r} cannot be an input of a flow run: it is no type that pydantic knows. Give"
            " a RunInput, a pydantic model, or a type such as int or list[str]."
        )
        raise TypeError(message) from error
    return cast("type[RunInput]", made)


def _type_name(kind: Any) -> str:
    """Give the name of a type; of `list[str]` it is that of `list`."""
    named = kind if hasattr(kind, "__name__") else get_origin(kind)
    return getattr(named, "__name__", "input")


def _of_model(model: type[pydantic.BaseModel]) -> type[RunInput]:
    taken = sorted(set(model.model_fields) & set(dir(RunInput)))
    if taken:
        message = (
            f"{model.__name__} cannot be an input of a flow run: its field {taken[0]!r} has a name"
            " that RunInput uses. Rename it."
        )
        raise TypeError(message)
    body = {
        "model_config": pydantic.ConfigDict(extra="forbid"),
        "__module__": model.__module__,
        "__doc__": model.__doc__,
    }
    bases = (RunInput, model)
    return types.new_class(model.__name__, bases, exec_body=lambda space: space.update(body))


def send_input(
    run_input: Any,
    flow_run_id: UUID | str,
    sender: str | None = None,
    key_prefix: str | None = None,
) -> Any:
    """Send something to a flow run, which receives it by `receive_input`.

    Parameters:
        run_input: what: a `RunInput`, a pydantic model, or any value that JSON has a form for.
        flow_run_id: to whom.
        sender: who sends; this code's flow run, as `penstock.flow-run.ID`, unless given.
        key_prefix: what the key begins with; `<type's name>-auto` unless given.

    Returns:
        Nothing; in async code an awaitable of it.

    Raises:
        ObjectNotFound: there is no such flow run.
        ValueError: `flow_run_id` is no id, or the prefix has other characters than keys have.
        TypeError: it cannot be an input.

    Example:
        >>> send_input("hello", flow_run_id=run.id)  # doctest: +SKIP
    """
    if isinstance(run_input, RunInput):
        return run_input.send_to(flow_run_id, sender, key_prefix)
    kind = cast("Any", run_input_subclass_from_type(type(run_input)))
    if isinstance(run_input, pydantic.BaseModel):
        made = kind.model_validate(run_input.model_dump(by_alias=True))
    else:
        made = kind(value=run_input)
    return made.send_to(flow_run_id, sender, key_prefix)


def receive_input(
    input_type: Any,
    timeout: float | None = 3600,
    poll_interval: float = 10,
    raise_timeout_error: bool = False,  # noqa: FBT001, FBT002 - as programs give it
    exclude_keys: Iterable[str] | None = None,
    key_prefix: str | None = None,
    flow_run_id: UUID | str | None = None,
    with_metadata: bool = False,  # noqa: FBT001, FBT002
) -> Receiver[Any]:
    """Receive what is sent to a flow run by `send_input`, each once, as it comes.

    Parameters:
        input_type: a `RunInput`, a pydantic model, or any type.
        timeout: for how many seconds the next one is waited for; None for ever.
        poll_interval: how often it looks at least, in seconds; it notices what is sent within a
            tenth of a second, whatever this is.
        raise_timeout_error: raise TimeoutError when none has come in time; else it just ends.
        exclude_keys: inputs with these keys are left out.
        key_prefix: what their keys begin with; `<type's name>-auto` unless given.
        flow_run_id: whose inputs; those of the run that this code is in unless given.
        with_metadata: give inputs of plain types as objects with `value` and `metadata`; a
            `RunInput` has its `metadata` in any case.

    Returns:
        An iterator, for `for` or `async for`; its `next()` gives one, and always raises
        TimeoutError when none has come in time.

    Raises:
        RuntimeError: no run is given, and this is not in one.
        TypeError: nothing of this type can be an input.

    Example:
        >>> @flow
        ... def greeter():
        ...     for name in receive_input(str, timeout=60):
        ...         print("Hello", name)
    """
    kind = run_input_subclass_from_type(input_type)
    load = kind.load_from_flow_run_input
    return _receiver(
        kind,
        load if with_metadata else lambda found: given(load(found)),
        ensure_flow_run_id(flow_run_id),
        key_prefix,
        timeout=timeout,
        poll_interval=poll_interval,
        raise_timeout_error=raise_timeout_error,
        exclude_keys=exclude_keys or (),
    )
