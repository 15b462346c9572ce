"""What `@task` takes, keeps and refuses, and `.with_options` (spec 2.3)."""

from __future__ import annotations

import asyncio
import functools
import pickle
import re
import warnings
from datetime import timedelta
from typing import Any

import cloudpickle
import pytest

from penstock import flow, task
from penstock.exceptions import ParameterBindError, ReservedArgumentError
from penstock.settings import temporary_settings
from penstock.tasks import Task, exponential_backoff, task_input_hash


def add_up(x: int, y: int = 2) -> int:
    """Add numbers up.

    Both of them.
    """
    return x + y


def a_hook(task, task_run, state):
    """Do nothing."""


def a_condition(task, task_run, state):
    return True


# -- the decorator --------------------------------------------------------------------------------


def test_bare():
    made = task(add_up)

    assert isinstance(made, Task)
    assert made(1) == 3


def test_with_parentheses():
    @task(name="sum")
    def adds(x):
        return x + 1

    assert isinstance(adds, Task)
    assert adds.name == "sum"
    assert adds(1) == 2


def test_what_a_task_knows():
    made = task(add_up)

    assert made.fn is add_up
    assert made.name == made.__name__ == "add_up"
    assert made.__doc__ == add_up.__doc__
    assert made.__module__ == __name__
    assert made.description == "Add numbers up.\n\nBoth of them."
    assert made.isasync is False
    assert made.tags == set()
    assert made.retries == 0
    assert made.retry_delay_seconds == 0
    assert made.cache_result_in_memory is True
    for option in (
        "version",
        "cache_key_fn",
        "cache_expiration",
        "task_run_name",
        "retry_jitter_factor",
        "persist_result",
        "result_storage",
        "result_serializer",
        "result_storage_key",
        "timeout_seconds",
        "log_prints",
        "refresh_cache",
        "on_completion",
        "on_failure",
        "retry_condition_fn",
        "viz_return_value",
    ):
        assert getattr(made, option) is None, option
    assert "add_up" in repr(made)


def test_an_async_function_makes_an_async_task():
    @task
    async def fetches():
        return 1

    assert fetches.isasync is True
    assert asyncio.run(fetches()) == 1


def test_an_async_generator_is_refused():
    async def numbers():
        yield 1

    with pytest.raises(TypeError, match="'numbers' is an async generator"):
        task(numbers)


class Adder:
    def __init__(self, amount):
        self.amount = amount

    def __call__(self, x):
        return x + self.amount


class AsyncAdder(Adder):
    async def __call__(self, x):
        return x + self.amount


def test_any_callable_makes_a_task():
    made = task(Adder(2))

    assert made(1) == 3
    assert made.name == "Adder"
    assert made.task_key == f"{__name__}.Adder"
    assert asyncio.run(task(AsyncAdder(2))(1)) == 3
    assert task(name="bound")(functools.partial(add_up, 1))() == 3
    assert task(Adder(1).__call__)(1) == 2


def test_a_builtin_makes_a_task():
    assert task(name="size")(len)([1, 2]) == 2


def test_the_key_tells_functions_names_and_files_apart():
    def add_up(x):
        return x

    keys = {task(add_up).task_key, task(globals()["add_up"]).task_key}
    assert len(keys) == 2
    assert task(add_up).task_key == task(add_up).task_key
    assert task(add_up).task_key.startswith(f"{add_up.__qualname__}-")
    assert task(name="other")(add_up).task_key not in keys
    scope: dict[str, Any] = {}
    exec("def typed_in(): pass", scope)
    assert task(scope["typed_in"]).task_key == "typed_in-unknown-source-file"


# -- retries --------------------------------------------------------------------------------------

DELAYS = [
    (7, 7),
    (0.5, 0.5),
    ([1, 2.5], [1, 2.5]),
    ((1, 2), [1, 2]),
    (lambda retries: [retries] * 2, [3, 3]),
    (exponential_backoff(10), [10, 20, 40]),
    (None, 0),
]


@pytest.mark.parametrize(("given", "kept"), DELAYS, ids=lambda case: repr(case)[:20])
def test_delays(given, kept):
    assert task(retries=3, retry_delay_seconds=given)(add_up).retry_delay_seconds == kept


@pytest.mark.parametrize(
    ("factor", "retries", "delays"),
    [(2, 0, []), (2, 3, [2, 4, 8]), (0.5, 2, [0.5, 1.0]), (1, 100, [2**i for i in range(50)])],
)
def test_exponential_backoff(factor, retries, delays):
    assert exponential_backoff(factor)(retries) == delays


@pytest.mark.parametrize(
    "delays", [[1] * 51, lambda retries: [1] * retries], ids=["list", "callable"]
)
def test_more_than_fifty_delays_are_refused(delays):
    with pytest.raises(ValueError, match=r"more than 50 retry delays.*'add_up' has 51"):
        task(retries=51, retry_delay_seconds=delays)(add_up)

    fifty = exponential_backoff(1)
    assert len(task(retries=99, retry_delay_seconds=fifty)(add_up).retry_delay_seconds) == 50


def test_defaults_come_from_the_settings_when_the_task_is_defined():
    settings = {
        "PENSTOCK_TASK_DEFAULT_RETRIES": 3,
        "PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS": [1, 5],
    }
    with temporary_settings(settings):
        made = task(add_up)
        own = task(retries=0, retry_delay_seconds=0)(add_up)

    assert (made.retries, made.retry_delay_seconds) == (3, [1, 5])
    assert (own.retries, own.retry_delay_seconds) == (0, 0)
    assert task(add_up).retries == 0


@pytest.mark.parametrize(("given", "kept"), [(None, None), (0, None), (5, 5.0), (0.5, 0.5)])
def test_no_or_zero_seconds_are_no_timeout(given, kept):
    assert task(timeout_seconds=given)(add_up).timeout_seconds == kept


# -- what is refused ------------------------------------------------------------------------------

HOOKS = ["on_completion", "on_failure"]
FLAGS = ["persist_result", "cache_result_in_memory", "log_prints", "refresh_cache"]


def named(options):
    """Name a case, the same in every process: without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(options))[:60]


WRONG_OPTIONS = [
    ({"nam": "x"}, TypeError, r"'nam'.*[Dd]id you mean 'name'"),
    ({"retry": 3}, TypeError, r"'retry'.*[Dd]id you mean 'retries'"),
    ({"retry_delay": 3}, TypeError, r"[Dd]id you mean 'retry_delay_seconds'"),
    ({"cache_key": task_input_hash}, TypeError, r"[Dd]id you mean 'cache_key_fn'"),
    ({"zzz": 3}, TypeError, "'zzz'.*It takes: name, description"),
    ({"name": 7}, TypeError, "Expected a str.*'name' of @task.*int"),
    ({"name": add_up}, TypeError, r"Did you mean to call it.*@task\(name="),
    ({"description": 7}, TypeError, "'description' of @task.*int"),
    ({"version": 7}, TypeError, "'version' of @task.*int"),
    ({"task_run_name": 7}, TypeError, "str or a callable.*'task_run_name'.*int"),
    ({"tags": "nightly"}, TypeError, r"'tags'.*\['nightly'\]"),
    ({"tags": 7}, TypeError, "'tags'.*int"),
    ({"tags": [7]}, TypeError, "'tags'.*int"),
    ({"cache_key_fn": "key"}, TypeError, "'cache_key_fn'.*callable.*str"),
    (
        {"cache_key_fn": task_input_hash, "cache_expiration": 60},
        TypeError,
        "'cache_expiration'.*timedelta.*int",
    ),
    ({"retries": -1}, ValueError, "'retries' of task 'add_up' must not be negative, got -1"),
    ({"retries": "3"}, TypeError, "'retries'.*must be a number, not str"),
    ({"retries": 1.5}, TypeError, "'retries'.*whole number, got 1.5"),
    ({"retries": True}, TypeError, "'retries'.*must be a number, not bool"),
    ({"retry_delay_seconds": -1}, ValueError, "'retry_delay_seconds'.*not be negative"),
    ({"retry_delay_seconds": [1, -2]}, ValueError, "'retry_delay_seconds'.*not be negative"),
    ({"retry_delay_seconds": "1"}, TypeError, "'retry_delay_seconds'.*a number, not str"),
    ({"retry_delay_seconds": [1, None]}, TypeError, "retry delay.*a number, not None"),
    ({"retry_delay_seconds": lambda retries: "1"}, TypeError, "'retry_delay_seconds'.*number"),
    ({"retry_delay_seconds": float("inf")}, ValueError, "'retry_delay_seconds'.*finite"),
    ({"retry_jitter_factor": -0.5}, ValueError, "'retry_jitter_factor'.*not be negative"),
    ({"retry_jitter_factor": "1"}, TypeError, "'retry_jitter_factor'.*a number, not str"),
    ({"timeout_seconds": -0.5}, ValueError, "'timeout_seconds'.*not be negative"),
    ({"timeout_seconds": "5"}, TypeError, "'timeout_seconds'.*a number, not str"),
    ({"timeout_seconds": float("nan")}, ValueError, "'timeout_seconds'.*finite"),
    ({"timeout_seconds": True}, TypeError, "'timeout_seconds'.*a number, not bool"),
    ({"retry_condition_fn": 7}, TypeError, "'retry_condition_fn'.*callable.*int"),
    ({"result_storage_key": 7}, TypeError, "'result_storage_key' of @task.*int"),
    ({"persist_result": False, "result_storage_key": "x"}, ValueError, "leave one of them out"),
    *(({option: "yes"}, TypeError, f"'{option}' of @task.*str") for option in FLAGS),
    *(({option: []}, ValueError, f"Empty list.*'{option}'") for option in HOOKS),
    *(({option: a_hook}, TypeError, f"list of callables.*'{option}'") for option in HOOKS),
    *(({option: ["x"]}, TypeError, f"callables in '{option}', got str") for option in HOOKS),
]


@pytest.mark.parametrize(
    ("options", "error", "text"), WRONG_OPTIONS, ids=[named(case[0]) for case in WRONG_OPTIONS]
)
class TestWrongOptions:
    def test_at_definition(self, options, error, text):
        with pytest.raises(error, match=text):
            task(**options)(add_up)

    def test_as_the_class(self, options, error, text):
        with pytest.raises(error, match=text):
            Task(add_up, **options)

    def test_in_with_options(self, options, error, text):
        text = "'version'.*It takes: name, description, tags" if "version" in options else text
        with pytest.raises(error, match=text):
            task(add_up).with_options(**options)


def test_an_expiration_without_a_key_is_pointed_out():
    text = "'add_up' has a cache_expiration but no cache_key_fn"
    with pytest.warns(UserWarning, match=text) as made:
        add = task(cache_expiration=timedelta(days=1))(add_up)
    with pytest.warns(UserWarning, match=text) as changed:
        add.with_options(retries=1)
    # Where the user has it.
    assert {warning.filename for warning in [*made, *changed]} == {__file__}


@pytest.mark.parametrize("thing", [7, "text", None, [add_up]])
def test_what_is_no_function_makes_no_task(thing):
    with pytest.raises(TypeError, match=r"must be callable.*@task"):
        task()(thing)
    if thing is not None:
        with pytest.raises(TypeError, match=r"must be callable.*@task"):
            task(thing)


@pytest.mark.parametrize("name", ["return_state", "wait_for"])
def test_reserved_parameters(name):
    scope: dict[str, Any] = {}
    exec(f"def collides(x, {name}): pass", scope)

    with pytest.raises(ReservedArgumentError, match=rf"{name}.*Rename") as caught:
        task(scope["collides"])
    assert isinstance(caught.value, TypeError)


BAD_CALLS = [((), {}), ((1,), {"x": 2}), ((), {"y": 1}), ((1,), {"unknown": 1}), ((1, 2, 3), {})]


@pytest.mark.parametrize(("args", "kwargs"), BAD_CALLS, ids=str)
def test_a_call_that_does_not_fit_makes_no_run(args, kwargs, task_runs):
    @task
    def plain(x, y=2):
        raise AssertionError

    with pytest.raises(ParameterBindError, match=r"plain.*It takes \(x, y=2\)") as caught:
        plain(*args, **kwargs)
    assert isinstance(caught.value, TypeError)

    @flow
    def submits(how):
        with pytest.raises(ParameterBindError, match=r"plain.*It takes \(x, y=2\)"):
            getattr(plain, how)(*args, **kwargs)

    submits("submit")
    submits("map")
    assert task_runs() == []


@pytest.fixture
def task_runs():
    def read():
        from penstock import get_client

        with get_client(sync_client=True) as client:
            return client.read_task_runs()

    return read


# -- with_options ---------------------------------------------------------------------------------

ALL_OPTIONS = {
    "name": "other",
    "description": "Other.",
    "tags": {"a", "b"},
    "cache_key_fn": task_input_hash,
    "cache_expiration": timedelta(days=1),
    "task_run_name": "run-{x}",
    "retries": 3,
    "retry_delay_seconds": [0.5, 1],
    "retry_jitter_factor": 0.5,
    "persist_result": True,
    "result_storage": "local-file-system/x",
    "result_serializer": "json",
    "result_storage_key": "{parameters[x]}",
    "cache_result_in_memory": False,
    "timeout_seconds": 5.0,
    "log_prints": True,
    "refresh_cache": True,
    "on_completion": [a_hook],
    "on_failure": [a_hook],
    "retry_condition_fn": a_condition,
    "viz_return_value": 7,
}

NONE_UNSETS = {
    "retries": 0,
    "retry_delay_seconds": 0,
    "retry_jitter_factor": None,
    "persist_result": None,
    "result_storage": None,
    "result_serializer": None,
    "result_storage_key": None,
    "log_prints": None,
    "refresh_cache": None,
}


def options_of(made):
    return {name: getattr(made, name) for name in ALL_OPTIONS}


def test_every_option_can_be_changed():
    plain = task(add_up)
    before = options_of(plain)

    changed = plain.with_options(**ALL_OPTIONS)

    assert options_of(changed) == ALL_OPTIONS
    assert changed.fn is add_up
    assert options_of(plain) == before


def test_every_option_is_kept():
    made = task(**ALL_OPTIONS, version="2")(add_up)

    same = made.with_options()

    assert same is not made
    assert options_of(same) == ALL_OPTIONS
    assert same.version == "2"  # spec 13: kept
    assert same.task_key == made.task_key


@pytest.mark.parametrize("option", ALL_OPTIONS)
def test_none_keeps_but_for_some(option):
    made = task(**ALL_OPTIONS)(add_up)

    changed = made.with_options(**{option: None})

    assert getattr(changed, option) == NONE_UNSETS.get(option, ALL_OPTIONS[option])


def test_zero_unsets_the_timeout():
    assert task(timeout_seconds=5)(add_up).with_options(timeout_seconds=0).timeout_seconds is None


def test_tags_given_replace_and_are_not_shared():
    made = task(tags=["a"])(add_up)

    kept, other = made.with_options(), made.with_options(tags=["b"])
    kept.tags.add("c")

    assert made.tags == {"a"}
    assert other.tags == {"b"}


def test_the_version_cannot_be_changed():
    with pytest.raises(TypeError, match="'version'"):
        task(add_up).with_options(version="2")


def test_options_are_given_by_name_only():
    with pytest.raises(TypeError):
        task(add_up).with_options("name")


def test_a_task_with_other_options_is_a_task():
    changed = task(add_up).with_options(name="other", retries=2)

    assert changed(1) == 3
    assert changed.policy.retries == 2


def test_no_warning_for_options_that_go_together():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        task(**ALL_OPTIONS)(add_up).with_options(name="x")


# -- pickling -------------------------------------------------------------------------------------


@task(name="at-top", retries=2, on_failure=[a_hook])
def at_top(x):
    return x + 1


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloud"])
def test_a_task_can_be_pickled(dumps):
    back = pickle.loads(dumps(at_top))

    assert (back.name, back.retries, back.task_key) == ("at-top", 2, at_top.task_key)
    assert back(1) == 2
    assert back.fn is at_top.fn
    assert pickle.loads(dumps(at_top.with_options(name="other"))).name == "other"


def test_a_task_made_in_a_function_can_be_pickled():
    amount = 3

    @task(retries=2)
    def adds(x):
        return x + amount

    back = pickle.loads(cloudpickle.dumps(adds))

    assert back.retries == 2
    assert back(1) == 4


def test_a_task_as_the_attribute_of_a_class():
    class Loader:
        @staticmethod
        @task
        def loads(x):
            return x + 1

    assert Loader.loads(1) == 2
