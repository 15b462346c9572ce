"""Ready-made blocks: a JSON value, a text, a time, a secret."""

from __future__ import annotations

from datetime import datetime  # noqa: TC003 - pydantic reads the annotation when it runs
from typing import Any, ClassVar

from pydantic import SecretStr  # noqa: TC002 - the same

from penstock.blocks.core import Block


class JSON(Block):
    """Any value that JSON can hold.

    Parameters:
        value: the value.

    Example:
        >>> JSON(value={"rows": [1, 2]}).value["rows"]
        [1, 2]
    """

    _block_type_name: ClassVar[str | None] = "JSON"
    _block_type_slug: ClassVar[str | None] = "json"

    value: Any


class String(Block):
    """A text.

    Parameters:
        value: the text.
    """

    _block_type_name: ClassVar[str | None] = "String"
    _block_type_slug: ClassVar[str | None] = "string"

    value: str


class DateTime(Block):
    """A date and time.

    Parameters:
        value: the time, or its ISO 8601 text.
    """

    _block_type_name: ClassVar[str | None] = "Date Time"
    _block_type_slug: ClassVar[str | None] = "date-time"

    value: datetime


class Secret(Block):
    """A text that is never printed.

    Parameters:
        value: the secret.

    Example:
        >>> secret = Secret(value="hunter2")
        >>> print(secret)
        value=SecretStr('**********')
        >>> secret.get()
        'hunter2'
    """

    _block_type_name: ClassVar[str | None] = "Secret"
    _block_type_slug: ClassVar[str | None] = "secret"

    value: SecretStr

    def get(self) -> str:
        """Give the secret."""
        return self.value.get_secret_value()
