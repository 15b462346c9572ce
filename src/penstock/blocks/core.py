"""The base of blocks: pydantic models that are saved and loaded by name."""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
import sys
import uuid
from typing import Any, ClassVar, Self, cast, get_args

import pydantic
from pydantic import BaseModel, ConfigDict, PrivateAttr, SecretBytes, SecretStr
from pydantic_core import to_json

from penstock.blocks import documents
from penstock.blocks.documents import BlockDocument
from penstock.client.awaiting import here_or_awaitable

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_ANONYMOUS = "anonymous-"

_types: dict[str, type[Block]] = {}

_READY_MADE = {
    **dict.fromkeys(("json", "string", "date-time", "secret"), "penstock.blocks.system"),
    **dict.fromkeys(("local-file-system", "remote-file-system"), "penstock.filesystems"),
    **dict.fromkeys(("s3", "gcs", "azure", "smb"), "penstock.filesystems.clouds"),
    "github": "penstock.filesystems.github",
}
"""Which module to import for a type of penstock that nobody has imported yet."""


class Block(BaseModel):
    """A typed document: its fields are checked, and it can be saved and loaded by name.

    A subclass's slug is its name in lower case; `_block_type_slug` or `_block_type_name` set
    another. Fields of type `SecretStr` and `SecretDict` are never printed, and are saved as they
    were given: the store's file is only readable by its owner.

    Raises:
        pydantic.ValidationError: a field has a wrong value; the message does not repeat it.
        TypeError: a subclass has a field, default or validator from `pydantic.v1`.

    Example:
        >>> class Mail(Block):
        ...     host: str
        ...     port: int = 25
        >>> Mail(host="localhost").save("office")  # doctest: +SKIP
        >>> Mail.load("office").port  # doctest: +SKIP
        25
    """

    model_config = ConfigDict(
        extra="forbid",
        hide_input_in_errors=True,  # an error must not print a secret that was given wrongly
        ser_json_bytes="base64",
        val_json_bytes="base64",
    )

    _block_type_name: ClassVar[str | None] = None
    _block_type_slug: ClassVar[str | None] = None

    _block_document_id: uuid.UUID | None = PrivateAttr(default=None)
    _block_document_name: str | None = PrivateAttr(default=None)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Refuse what is of pydantic 1, which blocks of Prefect 2 are made of."""
        super().__init_subclass__(**kwargs)
        if "pydantic.v1" in sys.modules:
            _refuse_pydantic_1(cls)

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Enter the type into the registry, so that `Block.load` knows it."""
        super().__pydantic_init_subclass__(**kwargs)
        if not inspect.isabstract(cls):
            _types[cls.get_block_type_slug()] = cls

    @classmethod
    def get_block_type_name(cls) -> str:
        """Give the type's name, for people."""
        return _own_text(cls, "_block_type_name") or cls.__name__

    @classmethod
    def get_block_type_slug(cls) -> str:
        """Give the type's slug, as in `type-slug/name`."""
        given = _own_text(cls, "_block_type_slug")
        return given or "-".join(re.findall(r"[a-z0-9]+", cls.get_block_type_name().lower()))

    @property
    def block_document_id(self) -> uuid.UUID | None:
        """The id under which it was saved, if it was."""
        return self._block_document_id

    @property
    def block_document_name(self) -> str | None:
        """The name under which it was saved, if it was."""
        return self._block_document_name

    def save(self, name: str, overwrite: bool = False) -> Any:  # noqa: FBT001, FBT002
        """Save the block.

        Parameters:
            name: lower-case letters, digits and dashes.
            overwrite: replace the one that is saved under the name.

        Returns:
            The document's id; in async code an awaitable of it.

        Raises:
            ValueError: the name is taken and `overwrite` is false, or is no such name.
        """
        if not _NAME.fullmatch(name) or name.startswith(_ANONYMOUS):
            raise ValueError(
                f"{name!r} cannot be a block's name. Use lower-case letters, digits and dashes"
                f" between them, and nothing that starts with {_ANONYMOUS!r}: 'my-results'."
            )
        return here_or_awaitable(lambda: self._save_now(name, overwrite=overwrite))

    def _save_now(self, name: str, *, overwrite: bool) -> uuid.UUID:
        slug = self.get_block_type_slug()
        document = BlockDocument(slug, name, self._document_data())
        stored = documents.write_block_document(document, overwrite=overwrite)
        if stored.id != document.id and not overwrite:
            raise ValueError(
                f"A block {slug}/{name} is saved already. Choose another name, or replace it by"
                f" .save({name!r}, overwrite=True)."
            )
        return self._remember(stored)

    @classmethod
    def load(cls, name: str) -> Any:
        """Load a saved block.

        Parameters:
            name: `type-slug/name`; of a subclass, the name alone will do.

        Returns:
            The block; in async code an awaitable of it.

        Raises:
            ValueError: none is saved under the name, or its type is not known here, or what is
                saved does not fit the type.
        """
        return here_or_awaitable(lambda: cls._load_now(name))

    @classmethod
    def _load_now(cls, name: str) -> Self:
        slug, slash, rest = name.partition("/")
        if not slash:
            if cls is Block:
                raise ValueError(f"{name!r} lacks a type. Give 'type-slug/name': 'secret/{name}'.")
            slug, rest = cls.get_block_type_slug(), name
        kind = _find_type(slug) if cls is Block else cls
        if slug != kind.get_block_type_slug():
            raise ValueError(
                f"{name!r} is no {kind.__name__}: its type is {slug!r}, not"
                f" {kind.get_block_type_slug()!r}. Load it by Block.load({name!r})."
            )
        document = documents.read_block_document(slug, rest)
        if document is None:
            raise ValueError(
                f"No block is saved as {slug}/{rest}.{_suggestion(f'{slug}/{rest}')} Save one by"
                f" {kind.__name__}(...).save({rest!r})."
            )
        return cast("Self", kind._from_document(document))  # noqa: SLF001 - its own class

    @classmethod
    def delete(cls, name: str) -> Any:
        """Delete a saved block.

        Parameters:
            name: as for `load`.

        Returns:
            Nothing; in async code an awaitable of it.

        Raises:
            ValueError: none is saved under the name.
        """
        return here_or_awaitable(lambda: cls._delete_now(name))

    @classmethod
    def _delete_now(cls, name: str) -> None:
        block = cls._load_now(name)
        documents.delete_block_document(
            block.get_block_type_slug(), cast("str", block.block_document_name)
        )

    def storage_descriptor(self) -> dict[str, str]:
        """Say how a result's record names this block: by the name it is saved under.

        One without a name is saved under a random one first, so that another process finds it.
        """
        if self._block_document_name is None:
            slug, data = self.get_block_type_slug(), self._document_data()
            stored = documents.find_anonymous_block_document(slug, data)
            if stored is None:
                document = BlockDocument(slug, f"{_ANONYMOUS}{uuid.uuid4()}", data)
                stored = documents.write_block_document(document)
            self._remember(stored)
        return {
            "kind": "block",
            "block": f"{self.get_block_type_slug()}/{self._block_document_name}",
        }

    def _remember(self, document: BlockDocument) -> uuid.UUID:
        self._block_document_id = document.id
        self._block_document_name = document.name
        return document.id

    def _document_data(self) -> str:
        """Give the fields as JSON, secrets in the clear."""
        return to_json(_in_the_clear(self.model_dump()), bytes_mode="base64").decode()

    @classmethod
    def _from_document(cls, document: BlockDocument) -> Self:
        try:
            block = cls.model_validate_json(document.data)
        except pydantic.ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
            )
            raise ValueError(
                f"The saved block {document.type_slug}/{document.name} does not fit"
                f" {cls.__name__} as it is now ({problems}). Save it again with overwrite=True."
            ) from error
        block._remember(document)  # noqa: SLF001 - its own class
        return block


def _own_text(kind: type[Block], name: str) -> str | None:
    """Give what a class itself says, not its bases.

    Written with an annotation other than ClassVar, it is a private attribute to pydantic.
    """
    given: Any = kind.__dict__.get(name)
    if given is None and (private := kind.__private_attributes__.get(name)) is not None:
        bases = [base for base in kind.__mro__[1:] if issubclass(base, Block)]
        is_own = all(base.__private_attributes__.get(name) is not private for base in bases)
        given = private.default if is_own else None
    return given


def _in_the_clear(value: Any) -> Any:
    """Give `value` with the secrets in it as they were given: JSON would have them masked."""
    if isinstance(value, (SecretStr, SecretBytes, pydantic.Secret)):
        return _in_the_clear(cast("Any", value).get_secret_value())
    if isinstance(value, dict):
        pairs = cast("dict[Any, Any]", value).items()
        return {key: _in_the_clear(item) for key, item in pairs}
    if isinstance(value, list | tuple | set | frozenset):
        return [_in_the_clear(item) for item in cast("list[Any]", value)]
    return value


def _find_type(slug: str) -> type[Block]:
    if slug not in _types and slug in _READY_MADE:
        importlib.import_module(_READY_MADE[slug])
    try:
        return _types[slug]
    except KeyError:
        known = {*_types, *_READY_MADE}
        close = difflib.get_close_matches(slug, known, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise ValueError(
            f"There is no block type {slug!r}.{hint} A type of your own is known once the module"
            f" with its class has been imported; known are: {', '.join(sorted(known))}."
        ) from None


def _suggestion(wanted: str) -> str:
    names = documents.list_block_names()
    close = difflib.get_close_matches(wanted, names, n=1)
    if close:
        return f" Did you mean {close[0]!r}?"
    return f" Saved are: {', '.join(names)}." if names else " Nothing is saved so far."


def _refuse_pydantic_1(kind: type[Block]) -> None:
    """Say what to import instead; else its fields would be values, its validators never called."""
    try:
        annotations = inspect.get_annotations(kind, eval_str=True)
    except Exception:  # noqa: BLE001 - names that are defined later; pydantic complains of others
        annotations = inspect.get_annotations(kind)
    for name, value in (*annotations.items(), *vars(kind).items()):
        if _is_of_pydantic_1(value):
            raise TypeError(
                f"{kind.__name__}.{name} is made with pydantic.v1. Blocks are models of pydantic"
                " 2: import types, Field and PrivateAttr from pydantic, and write validators with"
                " pydantic.field_validator or model_validator."
            )


def _is_of_pydantic_1(value: Any) -> bool:
    if any(hasattr(value, f"__{kind}_config__") for kind in ("validator", "root_validator")):
        return True
    made_of = value if isinstance(value, type) else type(value)
    return made_of.__module__.startswith("pydantic.v1") or any(
        _is_of_pydantic_1(each) for each in get_args(value)
    )
