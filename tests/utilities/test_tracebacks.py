"""Tracebacks without penstock's own frames."""

from __future__ import annotations

import pytest

from penstock import flow, task
from penstock.utilities.tracebacks import (
    Place,
    folded_traceback,
    is_own_file,
    last_place_in,
    places_of_users,
)


@task
def broken():
    try:
        {}["key"]
    except KeyError as error:
        raise ValueError("no such luck") from error


@flow
def outer():
    broken()


def raised_by(call):
    with pytest.raises(Exception) as info:
        call()
    return info.value


def test_the_users_frames_stay_and_the_cause():
    text = folded_traceback(raised_by(outer))

    assert text.count("src/penstock") == 0
    assert "in outer\n    broken()" in text
    assert "KeyError: 'key'\n\nThe above exception was the direct cause" in text
    assert text.endswith("ValueError: no such luck")


def test_all_frames_are_shown_where_that_is_wanted():
    assert "src/penstock" in folded_traceback(raised_by(outer), whole=True)


def test_a_mistake_of_penstocks_keeps_its_innermost_frame():
    error = raised_by(lambda: is_own_file(None))

    assert is_own_file(last_file_of(folded_traceback(error)))


def last_file_of(text):
    return [line.split('"')[1] for line in text.splitlines() if "File" in line][-1]


def test_groups_are_folded_within():
    group = ExceptionGroup("several", [raised_by(outer)])

    text = folded_traceback(group)

    assert "src/penstock" not in text
    assert "ValueError: no such luck" in text


def test_the_place_is_the_users_innermost_line(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("import json\ndef f():\n    json.loads('[')\n")
    names = {}
    exec(compile(file.read_text(), str(file), "exec"), names)
    error = raised_by(names["f"])

    assert list(places_of_users(error))[-1] == Place(str(file), 3, "json.loads('[')")
    assert last_place_in(folded_traceback(error)) == Place(str(file), 3)


def test_a_text_without_a_traceback_names_no_place():
    assert last_place_in("Finished in state Failed()") is None


def test_what_a_failing_flow_logs_is_folded(capfd, penstock_home):
    raised_by(outer)

    logged = capfd.readouterr().err

    assert logged.count("Traceback") >= 2
    assert "in broken\n" in logged
    assert "src/penstock" not in logged


def test_in_debug_mode_everything_is_logged(capfd, penstock_home, monkeypatch):
    from penstock.settings import reload_settings

    monkeypatch.setenv("PENSTOCK_DEBUG_MODE", "1")
    reload_settings()
    try:
        raised_by(outer)
    finally:
        monkeypatch.undo()
        reload_settings()

    assert "src/penstock" in capfd.readouterr().err
