"""What runs give, and where it is kept: in the run's row, in result storage, or in memory.

Reading this room: `objects` are the result objects a state holds, `factory` chooses between them,
`persisted` and `storage` are results in files, `recording` reads rows, `pickling` measures, writes
and reads pickled forms, `scripts` knows a script's several names, `fingerprint` sums inputs up.
"""

from __future__ import annotations

from penstock.results.factory import INLINE_LIMIT_BYTES, ResultFactory
from penstock.results.fingerprint import (
    fingerprint,
    fingerprint_and_objects,
    have_same_inputs,
)
from penstock.results.objects import (
    BaseResult,
    InlineResult,
    LiteralResult,
    UnknownResult,
    UnpersistedResult,
)
from penstock.results.persisted import PersistedResult, PersistedResultBlob
from penstock.results.recording import from_record
from penstock.results.scripts import register_script_module, script_module_name
from penstock.results.storage import (
    LocalFolder,
    Storage,
    check_storage_option,
    resolve_storage,
    set_block_loader,
)

__all__ = [
    "INLINE_LIMIT_BYTES",
    "BaseResult",
    "InlineResult",
    "LiteralResult",
    "LocalFolder",
    "PersistedResult",
    "PersistedResultBlob",
    "ResultFactory",
    "Storage",
    "UnknownResult",
    "UnpersistedResult",
    "check_storage_option",
    "fingerprint",
    "fingerprint_and_objects",
    "from_record",
    "have_same_inputs",
    "register_script_module",
    "resolve_storage",
    "script_module_name",
    "set_block_loader",
]
