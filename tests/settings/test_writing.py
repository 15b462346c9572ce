"""Changes of the profiles file: whole or not at all, through links, one after the other."""

from __future__ import annotations

import subprocess
import sys

import pytest

from penstock.settings import InvalidSettingError, load_all_profiles
from penstock.settings.writing import change_profiles


def put(name, value):
    def change(_profiles, _document, tables):
        tables.setdefault("work", {})[name] = value

    return change


@pytest.fixture
def file(penstock_home):
    penstock_home.mkdir()
    return penstock_home / "profiles.toml"


def test_a_link_stays_one_and_what_it_leads_to_is_changed(file, tmp_path):
    kept = tmp_path / "dotfiles" / "penstock.toml"
    file.symlink_to(kept)

    change_profiles(file, put("TASK_DEFAULT_RETRIES", 1))
    change_profiles(file, put("LEASE_TTL_S", 9))

    assert file.is_symlink()
    assert kept.read_text() == "[profiles.work]\nTASK_DEFAULT_RETRIES = 1\nLEASE_TTL_S = 9\n"
    assert [each.name for each in kept.parent.iterdir()] == [kept.name], "nothing is left over"


def test_all_else_in_the_file_stays_as_it_is(file):
    text = "# mine\r\nactive = 'work' # yes\r\n\r\n[profiles.work]\r\nLEASE_TTL_S = 9\r\n"
    file.write_bytes(text.encode("utf-8-sig"))

    change_profiles(file, put("LEASE_TTL_S", 8))

    assert file.read_bytes().decode() == text.replace("9", "8")


def test_a_change_that_fails_changes_nothing(file):
    file.write_text("[profiles.work]\n")

    def fail(_profiles, _document, tables):
        del tables["work"]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change_profiles(file, fail)
    assert file.read_text() == "[profiles.work]\n"
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_processes_that_write_at_once_lose_nothing(file):
    code = (
        "import sys; from pathlib import Path; from penstock.settings.writing import"
        " change_profiles\n"
        "for count in range(10):\n"
        "    change_profiles(Path(sys.argv[1]), lambda _profiles, _document, tables:"
        " tables.setdefault('work', {}).update({f'K{sys.argv[2]}_{count}': count}))"
    )
    command = [sys.executable, "-c", code, str(file)]
    writers = [subprocess.Popen([*command, str(number)]) for number in range(4)]

    assert [writer.wait(timeout=60) for writer in writers] == [0] * 4
    assert len(load_all_profiles().find("work").settings) == 40


@pytest.mark.parametrize("below", ["home", "home/deeper"])
def test_a_home_that_is_a_file_is_an_error_that_says_so(tmp_path, below):
    (tmp_path / "home").write_text("")

    with pytest.raises(InvalidSettingError, match=r"cannot be written.*PENSTOCK_HOME"):
        change_profiles(tmp_path / below / "profiles.toml", put("LEASE_TTL_S", 9))
