"""What is said of a flow run that was taken away from this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.exceptions import StoreError
from penstock.store import statements as sql
from penstock.store.lease import title_of

if TYPE_CHECKING:
    from penstock.store import Fence, Store


def who_has(store: Store, fence: Fence) -> str:
    """Say who has a flow run now, or what became of it; nothing where that cannot be told."""
    try:
        rows = store.read(sql.READ_LEASE, (fence.flow_run_id,))
    except StoreError:
        return ""
    if not rows:
        return "Its record is gone."
    owner, _token, _expires, state_type = rows[0]
    if owner is not None:
        return f"It is executed by {title_of(owner)} now."
    return f"It is {str(state_type).capitalize()} now, as this process was taken for dead."
