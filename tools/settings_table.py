"""Write into docs/settings.md what the settings themselves say: `python -m tools.settings_table`.

That is the table, and the first line of each entry; tests/test_docs.py says when it has to be.
"""

from __future__ import annotations

import re
from pathlib import Path

from tools.site_pages import TABLE_BEGINS, TABLE_ENDS, setting_line, settings_table

from penstock.settings import SETTINGS

PAGE = Path(__file__).parents[1] / "docs" / "settings.md"


def renewed(text: str) -> str:
    """Give the text of the page with what is made of the settings as it is now."""
    before, _, rest = text.partition(TABLE_BEGINS)
    _, _, after = rest.partition(TABLE_ENDS)
    text = f"{before}{TABLE_BEGINS}\n\n{settings_table()}\n\n{TABLE_ENDS}{after}"
    for name, setting in SETTINGS.items():
        entry = re.compile(rf"(?<=^### {name}\n\n)Takes .*$", re.MULTILINE)
        text = entry.sub(setting_line(setting).replace("\\", r"\\"), text)
    return text


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
