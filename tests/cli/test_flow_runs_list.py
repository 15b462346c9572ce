"""`penstock flow-run ls`: which runs, a page at a time, and what of them is shown."""

from __future__ import annotations

import re
import shlex
import threading

import pytest

from penstock import flow, tags, task


@task
def work(x=1):
    return x


@flow(name="good")
def good():
    return work()


@flow(name="bad one")
def bad():
    work()
    raise ValueError("boom")


def run(of, *given):
    with tags(*given):
        return str(of(return_state=True).state_details.flow_run_id)


def ids_of(penstock, *options):
    return [each["id"] for each in penstock("flow-run", "ls", "--json", *options).objects]


@pytest.mark.parametrize("typed", ["failed", "FAILED", "Failed", "crashed,failed"])
def test_states_as_people_type_them(penstock, typed):
    run(good)
    failed = run(bad)

    assert ids_of(penstock, "--state", typed) == [failed]


def test_several_states(penstock):
    ids = [run(good), run(bad)]

    assert ids_of(penstock, "--state", "failed", "-s", "completed") == ids[::-1]


def test_a_mistyped_state(penstock):
    ended = penstock("flow-run", "ls", "--state", "faild")

    assert ended.code == 2
    assert ended.err.startswith("Error: There is no state 'faild'. Did you mean 'Failed'?")


def test_by_flow_and_by_tags(penstock):
    plain, tagged, both = run(good), run(good, "a"), run(bad, "a", "it's 100%")

    assert ids_of(penstock, "--flow", "good") == [tagged, plain]
    assert ids_of(penstock, "--tag", "a") == [both, tagged]
    assert ids_of(penstock, "--tag", "a", "--tag", "it's 100%") == [both]
    assert ids_of(penstock, "--tag", "A") == []
    assert ids_of(penstock, "--flow", "good", "--tag", "it's 100%") == []


def test_a_mistyped_flow(penstock):
    run(bad)

    ended = penstock("flow-run", "ls", "--flow", "Bad On")

    assert ended.code == 2
    assert "Did you mean 'bad one'?" in ended.err


def test_since_and_until(penstock):
    first = run(good)
    created = penstock("flow-run", "ls", "--json").objects[0]["created"]

    assert ids_of(penstock, "--since", "1h") == [first]
    assert ids_of(penstock, "--since", created) == [first]
    assert ids_of(penstock, "--since", "2200-01-01") == []
    assert ids_of(penstock, "--until", created) == []
    assert ids_of(penstock, "--until", "2200-01-01T12:30") == [first]


def test_a_time_that_is_none(penstock):
    ended = penstock("flow-run", "ls", "--since", "yesterday")

    assert ended.code == 2
    assert "--since 'yesterday' is neither an age nor a time" in ended.err


def test_pages_that_lead_to_one_another(penstock):
    ids = [run(bad, "x") for _ in range(5)]
    run(good)
    command = "penstock flow-run ls --state failed --flow 'bad one' --tag x --limit 2 --since 1h"
    seen, pages = [], 0

    while command:
        out = penstock(*shlex.split(command)[1:]).out
        seen += [found for found in ids if found in out.partition("Older runs:")[0]]
        found = re.search(r"^Older runs: (.*)$", out, re.MULTILINE)
        command = found and found[1]
        pages += 1

    assert pages == 3
    assert sorted(seen) == ids


def test_nothing_fits(penstock):
    run(good)

    assert "No flow run" in penstock("flow-run", "ls", "--state", "crashed").out


def test_a_run_that_is_executed_shows_for_how_long(penstock):
    begun, stop = threading.Event(), threading.Event()

    @flow(name="long")
    def long():
        begun.set()
        stop.wait(30)

    thread = threading.Thread(target=long)
    thread.start()
    try:
        assert begun.wait(30)
        (row,) = penstock("flow-run", "ls", "--flow", "long").out.splitlines()[1:]
    finally:
        stop.set()
        thread.join()

    assert re.search(r"Running .* so far$", row)


def test_names_cannot_steer_the_terminal(penstock):
    @flow(name="evil\x1b[2J", flow_run_name="run\x1b]0;owned\x07")
    def evil():
        return 1

    evil()

    out = penstock("flow-run", "ls").out
    assert "\x1b" not in out
    assert r"evil\x1b[2J" in out
