"""Where files were before the code of a flow moved."""

from __future__ import annotations

from pathlib import Path

import pytest

from penstock.engine.relocating import Relocation


@pytest.mark.parametrize(
    ("former", "present", "path", "wanted"),
    [
        ("/v1/etl/flow.py", "/v2/etl/flow.py", "/v2/etl/flow.py", "/v1/etl/flow.py"),
        ("/v1/etl/flow.py", "/v2/etl/flow.py", "/v2/lib/load.py", "/v1/lib/load.py"),
        ("/v1/etl/flow.py", "/v2/etl/flow.py", "/usr/lib/site.py", None),
        ("/v1/flow.py", "/v1/flows.py", "/v1/flows.py", "/v1/flow.py"),
        ("/v1/flow.py", "/v1/flows.py", "/v1/load.py", None),
        ("/v1/flow.py", "/v2/flows.py", "/v2/load.py", "/v1/load.py"),
        ("/etl/flow.py", "/srv/etl/flow.py", "/srv/etl/load.py", "/etl/load.py"),
        ("/srv/etl/flow.py", "/etl/flow.py", "/etl/load.py", "/srv/etl/load.py"),
    ],
)
def test_where_a_file_was(former, present, path, wanted):
    relocation = Relocation(Path(former), Path(present), [])

    found = relocation.former_path(Path(path))

    assert found == (None if wanted is None else Path(wanted))
