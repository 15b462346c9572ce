"""What griffe is told while it reads the docstrings for the site.

Named in mkdocs.yml. griffe knows the section of examples by its plural; `Example:` it takes for a
paragraph, in which `>>>` would be a quotation. Numbers of sections are left out: readers of the
site do not have what they number.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from griffe import Extension

if TYPE_CHECKING:
    from griffe import Object

EXAMPLE = re.compile(r"^Example:$", re.MULTILINE)
# Where a docstring says which section of the specification it follows, for who works on penstock.
SECTION = re.compile(r" \((?:sections? )?\d+(?:\.\d+)*(?:(?:,| and) \d+(?:\.\d+)*)*\)(?=\.)")


class Plural(Extension):
    """Call the section of an example as griffe does."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Change the docstring of what was read."""
        if obj.docstring is not None:
            text = EXAMPLE.sub("Examples:", obj.docstring.value)
            obj.docstring.value = SECTION.sub("", text)
