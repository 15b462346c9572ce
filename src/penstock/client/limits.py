"""The client's methods for concurrency limits: those of tags, and named ones."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from penstock.client.base import ClientMethods
from penstock.store.limits import TAG, Limit, SlotUse


class ConcurrencyLimit(msgspec.Struct, kw_only=True):
    """How many task runs with a tag may be executed at once.

    `active_slots` says who is executed, `waiting` who waits, in the order of their turn.
    """

    id: UUID
    tag: str
    concurrency_limit: int
    active_slots: list[SlotUse]
    waiting: list[SlotUse]


class GlobalConcurrencyLimit(msgspec.Struct, kw_only=True):
    """How often something named may be done at once, or how fast.

    `active_slots` is how many slots are taken, with those that a rate limit has given and that are
    not free again yet; `holders` and `waiting` say by whom, and who waits for them.
    """

    id: UUID
    name: str
    limit: int
    active: bool
    active_slots: float
    slot_decay_per_second: float
    holders: list[SlotUse]
    waiting: list[SlotUse]


class LimitMethods(ClientMethods):
    """Concurrency limits."""

    # -- of tags ------------------------------------------------------------------------------

    def create_concurrency_limit(self, tag: str, concurrency_limit: int) -> UUID:
        """Limit how many task runs with a tag may be executed at once; change it if it is limited.

        Parameters:
            tag: the tag.
            concurrency_limit: how many; with 0 none may start.

        Returns:
            The limit's id.

        Raises:
            ValueError: there cannot be so many.
        """
        return self._port.set_limit(TAG + tag, concurrency_limit).id

    def read_concurrency_limit_by_tag(self, tag: str) -> ConcurrencyLimit:
        """Give the limit of a tag.

        Raises:
            ObjectNotFound: it has none.
        """
        return _of_tag(self._port.read_limit(TAG + tag))

    def read_concurrency_limits(
        self, limit: int | None = None, offset: int = 0
    ) -> list[ConcurrencyLimit]:
        """Give the limits of tags, by tag.

        Parameters:
            limit: the most to give; all unless given.
            offset: how many to leave out first.
        """
        found = [_of_tag(each) for each in self._port.find_limits() if _is_of_tag(each)]
        return _page(found, limit, offset)

    def reset_concurrency_limit_by_tag(self, tag: str) -> None:
        """Free all slots of a tag's limit, whoever has them: task runs go on all the same.

        Raises:
            ObjectNotFound: it has none.
        """
        self._port.reset_limit(TAG + tag)

    def delete_concurrency_limit_by_tag(self, tag: str) -> None:
        """Limit the task runs with a tag no more.

        Raises:
            ObjectNotFound: it has no limit.
        """
        self._port.delete_limit(TAG + tag)

    # -- named --------------------------------------------------------------------------------

    def create_global_concurrency_limit(
        self, name: str, limit: int, *, active: bool = True, slot_decay_per_second: float = 0.0
    ) -> UUID:
        """Set a limit for a name, as `concurrency` and `rate_limit` are given it.

        Parameters:
            name: the name.
            limit: how many slots there are.
            active: whether it limits anything.
            slot_decay_per_second: for `rate_limit`: how many slots become free again in a second.

        Returns:
            The limit's id.

        Raises:
            ObjectAlreadyExists: the name has a limit.
            ValueError: there cannot be so many, or the name begins with `tag:`.
        """
        _refuse_tag(name)
        changes = {"active": active, "slot_decay_per_second": slot_decay_per_second}
        return self._port.create_limit(name, limit, changes).id

    def read_global_concurrency_limit_by_name(self, name: str) -> GlobalConcurrencyLimit:
        """Give the limit of a name.

        Raises:
            ObjectNotFound: there is none.
        """
        return _named(self._port.read_limit(name))

    def read_global_concurrency_limits(
        self, limit: int | None = None, offset: int = 0
    ) -> list[GlobalConcurrencyLimit]:
        """Give the named limits, by name; with those that were only used, which are inactive.

        Parameters:
            limit: the most to give; all unless given.
            offset: how many to leave out first.
        """
        found = [_named(each) for each in self._port.find_limits() if not _is_of_tag(each)]
        return _page(found, limit, offset)

    def update_global_concurrency_limit(
        self,
        name: str,
        *,
        new_name: str | None = None,
        limit: int | None = None,
        active: bool | None = None,
        slot_decay_per_second: float | None = None,
    ) -> GlobalConcurrencyLimit:
        """Change a named limit; what is not given stays. Those who wait for it learn of it.

        Parameters:
            name: which.
            new_name: its name from now on.
            limit: how many slots there are.
            active: whether it limits anything.
            slot_decay_per_second: how many slots become free again in a second.

        Raises:
            ObjectNotFound: there is none.
            ObjectAlreadyExists: the new name has a limit already.
            ValueError: there cannot be so many.
        """
        _refuse_tag(new_name or name)
        given = {
            "name": new_name,
            "slots": limit,
            "active": active,
            "slot_decay_per_second": slot_decay_per_second,
        }
        changes: dict[str, Any] = {k: value for k, value in given.items() if value is not None}
        return _named(self._port.update_limit(name, changes))

    def delete_global_concurrency_limit_by_name(self, name: str) -> None:
        """Delete a named limit: it limits nothing any more, and who waits for it goes on.

        Raises:
            ObjectNotFound: there is none.
        """
        self._port.delete_limit(name)


def _is_of_tag(limit: Limit) -> bool:
    return limit.name.startswith(TAG)


def _of_tag(limit: Limit) -> ConcurrencyLimit:
    return ConcurrencyLimit(
        id=limit.id,
        tag=limit.name.removeprefix(TAG),
        concurrency_limit=limit.slots,
        active_slots=limit.holders,
        waiting=limit.waiting,
    )


def _named(limit: Limit) -> GlobalConcurrencyLimit:
    return GlobalConcurrencyLimit(
        id=limit.id,
        name=limit.name,
        limit=limit.slots,
        active=limit.active,
        active_slots=limit.taken,
        slot_decay_per_second=limit.slot_decay_per_second,
        holders=limit.holders,
        waiting=limit.waiting,
    )


def _page(found: list[Any], limit: int | None, offset: int) -> list[Any]:
    return found[offset : None if limit is None else offset + limit]


def _refuse_tag(name: str) -> None:
    if name.startswith(TAG):
        message = (
            f"{name!r} would be the limit of a tag: use create_concurrency_limit for that, or"
            f" choose a name that does not begin with {TAG!r}."
        )
        raise ValueError(message)
