"""Types of fields whose values are never printed, and yet saved and loaded."""

from __future__ import annotations

from typing import Any

from pydantic import Secret as PydanticSecret

MASK = "**********"


class SecretDict(PydanticSecret[dict[str, Any]]):
    """A dict whose values are shown as asterisks.

    Example:
        >>> from penstock.blocks import Block, SecretDict
        >>> class Login(Block):
        ...     settings: SecretDict
        >>> login = Login(settings={"password": "hunter2"})
        >>> login
        Login(settings=SecretDict({'password': '**********'}))
        >>> login.settings.get_secret_value()["password"]
        'hunter2'
    """

    def _display(self) -> str:
        return str(dict.fromkeys(self.get_secret_value(), MASK))

    def __repr__(self) -> str:
        return f"SecretDict({self._display()})"
