"""What Alembic runs around the migrations; `penstock.store.upgrade` hands it the connection.

There is no alembic.ini. The transaction, and with it the lock, is the caller's: several migrations
are made whole or not at all.
"""

from __future__ import annotations

from alembic import context

from penstock.store.schema import metadata

if hasattr(context, "config"):  # only Alembic sets it; anybody else just reads this file
    context.configure(
        connection=context.config.attributes["connection"],
        target_metadata=metadata,
        render_as_batch=True,
        transactional_ddl=True,
    )
    with context.begin_transaction():
        context.run_migrations()
