"""Where a task's result is kept, and for how long (spec 6.2, 6.3; DESIGN 5; PAINS 7)."""

from __future__ import annotations

import asyncio
import threading

import pytest

from penstock import flow, get_client, task
from penstock.exceptions import MissingResult
from penstock.filesystems import LocalFileSystem
from penstock.results import PersistedResultBlob
from penstock.settings import temporary_settings

LARGE = 200_000
"""More than is kept in a run's record."""


def run(work, **options):
    """Run `work` as a flow's body; give what it returns, whatever its tasks came to."""
    given = []

    @flow(**options)
    def runs():
        given.append(work())
        return "fine"

    runs()
    return given[0]


def makes(value, **options):
    return task(lambda: value, name="makes", **options)


def files(home):
    return sorted(path.name for path in (home / "storage").rglob("*") if path.is_file())


HOW = pytest.mark.parametrize(
    "how",
    [lambda made: made(return_state=True), lambda made: made.submit().wait()],
    ids=["call", "submit"],
)

# -- which tier -----------------------------------------------------------------------------------

SMALL = {"a": [1, 2]}
BIG = b"x" * LARGE
LOCK = threading.Lock()

TIERS = [
    # value, persist_result, setting, where it is found by another process
    (SMALL, None, False, "record"),
    (SMALL, True, False, "file"),
    (SMALL, False, False, None),
    (SMALL, None, True, "file"),
    (SMALL, False, True, None),
    (BIG, None, False, "file"),
    (BIG, True, False, "file"),
    (BIG, False, False, None),
    (LOCK, None, False, None),
    (LOCK, False, False, None),
    (None, None, False, "record"),
    (True, None, False, "record"),
    (None, False, False, None),
]


@HOW
@pytest.mark.parametrize("in_flow", [True, False], ids=["in a flow", "alone"])
@pytest.mark.parametrize("case", range(len(TIERS)))
def test_tiers(case, in_flow, how, records, penstock_home):
    value, persist, setting, where = TIERS[case]
    of = makes(value, persist_result=persist)
    if not in_flow:
        how = lambda made: made(return_state=True)

    with temporary_settings({"PENSTOCK_RESULTS_PERSIST_BY_DEFAULT": setting}):
        state = run(lambda: how(of), persist_result=False) if in_flow else how(of)

    assert state.is_completed()
    assert state.result() == value  # here it is in memory in any case
    assert len(files(penstock_home)) == (1 if where == "file" else 0)
    found = records.task_run().state
    if where is None:
        with pytest.raises(MissingResult, match=r"persist|PERSIST"):
            found.result()
    else:
        assert found.result() == value


def test_a_value_that_cannot_be_recorded_is_kept_and_said_so(caplog):  # spec 6.2, better
    class Own:
        def __reduce__(self):
            raise TypeError("cannot be pickled")

    value = Own()

    assert run(makes(value)) is value

    assert "'makes'" in caplog.text
    assert "cannot be pickled" in caplog.text


def test_a_value_that_cannot_be_written_where_that_was_asked_for(caplog, records):
    assert run(makes(LOCK, persist_result=True)) is LOCK

    assert records.task_run().state_name == "Completed"
    assert "'makes'" in caplog.text


def test_what_failed_is_kept_like_a_value(records):
    class Own(Exception):
        pass

    @task
    def fails():
        raise ValueError("boom", {"detail": [1, 2]})

    run(lambda: fails(return_state=True))

    with pytest.raises(ValueError, match="boom") as caught:
        records.task_run().state.result()
    assert caught.value.args == ("boom", {"detail": [1, 2]})


# -- memory ---------------------------------------------------------------------------------------


@HOW
def test_a_result_that_is_neither_kept_in_memory_nor_written_is_gone(how):
    of = makes(SMALL, persist_result=False, cache_result_in_memory=False)

    state = run(lambda: how(of))

    with pytest.raises(MissingResult, match="'makes'"):
        state.result()


def test_that_is_so_for_a_call_too():
    of = makes(SMALL, persist_result=False, cache_result_in_memory=False)

    def work():
        with pytest.raises(MissingResult, match=r"'makes'.*cache_result_in_memory"):
            of()

    run(work)


def test_none_is_kept_in_any_case():
    assert run(makes(None, persist_result=False, cache_result_in_memory=False)) is None


@HOW
def test_a_large_result_is_read_from_storage_when_it_is_not_kept_in_memory(how, penstock_home):
    value = [b"x" * LARGE]

    state = run(lambda: how(makes(value, cache_result_in_memory=False)))

    assert state.result() == value
    assert state.result() is not value
    assert len(files(penstock_home)) == 1


def test_a_result_in_memory_is_the_very_object():
    value = [b"x" * LARGE]

    assert run(makes(value)) is value
    assert run(makes(SMALL)) is SMALL


# -- keys, storage, serializers -------------------------------------------------------------------


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "name"),
        [
            ("plain.pkl", "plain.pkl"),
            ("{parameters[x]}-{parameters[y]}.pkl", "a-7.pkl"),
            ("{flow_run.flow_name}-{task_run.name}", "runs-keeps-0"),
            ("{deployment.name}-{task_run.run_count}", "None-1"),
            ("{task_run.task_name}/deeper/{parameters[x]}", "a"),
        ],
    )
    @pytest.mark.parametrize("how", ["call", "submit"])
    def test_templates(self, key, name, how, records, penstock_home):
        @task(result_storage_key=key)
        def keeps(x, y=7):
            return [x, y]

        run(lambda: keeps("a") if how == "call" else keeps.submit("a").result())

        assert files(penstock_home) == [name]
        assert records.task_run().state.result() == ["a", 7]

    def test_the_same_key_overwrites(self, penstock_home):
        keeps = task(lambda x: x, name="keeps", result_storage_key="same")

        states = run(lambda: [keeps(x, return_state=True) for x in ([1], [2])])

        assert files(penstock_home) == ["same"]
        assert states[1].result() == [2]

    @pytest.mark.parametrize("key", ["{nothing}", "{parameters[nothing]}", "{"])
    def test_a_key_that_cannot_be_made(self, key):
        keeps = task(lambda x: x, name="keeps", result_storage_key=key)

        state = run(lambda: keeps([1], return_state=True))

        assert state.is_crashed()
        assert f"result_storage_key {key!r} of task 'keeps' cannot be filled in" in state.message

    def test_the_file_can_be_read_without_the_run(self, penstock_home):
        keeps = task(lambda: SMALL, name="keeps", result_storage_key="it")

        run(keeps)

        blob = PersistedResultBlob.from_bytes((penstock_home / "storage" / "it").read_bytes())
        assert blob.value() == SMALL


class TestStorage:
    def test_of_the_task(self, tmp_path, records):
        storage = LocalFileSystem(basepath=str(tmp_path / "mine"))

        run(makes(SMALL, result_storage=storage, persist_result=True))

        assert len(list((tmp_path / "mine").iterdir())) == 1
        assert records.task_run().state.result() == SMALL

    def test_of_the_flow(self, tmp_path):
        storage = LocalFileSystem(basepath=str(tmp_path / "mine"))
        of = makes(SMALL, persist_result=True)

        run(lambda: (of(), of.submit().wait()), result_storage=storage)

        assert len(list((tmp_path / "mine").iterdir())) == 2

    def test_of_the_task_before_that_of_the_flow(self, tmp_path):
        flows = LocalFileSystem(basepath=str(tmp_path / "flows"))
        tasks = LocalFileSystem(basepath=str(tmp_path / "tasks"))

        run(makes(SMALL, persist_result=True, result_storage=tasks), result_storage=flows)

        assert len(list((tmp_path / "tasks").iterdir())) == 1
        assert not (tmp_path / "flows").exists()

    @pytest.mark.parametrize("serializer", ["json", "pickle", "compressed/json"])
    def test_serializers(self, serializer, penstock_home, records):
        of = makes(SMALL, persist_result=True, result_serializer=serializer)

        run(of)

        assert records.task_run().state.result() == SMALL
        name = files(penstock_home)[0]
        blob = PersistedResultBlob.from_bytes((penstock_home / "storage" / name).read_bytes())
        assert blob.serializer.type == serializer

    def test_the_serializer_of_the_flow(self, penstock_home):
        run(makes(SMALL, persist_result=True), result_serializer="json")

        name = files(penstock_home)[0]
        blob = PersistedResultBlob.from_bytes((penstock_home / "storage" / name).read_bytes())
        assert blob.serializer.type == "json"


@pytest.mark.parametrize(
    "option",
    [{"result_serializer": "jsn"}, {"result_storage": "local-file-system/mistyped"}],
    ids=lambda option: next(iter(option)),
)
def test_a_mistyped_option_is_found_before_anything_is_done(option, records):
    done = []

    @task(**option)
    def works():
        done.append("task")

    @flow
    def of_the_task():
        works()

    @flow(**option)
    def of_the_flow():
        done.append("flow")

    for runs in (of_the_task, of_the_flow):
        with pytest.raises(ValueError, match=r"jsn|mistyped"):
            runs()

    assert not done
    assert records.task_run().state.is_crashed()


def test_of_an_async_task_in_an_async_flow(penstock_home, records):
    @task(persist_result=True)
    async def makes():
        return SMALL

    @flow
    async def runs():
        return await makes()

    assert asyncio.run(runs()) == SMALL
    assert len(files(penstock_home)) == 1
    assert records.task_run().state.result() == SMALL


def test_another_process_reads_them(run_script, records):
    done = run_script(
        """
        from penstock import flow, task

        @task
        def small():
            return {"a": [1, 2]}

        @task
        def large():
            return b"x" * 200_000

        @task(persist_result=True)
        def kept():
            return (1, 2)

        @flow
        def runs():
            small()
            large.submit()
            kept()
            return "fine"

        if __name__ == "__main__":
            runs()
        """
    )
    assert done.returncode == 0, done.stderr

    results = {made.name: made.state.result() for made in records.task_runs()}

    assert results == {"small-0": SMALL, "large-0": b"x" * LARGE, "kept-0": (1, 2)}
    with get_client(sync_client=True) as client:
        assert len(client.read_task_runs()) == 3
