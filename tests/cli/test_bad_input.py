"""What every command says of what it cannot do: a line or two, never a traceback.

The commands are taken from the program itself: one that is new is tried, too.
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import stat

import pytest
import typer.main

from penstock.cli.app import app

USAGE = 2


def commands(group, path=""):
    found = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{path}{name} ")
        else:
            found[f"{path}{name}"] = command
    return found


COMMANDS = commands(typer.main.get_command(app))

ARGUMENTS = {
    "run": "shop.py:greet -p name=x",
    "new": "nightly",
    "flow-run delete": "monday --yes",
    "task-run inspect": "fetch-0 --run monday",
    "task-run result": "fetch-0 --run monday",
    "flow inspect": "report",
    "graph show": "drawn.py --run graphic",
    "db downgrade": "0001 --yes",
    "db reset": "--yes",
    "db backup": "copy.db",
    "config set": "TASK_DEFAULT_RETRIES=2",
    "config unset": "LOGGING_LEVEL",
    "profile create": "new",
    "profile inspect": "work",
    "profile rename": "work office",
    "profile use": "work",
    "profile delete": "work",
    "concurrency-limit create": "cpu 3",
    "concurrency-limit inspect": "gpu",
    "concurrency-limit reset": "gpu",
    "concurrency-limit delete": "gpu",
    "global-concurrency-limit create": "post --limit 3",
    "global-concurrency-limit inspect": "mail",
    "global-concurrency-limit update": "mail --limit 6",
    "global-concurrency-limit enable": "mail",
    "global-concurrency-limit disable": "mail",
    "global-concurrency-limit delete": "mail",
}
"""What the commands are given that take something other than a run."""

WITHOUT_STORE = {"new", "version", "db path"}
"""They neither read nor write a store; nor do those of `config` and `profile`."""


def takes_run(command):
    return any((each.metavar or "").startswith("RUN") for each in arguments_of(command))


def arguments_of(command):
    return [each for each in command.params if each.param_type_name == "argument"]


WITH_RUN = [name for name, command in COMMANDS.items() if takes_run(command)]
WITH_STORE = [
    name
    for name in COMMANDS
    if name not in WITHOUT_STORE and not name.startswith(("config", "profile"))
]


def given(name):
    usual = "monday" if name in WITH_RUN else ""
    return [*name.split(), *shlex.split(ARGUMENTS.get(name, usual))]


def assert_said(ended, *texts, code=USAGE):
    """It said in a line or two what was wrong, and printed nothing else."""
    assert (ended.code, ended.out) == (code, ""), ended.err
    assert ended.err.startswith("Error: "), ended.err
    assert 1 <= ended.err.rstrip("\n").count("\n") + 1 <= 2, ended.err
    assert "Traceback" not in ended.err
    assert "This is unexpected" not in ended.err
    assert "Errno" not in ended.err
    for text in texts:
        assert text in ended.err


# -- runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_RUN)
def test_a_run_that_there_is_not(shop, name):
    options = ["--yes"] if name == "flow-run delete" else []
    for wrong in ("nobody", "99999999-9999-7999-8999-999999999999", "ffff", "\x1b[31mred"):
        ended = shop(*name.split(), wrong, *options)

        assert_said(ended, f"There is no flow run {wrong!r} in the store", "penstock flow-run ls")


@pytest.mark.parametrize("name", WITH_RUN)
def test_a_beginning_that_several_runs_have(shop, name):
    ended = shop(*name.split(), "019c132c")

    assert_said(ended, "may be each of several flow runs: 019c132c", "(graphic)", "Give the id")


@pytest.mark.parametrize("name", WITH_RUN)
def test_an_argument_that_is_no_text(shop, name):
    ended = shop(*name.split(), "a\udcffb")

    assert_said(ended, r"'a\udcffb' is no text")


@pytest.mark.parametrize("name", ["task-run inspect", "task-run result"])
def test_a_task_run_that_there_is_not(shop, name):
    for wrong in ("nobody", "99999999-9999-7999-8999-999999999999"):
        assert_said(shop(*name.split(), wrong, "--run", "monday"), "no task run", "task-run ls")
    assert_said(shop(*name.split(), "fetch-0", "--run", "nobody"), "no flow run 'nobody'")
    assert_said(shop(*name.split(), "019c", "--run", "monday"), "may be each of several task runs")


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ("flow inspect nobody", ["no flow 'nobody'", "penstock flow ls"]),
        ("flow-run ls --flow nobody", ["no flow 'nobody'", "penstock flow ls"]),
        ("flow-run ls --state blue", ["no state 'blue'", "Completed"]),
        ("flow-run ls --since yesterday", ["neither an age nor a time", "2h"]),
        ("flow-run ls --after nobody", ["no flow run 'nobody'"]),
        ("flow-run logs monday --level loud", ["no level 'loud'", "warning"]),
        ("flow-run retry monday --from nobody", ["Its tasks are: fetch, measure"]),
        ("flow-run retry monday", ["has completed", "--from TASK"]),
        ("flow-run cancel monday", ["Completed already"]),
        ("flow-run pause monday", ["no process executes it"]),
        ("flow-run delete monday", ["--yes"]),
        ("flow-run resume waits --input 5", ["--input name=value"]),
        ("flow-run resume waits --input x=5", ["value (text)", "It stays paused"]),
        ("flow-run resume waits --input-json {", ["no JSON", "column 2"]),
        ("graph show drawn.py --run monday", ["is one of flow 'report'"]),
        ("graph show drawn.py --format bmp", ["no format 'bmp'", "mermaid"]),
        ("graph show drawn.py --output home", ["'home'", "Name a file"]),
        ("db prune --older-than old", ["no age", "30d"]),
        ("db downgrade 9999", ["no schema revision '9999'", "0001"]),
        ("db backup nowhere/copy.db", ["cannot be written", "Name another one"]),
        ("db backup home", ["is a folder"]),
        ("db backup home/penstock.db --force", ["the store itself"]),
        ("db reset", ["--yes"]),
        ("new class", ["class", "Did you mean"]),
        ("concurrency-limit inspect nobody", ["no tag limit 'nobody'"]),
        ("global-concurrency-limit update mail", ["Nothing to change"]),
        ("global-concurrency-limit create mail --limit 2", ["already"]),
        ("profile use nobody", ["no profile 'nobody'"]),
        ("--profile nobody flow-run ls", ["no profile 'nobody'"]),
        ("config set NOBODY=1", ["no setting 'PENSTOCK_NOBODY'"]),
        ("config set TASK_DEFAULT_RETRIES=many", ["a whole number"]),
        ("nobody", ["No such command 'nobody'", "penstock --help"]),
        ("flow-run nobody", ["No such command 'nobody'", "penstock flow-run --help"]),
        ("flow-run ls --nobody", ["No such option", "penstock flow-run ls --help"]),
        ("flow-run inspect", ["Missing argument 'RUN'", "penstock flow-run inspect --help"]),
    ],
)
def test_what_cannot_be_done(shop, arguments, texts):
    assert_said(shop(*arguments.split()), *texts)


def numbers():
    for name, command in COMMANDS.items():
        for each in command.params:
            if type(each.type).__name__.lower().startswith(("int", "float")):
                yield pytest.param(name, each, id=f"{name} {each.name}")


@pytest.mark.parametrize(("name", "parameter"), list(numbers()))
def test_numbers_that_are_none(shop, name, parameter):
    words = ["x"] if parameter.param_type_name == "argument" else [parameter.opts[0], "x"]
    usual = given(name)[: len(name.split()) + len(arguments_of(COMMANDS[name]))]
    if parameter.param_type_name == "argument":
        usual = usual[:-1]

    assert_said(shop(*usual, *words), "'x' is not a", f"penstock {name} --help")
    words[-1] = "-1"
    if parameter.param_type_name == "option":
        assert_said(shop(*usual, *words), "-1", "too small")


def test_tracebacks_with_debug_only(shop):
    ended = shop("flow-run", "inspect", "nobody", "--debug")

    assert ended.code == USAGE
    assert ended.err.startswith("Traceback (most recent call last):\n")
    assert ended.err.splitlines()[-1].startswith("Error: There is no flow run 'nobody'")


def test_a_retry_of_a_flow_whose_file_is_gone_changes_nothing(shop):
    (shop.folder / "shop.py").unlink()

    assert_said(shop("flow-run", "retry", "monday", "--from", "fetch"), "is gone", "--flow PATH")
    assert_said(shop("flow-run", "resume", "crashed"), "is gone", "--flow PATH")
    (run,) = shop("flow-run", "inspect", "monday", "--json").objects
    assert run["state_name"] == "Completed"


# -- stores ---------------------------------------------------------------------------------------


def a_folder(file):
    file.unlink()
    file.mkdir()


def text(file):
    file.write_text("This is a letter, and no database.\n" * 100)


def cut_off(file):
    file.write_bytes(file.read_bytes()[:6000])


def scribbled_on(file):
    data = bytearray(file.read_bytes())
    data[4096:] = bytes(0xAA for _ in data[4096:])
    file.write_bytes(data)


def of_another_program(file):
    file.unlink()
    change(file, "create table orders (id integer primary key)")


def of_the_future(file):
    change(file, "update alembic_version set version_num = '9999'")


def change(file, statement):
    connection = sqlite3.connect(file)
    connection.execute(statement)
    connection.commit()
    connection.close()


DATABASES = [
    (text, ["is not a SQLite database", "move it away"]),
    (a_folder, ["is a directory", "PENSTOCK_STORE_URL"]),
    (cut_off, ["damaged", "backup"]),
    (scribbled_on, ["damaged", "backup"]),
    (of_another_program, ["of another program", "Nothing was changed"]),
    (of_the_future, ["schema revision 9999", "made by a newer one"]),
]


THOROUGHLY = {"run", "recover", "flow-run ls", "db status", "db upgrade", "db downgrade"}
"""Those that open the store in ways of their own are tried with everything that may be there."""


def with_stores(kinds):
    """Give each command with the first kind of store, and some with every kind."""
    for name in WITH_STORE:
        for kind in kinds if name in THOROUGHLY else kinds[:1]:
            yield pytest.param(name, *kind, id=f"{name} {getattr(kind[0], '__name__', kind[0])}")


@pytest.mark.parametrize(("name", "spoil", "texts"), list(with_stores(DATABASES)))
def test_a_database_that_is_none_of_penstock(shop, name, spoil, texts):
    file = shop.folder / "home" / "penstock.db"
    spoil(file)
    before = None if file.is_dir() else file.read_bytes()

    assert_said(shop(*given(name)), *texts, "home/penstock.db")

    assert before is None or file.read_bytes() == before


URLS = [
    ("postgresql://me:secret@127.0.0.1:1/x", "cannot be reached"),
    ("mysql://me@host/x", "is not understood"),
    ("nonsense", "is not understood"),
]


@pytest.mark.parametrize(("name", "url", "text"), list(with_stores(URLS)))
def test_a_store_that_cannot_be_reached(shop, name, url, text):
    ended = shop(*given(name), PENSTOCK_STORE_URL=url)

    assert_said(ended, text, "PENSTOCK_STORE_URL")
    assert "secret" not in ended.err


@pytest.mark.parametrize("name", ["flow-run ls", "db status", "db upgrade", "run", "recover"])
def test_what_a_server_refuses(shop, postgres_server, name):
    url = postgres_server.url("postgres")
    password = re.search(r"//\w+:([^@]+)@", url)[1]
    wrong = {
        url.replace(f":{password}@", ":wrong@"): "Check the user and the password",
        url.replace("//otter", "//badger"): "Check the user",
        url.replace("/postgres", "/nobody"): "Create it with createdb",
        re.sub(r"@[^/]+/", "@nowhere.invalid/", url): "check the host and the port",
    }

    for each, text in wrong.items():
        ended = shop(*given(name), PENSTOCK_STORE_URL=each)

        assert_said(ended, text)
        assert password not in ended.err


# -- places ---------------------------------------------------------------------------------------


def test_no_home_folder(shop):
    for name in ("flow-run ls", "run", "config view", "db path"):
        ended = shop(*given(name), HOME="", PENSTOCK_HOME=None)

        assert_said(ended, "set PENSTOCK_HOME")


@pytest.mark.parametrize("name", ["flow-run ls", "run", "recover", "db upgrade"])
def test_a_file_where_the_home_should_be(shop, name):
    ended = shop(*given(name), PENSTOCK_HOME=shop.folder / "shop.py" / "home")

    assert_said(ended, "PENSTOCK_HOME")


CHANGING = [
    *("run", "recover", "flow-run delete", "flow-run cancel", "flow-run resume"),
    *("db upgrade", "db reset", "db vacuum", "db prune"),
    *("concurrency-limit create", "global-concurrency-limit delete"),
]


@pytest.mark.parametrize("name", CHANGING)
def test_a_store_that_may_not_be_written(shop, name):
    lock(shop.folder)
    try:
        ended = shop(*given(name), unprivileged=True)
    finally:
        unlock(shop.folder)

    assert_said(ended, "read-only", "write permission")


@pytest.mark.parametrize("name", ["config set", "profile create", "new", "db backup"])
def test_a_folder_that_may_not_be_written(shop, name):
    lock(shop.folder)
    try:
        ended = shop(*given(name), unprivileged=True)
    finally:
        unlock(shop.folder)

    assert_said(ended)
    assert re.search("cannot be (written|made)|read-only", ended.err)


def lock(folder):
    for each in (folder, *folder.rglob("*")):
        mode = stat.S_IMODE(each.stat().st_mode)
        each.chmod((mode | 0o444 | (0o111 if each.is_dir() else 0)) & ~0o222)


def unlock(folder):
    for each in (folder, *folder.rglob("*")):
        each.chmod(0o755 if each.is_dir() else 0o644)


# -- flows ----------------------------------------------------------------------------------------

FLOWS = {
    "def x(:\n": ["line 1: def x(:", "SyntaxError"],
    "import nobody_has_it\n": ["line 1: import nobody_has_it", "ModuleNotFoundError"],
    "\n\n1 / 0\n": ["line 3: 1 / 0", "ZeroDivisionError"],
    "from . import neighbour\n": ["ImportError", "__init__.py"],
    "raise SystemExit(3)\n": ["SystemExit: 3", "__main__"],
    "class Mute(Exception):\n    def __str__(self):\n        raise KeyError\nraise Mute\n": [
        "line 4: raise Mute",
        "Mute: its message cannot be shown",
    ],
    "x = 1\n": ["No flows found in 'bad.py'", "@flow"],
    "": ["No flows found in 'bad.py'"],
    "x = '\0'\n": ["null bytes"],
    "x = '\udcff'\n": ["can't decode byte 0xff"],
    "from shop import *\nfrom penstock import flow\none = flow(lambda: 1, name='one')\n"
    "two = flow(lambda: 2, name='two')\n": ["Found 2 flows", "Say which one"],
}


@pytest.mark.parametrize("code", FLOWS)
@pytest.mark.parametrize("name", ["run", "graph show"])
def test_a_file_without_a_flow_that_can_be_run(shop, name, code):
    (shop.folder / "bad.py").write_bytes(os.fsencode(code))

    assert_said(shop(*name.split(), "bad.py"), *FLOWS[code])
    debug = shop(*name.split(), "bad.py", "--debug").err
    assert debug.startswith("Traceback")


@pytest.mark.parametrize(
    ("arguments", "texts"),
    [
        ("nowhere.py", ["does not exist", "Python file"]),
        ("nowhere", ["neither a file nor a module", "flows.py:my_flow"]),
        ("home/", ["is a folder"]),
        (":greet", ["no PATH:FLOW"]),
        ("shop.py:greet:x", ["no PATH:FLOW"]),
        ("shop.py:great", ["not found", "Did you mean 'greet'"]),
        ("shop.py", ["Found 7 flows"]),
        ("shop.py:greet", ["needs more parameters", "--param name="]),
        ("shop.py:greet -p nobody=1", ["no parameter 'nobody'", "'name'"]),
        ("shop.py:report -p name=x -p pages=many", ["pages", "integer", "'many'"]),
        ("shop.py:greet -p name", ["--param name=value"]),
        ("shop.py:greet --params-json {", ["no JSON", "column 2"]),
        ("shop.py:greet --params-json [1]", ["an object"]),
        ("shop.py:greet --params-file nowhere.json", ["cannot be read"]),
        ("shop.py:greet --params-file shop.py", [".json or .toml"]),
        ("shop.py:greet -p name=x --runner magic", ["no runner 'magic'", "threads"]),
        ("shop.py:greet -p name=x --quiet --watch", ["Give one of them"]),
    ],
)
def test_a_run_that_cannot_begin(shop, arguments, texts):
    assert_said(shop("run", *arguments.split()), *texts)
