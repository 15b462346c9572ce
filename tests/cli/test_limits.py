"""`penstock concurrency-limit` and `penstock global-concurrency-limit`."""

from __future__ import annotations

import threading

from penstock import flow, get_client, task
from penstock.concurrency import concurrency
from penstock.store import get_store, limits

NAMED = "global-concurrency-limit"


def test_the_limit_of_a_tag_from_its_making_to_its_end(penstock):
    assert (
        "At most 2 task runs with the tag 'db'"
        in penstock("concurrency-limit", "create", "db", "2").out
    )
    [listed] = penstock("concurrency-limit", "ls", "--json").objects
    assert (listed["tag"], listed["concurrency_limit"]) == ("db", 2)

    penstock("concurrency-limit", "create", "db", "5")
    assert "5" in penstock("concurrency-limit", "inspect", "db").out
    assert penstock("concurrency-limit", "reset", "db").code == 0
    assert penstock("concurrency-limit", "delete", "db").code == 0
    ended = penstock("concurrency-limit", "inspect", "db")
    assert ended.code == 2
    assert "There is no tag limit 'db'" in ended.err


def test_a_named_limit_from_its_making_to_its_end(penstock):
    made = penstock(NAMED, "create", "mail", "--limit", "2", "--slot-decay-per-second", "1.5")
    assert "'mail' has 2 slots, 1.5 free again in a second" in made.out
    assert "already" in penstock(NAMED, "create", "mail", "-l", "2").err

    assert "9 slots" in penstock(NAMED, "update", "mail", "--limit", "9").out
    assert "Nothing to change" in penstock(NAMED, "update", "mail").err
    assert "inactive" in penstock(NAMED, "disable", "mail").out
    [shown] = penstock(NAMED, "inspect", "mail", "--json").objects
    assert (shown["limit"], shown["active"]) == (9, False)
    assert "inactive" not in penstock(NAMED, "enable", "mail").out
    assert penstock(NAMED, "delete", "mail").code == 0
    assert "no named concurrency limits" in penstock(NAMED, "ls").out


def test_a_name_that_was_used_is_listed_inactive(penstock):
    with concurrency("new"):
        pass

    [listed] = penstock(NAMED, "ls", "--json").objects
    assert (listed["name"], listed["active"]) == ("new", False)


def test_it_is_shown_who_has_slots_and_who_waits(penstock):
    limits.create_limit(get_store(), "db", 1)
    with concurrency("db"):
        thread = threading.Thread(target=_use)
        thread.start()
        shown = {"waiting": []}
        while not shown["waiting"]:
            [shown] = penstock(NAMED, "inspect", "db", "--json").objects
        text = penstock(NAMED, "inspect", "db").out
    thread.join()

    assert "Slots are taken by" in text
    assert "In this order wait" in text
    assert [each["slots"] for each in shown["holders"]] == [1]


def _use():
    with concurrency("db"):
        pass


def test_inspect_says_what_a_run_waits_for(penstock):
    with get_client(sync_client=True) as client:
        client.create_concurrency_limit("db", 1)
    seen = []

    @task(tags=["db"])
    def load():
        return 1

    @task(tags=["db"])
    def lets_go():
        while not limits.read_limit(get_store(), "tag:db").waiting:
            pass
        seen.append(penstock("flow-run", "inspect", "-").out)

    @flow
    def nightly():
        first = lets_go.submit()
        while not limits.read_limit(get_store(), "tag:db").holders:
            pass
        load.submit().wait()
        first.wait()

    nightly()
    assert "waits for a slot of tag limit 'db' (1 of 1 taken, by task run 'lets_go-0'" in seen[0]
