"""What a command says of the settings before it begins."""

from __future__ import annotations

import warnings

from penstock.cli.failing import warn
from penstock.settings import get_current_settings


def report_settings() -> None:
    """Read the settings, and say in a line each what in them has no effect.

    Raises:
        InvalidSettingError, MissingProfileError: a value is wrong.
    """
    with warnings.catch_warnings(record=True) as notices:
        warnings.simplefilter("always")
        get_current_settings()
    for notice in notices:
        warn(f"Warning: {notice.message}")
