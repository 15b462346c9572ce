"""Block documents in the record store: one row each, known by type slug and name.

The data is JSON and holds secrets as they were given: the store's file is only readable by its
owner. Somebody who can read that file can read the secrets.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from penstock import clock
from penstock.ids import id_from_bytes, new_id
from penstock.store import get_store

# One block by its type and name.
READ_BLOCK_DOCUMENT = """select id, type_slug, name, data, created, updated from block_document
where type_slug = ? and name = ?"""

# A block of these very values that was saved without a name, so that it is not saved again.
FIND_ANONYMOUS_BLOCK_DOCUMENT = """select id, type_slug, name, data, created, updated
from block_document where type_slug = ? and data = ? and name like 'anonymous-%' limit 1"""

# A block's names, for saying what there is.
LIST_BLOCK_DOCUMENTS = """select type_slug, name from block_document
where name not like 'anonymous-%' order by type_slug, name limit ?"""

# A new block; no row where the name is taken.
INSERT_BLOCK_DOCUMENT = """insert into block_document
(id, type_slug, name, data, created, updated) values (?, ?, ?, ?, ?, ?)
on conflict (type_slug, name) do nothing"""

# A block, in the place of the one of its name.
UPSERT_BLOCK_DOCUMENT = """insert into block_document
(id, type_slug, name, data, created, updated) values (?, ?, ?, ?, ?, ?)
on conflict (type_slug, name) do update set data = excluded.data, updated = excluded.updated"""

# Forget a block.
DELETE_BLOCK_DOCUMENT = "delete from block_document where type_slug = ? and name = ?"

_LISTED = 50
"""How many saved blocks an error message names at most."""


class BlockDocument(msgspec.Struct):
    """A saved block.

    Attributes:
        type_slug: The slug of its type.
        name: Its name; there is one of a name for each type.
        data: Its fields as JSON, secrets included.
        id: Made when it was first saved.
        created: Seconds since the epoch.
        updated: The same.
    """

    type_slug: str
    name: str
    data: str
    id: UUID = msgspec.field(default_factory=new_id)
    created: float = msgspec.field(default_factory=clock.epoch)
    updated: float = msgspec.field(default_factory=clock.epoch)

    def __repr__(self) -> str:
        """Leave the data out: it may hold secrets."""
        return f"BlockDocument({self.type_slug}/{self.name})"


def read_block_document(type_slug: str, name: str) -> BlockDocument | None:
    """Give the document of this type and name, if there is one."""
    rows = get_store().read(READ_BLOCK_DOCUMENT, (type_slug, name))
    return _from_row(rows[0]) if rows else None


def find_anonymous_block_document(type_slug: str, data: str) -> BlockDocument | None:
    """Give a document that was saved without a name and holds exactly this, if there is one."""
    rows = get_store().read(FIND_ANONYMOUS_BLOCK_DOCUMENT, (type_slug, data))
    return _from_row(rows[0]) if rows else None


def list_block_names() -> list[str]:
    """Give the saved blocks as `type-slug/name`, at most as many as a message can hold."""
    rows = get_store().read(LIST_BLOCK_DOCUMENTS, (_LISTED,))
    return [f"{type_slug}/{name}" for type_slug, name in rows]


def write_block_document(document: BlockDocument, *, overwrite: bool = False) -> BlockDocument:
    """Save a document.

    Parameters:
        document: what to save.
        overwrite: replace the data of the one that has the name; it keeps its id.

    Returns:
        The document as it is stored now. Where the name is taken and `overwrite` is false, it is
        the other's, with an id that differs.
    """
    statement = UPSERT_BLOCK_DOCUMENT if overwrite else INSERT_BLOCK_DOCUMENT
    get_store().write(
        statement,
        (
            document.id.bytes,
            document.type_slug,
            document.name,
            document.data,
            document.created,
            document.updated,
        ),
    )
    return read_block_document(document.type_slug, document.name) or document


def delete_block_document(type_slug: str, name: str) -> None:
    """Forget a document; there need not be one."""
    get_store().write(DELETE_BLOCK_DOCUMENT, (type_slug, name))


def _from_row(row: tuple[Any, ...]) -> BlockDocument:
    return BlockDocument(
        id=id_from_bytes(row[0]),
        type_slug=row[1],
        name=row[2],
        data=row[3],
        created=row[4],
        updated=row[5],
    )
