"""Running the migrations on a connection of either database, in one transaction of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MIGRATIONS = "penstock.store:migrations"


def run_migrations(
    kind: str,
    connect: Callable[[], Any],
    begin: str,
    back_to: str | None = None,
    check: Callable[[Callable[[str], list[Any]]], None] | None = None,
) -> None:
    """Bring a database to the last revision, or back to an older one.

    Parameters:
        kind: the beginning of the URL by which SQLAlchemy knows the database.
        connect: makes the connection.
        begin: what takes the lock that keeps others from doing the same at once.
        back_to: the older revision; none for the last one.
        check: called with what runs a query, once nobody else writes; raises to refuse.

    Raises:
        Exception: what the database's own driver raises.
    """
    # SQLAlchemy and Alembic take a third of a second to import and are needed here only.
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import Connection, NullPool, create_engine, event
    from sqlalchemy.exc import DBAPIError

    def enter(connection: Connection) -> None:
        # At once as a writer: of two processes, the second waits and then finds nothing to do.
        connection.exec_driver_sql(begin)

    engine = create_engine(kind, creator=connect, poolclass=NullPool)
    event.listen(engine, "begin", enter)
    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    try:
        with engine.begin() as connection:
            config.attributes["connection"] = connection
            if check is not None:
                check(lambda query: [tuple(row) for row in connection.exec_driver_sql(query)])
            if back_to is None:
                command.upgrade(config, "head")
            else:
                command.downgrade(config, back_to)
    except DBAPIError as error:
        if error.orig is not None:
            raise error.orig from error
        raise
