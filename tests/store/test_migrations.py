"""The three ways to the schema lead to the same one, and an old store can be brought to it."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from importlib import resources

import pytest

from penstock.exceptions import StoreError, StoreLocked, StoreTooNew, StoreUnusable
from penstock.store import Store
from penstock.store.revisions import KNOWN_REVISIONS, SCHEMA_REVISION
from penstock.store.upgrade import current_revision, migrate, upgrade


def url_of(path):
    return f"sqlite:///{path}"


def shape(connection):
    """Describe all tables and indexes of a database, however their SQL was written."""
    tables = {}
    listed = "select name, wr, strict from pragma_table_list where name not like 'sqlite_%'"
    for name, *options in connection.execute(listed):
        columns = [
            (column, kind.lower(), not_null, default, key)
            for _, column, kind, not_null, default, key, _ in connection.execute(
                f"pragma table_xinfo({name})"
            )
        ]
        tables[name] = (options, columns, sorted(indexes(connection, name)))
    return tables


def indexes(connection, table):
    for _, name, unique, origin, partial in connection.execute(f"pragma index_list({table})"):
        columns = [row[2] for row in connection.execute(f"pragma index_xinfo({name})") if row[5]]
        made = "select sql from sqlite_master where name = ? and sql is not null"
        # Those that stand for a constraint have no SQL of their own, and a name that says nothing.
        (sql,) = connection.execute(made, (name,)).fetchone() or ("",)
        where = re.split(r"\bwhere\b", sql, flags=re.IGNORECASE)[1:]
        condition = " ".join("".join(where).lower().split())
        yield (name if sql else "", unique, origin, partial, columns, condition)


def shape_of(path):
    with closing(sqlite3.connect(path)) as connection:
        return shape(connection)


def content(path):
    with closing(sqlite3.connect(path)) as connection:
        return list(connection.iterdump())


def set_revision(path, revision):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("update alembic_version set version_num = ?", (revision,))
        connection.commit()


@pytest.fixture
def script_shape():
    """The shape of `schema.sql`."""
    script = resources.files("penstock.store").joinpath("schema.sql").read_text("utf-8")
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(script)
        return shape(connection)


# -- one schema ----------------------------------------------------------------------------------


def test_the_migrations_lead_to_the_schema_of_the_script(tmp_path, script_shape):
    migrate(tmp_path / "migrated.db")

    found = shape_of(tmp_path / "migrated.db")
    assert found.pop("alembic_version")[1] == script_shape.pop("alembic_version")[1]
    assert found == script_shape


def test_the_tables_of_searches_are_those_of_the_script(tmp_path, script_shape):
    from sqlalchemy import create_engine

    from penstock.store.schema import metadata

    engine = create_engine(url_of(tmp_path / "tables.db"))
    metadata.create_all(engine)
    engine.dispose()

    del script_shape["alembic_version"]
    assert shape_of(tmp_path / "tables.db") == script_shape


def test_alembic_sees_no_difference_from_the_tables(tmp_path):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from sqlalchemy import create_engine

    from penstock.store.schema import metadata

    migrate(tmp_path / "migrated.db")
    engine = create_engine(url_of(tmp_path / "migrated.db"))
    with engine.connect() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    engine.dispose()

    assert differences == []


def test_a_new_store_is_at_the_last_revision(tmp_path, script_shape):
    Store(url_of(tmp_path / "new.db")).close()

    assert shape_of(tmp_path / "new.db") == script_shape
    assert current_revision(url_of(tmp_path / "new.db")) == SCHEMA_REVISION


def test_each_known_revision_has_its_migration(tmp_path):
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from penstock.store.migrating import MIGRATIONS

    config = Config()
    config.set_main_option("script_location", MIGRATIONS)
    steps = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]

    assert tuple(reversed(steps)) == KNOWN_REVISIONS
    assert KNOWN_REVISIONS[-1] == SCHEMA_REVISION


# -- the present revision -------------------------------------------------------------------------


def test_there_is_no_revision_where_there_is_no_store(tmp_path):
    assert current_revision(url_of(tmp_path / "none.db")) is None
    assert not (tmp_path / "none.db").exists()


def test_an_empty_file_has_no_revision(tmp_path):
    (tmp_path / "empty.db").touch()

    assert current_revision(url_of(tmp_path / "empty.db")) is None


def test_what_is_no_database_is_said_to_be_none(tmp_path):
    (tmp_path / "letter.db").write_text("Dear all, " * 500)

    with pytest.raises(StoreUnusable, match="not a SQLite database"):
        current_revision(url_of(tmp_path / "letter.db"))


def test_a_url_of_another_kind_is_refused():
    with pytest.raises(StoreError, match="not understood"):
        current_revision("mysql://localhost/penstock")


# -- upgrading ------------------------------------------------------------------------------------


def test_upgrading_makes_a_new_store_where_there_is_none(tmp_path, script_shape):
    path = tmp_path / "deep" / "new.db"

    assert upgrade(url_of(path)) == (None, SCHEMA_REVISION)
    assert shape_of(path) == script_shape


def test_upgrading_what_is_up_to_date_changes_nothing(tmp_path):
    path = tmp_path / "store.db"
    upgrade(url_of(path))
    before = content(path)

    assert upgrade(url_of(path)) == (SCHEMA_REVISION, SCHEMA_REVISION)
    assert content(path) == before


def test_migrating_again_changes_nothing(tmp_path):
    migrate(tmp_path / "store.db")
    before = content(tmp_path / "store.db")

    migrate(tmp_path / "store.db")

    assert content(tmp_path / "store.db") == before


def test_a_store_of_a_newer_penstock_is_left_as_it_is(tmp_path):
    path = tmp_path / "store.db"
    upgrade(url_of(path))
    set_revision(path, "9999")
    before = path.read_bytes()

    with pytest.raises(StoreTooNew, match=r"9999.*newer"):
        upgrade(url_of(path))

    assert path.read_bytes() == before
    assert current_revision(url_of(path)) == "9999"


def test_a_database_of_another_program_is_left_as_it_is(tmp_path):
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("create table song (title text)")

    with pytest.raises(StoreUnusable, match="another program"):
        upgrade(url_of(path))

    assert content(path) == ["BEGIN TRANSACTION;", "CREATE TABLE song (title text);", "COMMIT;"]


def test_a_store_that_is_kept_busy_is_said_to_be_locked(tmp_path):
    path = tmp_path / "store.db"
    migrate(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")

        with pytest.raises(StoreLocked, match=r"busy .* 0\.05 s"):
            migrate(path, busy_timeout_s=0.05)


def test_a_migration_that_breaks_leaves_nothing_behind(tmp_path):
    path = tmp_path / "store.db"
    with closing(sqlite3.connect(path)) as connection:
        # In the way of the last table that the first migration makes.
        connection.execute("create table block_document (id integer)")
    before = content(path)

    with pytest.raises(StoreError, match="block_document"):
        migrate(path)

    assert content(path) == before


CODE = """
import sys, json
from pathlib import Path
from penstock.store import upgrade
path = Path(sys.argv[2])
sys.stdin.readline()
print(json.dumps(getattr(upgrade, sys.argv[1])(path if sys.argv[1] == "migrate" else f"sqlite:///{path}")))
"""


@pytest.mark.parametrize("function", ["migrate", "upgrade"])
def test_two_processes_may_upgrade_at_once(tmp_path, script_shape, function):
    path = tmp_path / "store.db"
    processes = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CODE, function, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    answers = [process.communicate(timeout=60) for process in processes]

    assert [process.returncode for process in processes] == [0, 0], answers
    if function == "upgrade":
        assert all(json.loads(out)[1] == SCHEMA_REVISION for out, _ in answers)
    assert set(shape_of(path)) == set(script_shape)
    assert current_revision(url_of(path)) == SCHEMA_REVISION
    Store(url_of(path)).close()


def test_opening_a_store_loads_no_sql_toolkit(tmp_path):
    code = (
        "import sys; from penstock.store.upgrade import upgrade;"
        f" upgrade({url_of(tmp_path / 'store.db')!r});"
        " print([name for name in ('sqlalchemy', 'alembic') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert done.stdout.strip() == "[]"
