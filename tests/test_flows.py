from __future__ import annotations

import functools
import pickle
import re
import sys
import textwrap
from typing import Any

import cloudpickle
import pytest

import penstock
from penstock.exceptions import (
    InvalidNameError,
    MissingFlowError,
    ParameterBindError,
    ParameterTypeError,
    ReservedArgumentError,
    ScriptError,
    SignatureMismatchError,
    UnspecifiedFlowError,
)
from penstock.flows import (
    Flow,
    flow,
    load_flow_argument_from_entrypoint,
    load_flow_from_entrypoint,
    load_flow_from_script,
    load_flow_from_text,
    load_flows_from_script,
    select_flow,
)
from penstock.settings import temporary_settings
from penstock.task_runners import ConcurrentTaskRunner, SequentialTaskRunner


def add_up(x: int, y: int = 2, *rest: int, scale: float = 1.0, **named: Any) -> float:
    """Add numbers up.

    Args:
        x: The first number.
        y: The second number.
    """
    return (x + y + sum(rest)) * scale


def a_hook(flow, flow_run, state):
    """Do nothing."""


# -- 2.1: the decorator ---------------------------------------------------------------------------


def test_bare():
    made = flow(add_up)

    assert isinstance(made, Flow)
    assert made(1) == 3


def test_with_options():
    @flow(name="sum")
    def adds(x):
        return x + 1

    assert isinstance(adds, Flow)
    assert adds.name == "sum"
    assert adds(1) == 2


def test_what_a_flow_knows():
    made = flow(add_up)

    assert made.fn is add_up
    assert made.name == "add-up"
    assert made.__name__ == "add_up"
    assert made.__doc__ == add_up.__doc__
    assert made.__module__ == __name__
    assert made.description.startswith("Add numbers up.")
    assert made.isasync is False
    assert made.flow_run_name is None
    assert made.retries == 0
    assert made.retry_delay_seconds == 0
    assert isinstance(made.task_runner, ConcurrentTaskRunner)
    assert made.timeout_seconds is None
    assert made.should_validate_parameters is True
    assert made.persist_result is made.result_storage is made.result_serializer is None
    assert made.cache_result_in_memory is True
    assert made.log_prints is None
    for hook in ("completion", "failure", "cancellation", "crashed", "running"):
        assert getattr(made, f"on_{hook}") is None
    assert "add-up" in repr(made)


def test_an_async_function_makes_an_async_flow():
    @flow
    async def fetches():
        return 1

    assert fetches.isasync is True


def test_the_version_is_a_hash_of_the_file_unless_given():
    assert flow(version="7")(add_up).version == "7"
    made = flow(add_up).version
    assert made == flow(a_hook).version
    assert made is not None
    assert len(made) >= 16


def test_no_version_where_there_is_no_file():
    scope: dict[str, Any] = {}
    exec("def typed_in(): pass", scope)

    assert flow(scope["typed_in"]).version is None


def test_the_description_may_be_given():
    assert flow(description="Sums.")(add_up).description == "Sums."


def test_the_schema_of_the_parameters():
    schema = flow(add_up).parameters

    assert schema["required"] == ["x"]
    assert schema["properties"]["x"]["type"] == "integer"
    assert schema["properties"]["x"]["description"] == "The first number."
    assert schema["properties"]["y"]["default"] == 2


@pytest.mark.parametrize("runner", [SequentialTaskRunner, SequentialTaskRunner()], ids=type)
def test_a_runner_is_given_as_class_or_instance(runner):
    assert isinstance(flow(task_runner=runner)(add_up).task_runner, SequentialTaskRunner)


@pytest.mark.parametrize(("given", "kept"), [(None, None), (0, None), (5, 5.0), (0.5, 0.5)])
def test_no_or_zero_seconds_are_no_timeout(given, kept):
    assert flow(timeout_seconds=given)(add_up).timeout_seconds == kept


def test_defaults_come_from_the_settings_when_the_flow_is_defined():
    settings = {
        "PENSTOCK_FLOW_DEFAULT_RETRIES": 3,
        "PENSTOCK_FLOW_DEFAULT_RETRY_DELAY_SECONDS": 7,
    }
    with temporary_settings(settings):
        made = flow(add_up)
        own = flow(retries=0, retry_delay_seconds=0)(add_up)

    assert (made.retries, made.retry_delay_seconds) == (3, 7)
    assert (own.retries, own.retry_delay_seconds) == (0, 0)


HOOKS = ["on_completion", "on_failure", "on_cancellation", "on_crashed", "on_running"]


@pytest.mark.parametrize("option", HOOKS)
def test_hooks_are_kept_as_a_list(option):
    assert getattr(flow(**{option: (a_hook,)})(add_up), option) == [a_hook]


class Callable:
    def __call__(self, x):
        return x + 1


def test_any_callable_makes_a_flow():
    assert flow(Callable())(1) == 2
    assert flow(Callable()).name == "Callable"
    assert flow(name="bound")(functools.partial(add_up, 1))() == 3
    assert flow(lambda: 3)() == 3


def named(options):
    """Name a case, the same in every process: without the addresses of functions."""
    return re.sub(r" at 0x[0-9a-f]+", "", str(options))[:60]


WRONG_OPTIONS = [
    ({"nam": "x"}, TypeError, r"'nam'.*[Dd]id you mean 'name'"),
    ({"retry": 3}, TypeError, r"'retry'.*[Dd]id you mean 'retries'"),
    ({"time_out_seconds": 3}, TypeError, "Did you mean 'timeout_seconds'"),
    ({"zzz": 3}, TypeError, "'zzz'.*It takes: name, version"),
    ({"name": 7}, TypeError, "Expected a str.*'name'.*int"),
    ({"name": add_up}, TypeError, r"Did you mean to call it.*@flow\(name="),
    *(
        ({"name": f"a{character}b"}, InvalidNameError, f"invalid character '{character}'")
        for character in "/%&><"
    ),
    ({"flow_run_name": 7}, TypeError, "str or a callable.*'flow_run_name'.*int"),
    ({"retries": -1}, ValueError, "'retries' of flow 'add-up' must not be negative, got -1"),
    ({"retries": "3"}, TypeError, "'retries'.*must be a number, not str"),
    ({"retries": 1.5}, TypeError, "'retries'.*whole number, got 1.5"),
    ({"retries": True}, TypeError, "'retries'.*must be a number, not bool"),
    ({"retry_delay_seconds": -1}, ValueError, "'retry_delay_seconds'.*not be negative"),
    ({"retry_delay_seconds": [1, 2]}, TypeError, "'retry_delay_seconds'.*a number, not list"),
    ({"timeout_seconds": -0.5}, ValueError, "'timeout_seconds'.*not be negative"),
    ({"timeout_seconds": "5"}, TypeError, "'timeout_seconds'.*a number, not str"),
    ({"timeout_seconds": float("nan")}, ValueError, "'timeout_seconds'"),
    ({"retry_delay_seconds": float("inf")}, ValueError, "'retry_delay_seconds'"),
    ({"task_runner": "threads"}, TypeError, "task_runner.*BaseTaskRunner.*str"),
    ({"task_runner": int}, TypeError, "task_runner.*BaseTaskRunner.*int"),
    *(({option: []}, ValueError, f"Empty list.*'{option}'") for option in HOOKS),
    *(({option: a_hook}, TypeError, f"list of callables.*'{option}'") for option in HOOKS),
    *(({option: ["x"]}, TypeError, f"callables in '{option}', got str") for option in HOOKS),
    ({"on_failure": 7}, TypeError, "list of callables.*'on_failure'.*int"),
    ({"on_failure": [None]}, TypeError, "without calling it"),
    ({"version": 7}, TypeError, "'version'.*int"),
    ({"description": 7}, TypeError, "'description'.*int"),
    ({"persist_result": "yes"}, TypeError, "'persist_result'.*str"),
    ({"log_prints": "yes"}, TypeError, "'log_prints'.*str"),
    ({"validate_parameters": "no"}, TypeError, "'validate_parameters'.*str"),
    ({"cache_result_in_memory": "no"}, TypeError, "'cache_result_in_memory'.*str"),
    ({"on_crash": "retry"}, ValueError, "'on_crash' of flow 'add-up' must be 'crash'.*'retry'"),
    ({"on_crash": True}, ValueError, "'on_crash'.*'resume'.*got True"),
]


@pytest.mark.parametrize(
    ("options", "error", "text"), WRONG_OPTIONS, ids=[named(case[0]) for case in WRONG_OPTIONS]
)
class TestWrongOptions:
    def test_at_definition(self, options, error, text):
        with pytest.raises(error, match=text):
            flow(**options)(add_up)

    def test_in_with_options(self, options, error, text):
        with pytest.raises(error, match=text):
            flow(add_up).with_options(**options)


@pytest.mark.parametrize("thing", [7, "text", None, [add_up]])
def test_what_is_no_function_makes_no_flow(thing):
    with pytest.raises(TypeError, match=r"must be callable.*@flow"):
        flow()(thing)
    if thing is not None:
        with pytest.raises(TypeError, match=r"must be callable.*@flow"):
            flow(thing)


@pytest.mark.parametrize("name", ["return_state", "wait_for"])
def test_reserved_parameters(name):
    scope: dict[str, Any] = {}
    exec(f"def collides(x, {name}): pass", scope)

    with pytest.raises(ReservedArgumentError, match=rf"{name}.*Rename"):
        flow(scope["collides"])


def test_a_signature_that_cannot_be_validated():
    def unusual(x: 7): ...

    with pytest.raises(ValueError, match="validate_parameters=False"):
        flow(unusual)
    assert flow(validate_parameters=False)(unusual).should_validate_parameters is False


def test_names_are_given_with_underscores_as_dashes_only_when_made():
    assert flow(name="my_flow")(add_up).name == "my_flow"


# -- with_options ---------------------------------------------------------------------------------

ALL_OPTIONS = {
    "name": "other",
    "version": "2",
    "flow_run_name": "run-{x}",
    "retries": 3,
    "retry_delay_seconds": 0.5,
    "description": "Other.",
    "timeout_seconds": 5.0,
    "persist_result": True,
    "result_storage": "local-file-system/x",
    "result_serializer": "json",
    "cache_result_in_memory": False,
    "log_prints": True,
    "on_completion": [a_hook],
    "on_failure": [a_hook],
    "on_cancellation": [a_hook],
    "on_crashed": [a_hook],
    "on_running": [a_hook],
    "on_crash": "resume",
}


def options_of(made):
    return {name: getattr(made, name) for name in ALL_OPTIONS} | {
        "task_runner": made.task_runner,
        "validate_parameters": made.should_validate_parameters,
    }


ALL_GIVEN = ALL_OPTIONS | {
    "task_runner": SequentialTaskRunner(),
    "validate_parameters": False,
}


def test_every_option_can_be_changed():
    plain = flow(add_up)
    before = options_of(plain)

    changed = plain.with_options(**ALL_GIVEN)

    assert options_of(changed) == ALL_GIVEN
    assert changed.fn is add_up
    assert options_of(plain) == before


def test_every_option_is_kept():
    made = flow(**ALL_GIVEN)(add_up)

    assert options_of(made.with_options()) == ALL_GIVEN
    assert made.with_options() is not made


def test_none_keeps_but_for_some():
    made = flow(**ALL_GIVEN)(add_up)

    kept = made.with_options(**dict.fromkeys(ALL_GIVEN))

    unset = {"persist_result", "result_storage", "result_serializer", "log_prints"}
    assert options_of(kept) == ALL_GIVEN | dict.fromkeys(unset)


def test_zero_unsets():
    made = flow(**ALL_GIVEN)(add_up)

    unset = made.with_options(retries=0, retry_delay_seconds=0, timeout_seconds=0)

    assert (unset.retries, unset.retry_delay_seconds) == (0, 0)
    assert unset.timeout_seconds is None


def test_hooks_given_replace():
    def another(flow, flow_run, state): ...

    made = flow(on_failure=[a_hook])(add_up).with_options(on_failure=[another])

    assert made.on_failure == [another]


def test_options_are_given_by_name_only():
    with pytest.raises(TypeError):
        flow(add_up).with_options("name")
    with pytest.raises(TypeError, match="'fn'"):
        flow(add_up).with_options(fn=a_hook)


def test_a_flow_with_other_options_is_a_flow():
    changed = flow(add_up).with_options(name="other")

    assert changed(1) == 3
    assert changed.name == "other"


# -- parameters -----------------------------------------------------------------------------------


def test_parameters_are_cast():
    assert flow(add_up).validate_parameters({"x": "1", "y": 2}) == {"x": 1, "y": 2}


def test_every_bad_parameter_is_listed():
    with pytest.raises(ParameterTypeError, match=r"(?s)x.*y") as caught:
        flow(add_up).validate_parameters({"x": "one", "y": "two"})

    assert "x" in str(caught.value)
    assert "y" in str(caught.value)


def test_unknown_names_are_refused():
    def plain(x: int): ...

    with pytest.raises(SignatureMismatchError, match="z"):
        flow(plain).validate_parameters({"x": 1, "z": 2})


class Strange:
    __slots__ = ()


def test_parameters_as_json():
    serialized = flow(add_up).serialize_parameters(
        {"x": 1, "y": [1, {"a": None}], "z": Strange(), "f": float("inf")}
    )

    assert serialized["x"] == 1
    assert serialized["y"] == [1, {"a": None}]
    assert serialized["z"] == "<Strange>"


BAD_CALLS = [((), {}), ((1,), {"x": 2}), ((), {"y": 1}), ((1,), {"unknown": 1})]


@pytest.mark.parametrize(("args", "kwargs"), BAD_CALLS, ids=str)
def test_a_call_that_does_not_fit_makes_no_run(args, kwargs):
    @flow
    def plain(x, y=2):
        raise AssertionError

    with pytest.raises(ParameterBindError, match=r"plain.*It takes \(x, y=2\)"):
        plain(*args, **kwargs)
    with pytest.raises(TypeError):
        plain(*args, **kwargs)
    with penstock.get_client(sync_client=True) as client:
        assert client.read_flow_runs() == []


# -- pickling -------------------------------------------------------------------------------------


@flow(name="at-top", retries=2, on_failure=[a_hook])
def at_top(x):
    return x + 1


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloud"])
def test_a_flow_can_be_pickled(dumps):
    back = pickle.loads(dumps(at_top))

    assert (back.name, back.retries) == ("at-top", 2)
    assert back(1) == 2
    assert back.fn is at_top.fn
    assert pickle.loads(dumps(at_top.with_options(name="other"))).name == "other"


def test_a_flow_made_in_a_function_can_be_pickled():
    @flow(retries=2)
    def inside(x):
        return x + 1

    back = pickle.loads(cloudpickle.dumps(inside))

    assert (back.name, back.retries) == ("inside", 2)
    assert back(1) == 2


# -- loading --------------------------------------------------------------------------------------

SCRIPT = """
from penstock import flow

calls = []

@flow
def first():
    calls.append("first")
    return 1

@flow(name="the second", description="Second.")
def second():
    return 2

answer = first()
if __name__ == "__main__":
    first()
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "some_flows.py"
    path.write_text(SCRIPT)
    yield path
    sys.modules.pop("some_flows", None)
    if str(tmp_path) in sys.path:
        sys.path.remove(str(tmp_path))


def test_a_flow_knows_where_it_is_loaded_from():
    assert at_top._entrypoint == at_top.entrypoint == f"{__file__}:at_top"


def test_a_flow_is_loaded_from_a_file(script):
    loaded = load_flow_from_entrypoint(f"{script}:second")

    assert loaded.name == "the second"
    assert loaded._entrypoint == f"{script}:second"
    assert loaded.entrypoint == f"{script}:second"
    assert loaded.with_options(name="x")._entrypoint == loaded._entrypoint
    assert loaded() == 2


def test_a_flow_is_loaded_from_a_module(script, monkeypatch):
    monkeypatch.syspath_prepend(script.parent)

    assert load_flow_from_entrypoint("some_flows.second").name == "the second"


def test_flows_that_a_script_calls_while_it_is_loaded_do_not_run(script, capsys):
    loaded = load_flow_from_script(script, "first")

    module = sys.modules["some_flows"]
    assert module.answer is None
    assert module.calls == []
    assert "is not run" in capsys.readouterr().err
    with penstock.get_client(sync_client=True) as client:
        assert client.read_flow_runs() == []
    assert loaded() == 1
    assert module.calls == ["first"]


def test_all_flows_of_a_script(script):
    assert [loaded.name for loaded in load_flows_from_script(script)] == ["first", "the second"]


@pytest.mark.parametrize("name", ["the second", "second"])
def test_one_of_several_flows_is_chosen_by_its_name(script, name):
    assert load_flow_from_script(script, name).name == "the second"


def test_one_of_several_flows_has_to_be_named(script):
    with pytest.raises(UnspecifiedFlowError, match="'first', 'the second'"):
        load_flow_from_script(script)


def test_a_flow_that_is_not_there(script):
    with pytest.raises(MissingFlowError, match=r"'third'.*some_flows.*first, second"):
        load_flow_from_entrypoint(f"{script}:third")
    with pytest.raises(MissingFlowError, match=r"'third' not found.*'first', 'the second'"):
        load_flow_from_script(script, "third")
    with pytest.raises(MissingFlowError, match="No flows found"):
        select_flow([])


def test_a_script_that_does_not_import(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("import no_such_module_anywhere")

    with pytest.raises(ScriptError, match=r"broken.py.*ModuleNotFoundError") as caught:
        load_flow_from_entrypoint(f"{path}:x")

    assert isinstance(caught.value.user_exc, ModuleNotFoundError)
    assert "broken" not in sys.modules


def test_a_script_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no_such\.py"):
        load_flow_from_entrypoint(f"{tmp_path}/no_such.py:x")


def test_an_entrypoint_that_is_none():
    with pytest.raises(ValueError, match=r"path/to/file.py:flow_name"):
        load_flow_from_entrypoint("nonsense")


def test_a_flow_from_text():
    assert load_flow_from_text(SCRIPT, "the second")() == 2


def test_an_argument_is_read_without_importing(tmp_path):
    path = tmp_path / "unread.py"
    path.write_text(
        textwrap.dedent("""
        import no_such_module_anywhere
        @flow
        def plain_one(): ...
        @penstock.flow(name="named", description="What it does.")
        async def another(): ...
        def no_flow(): ...
        """)
    )

    assert load_flow_argument_from_entrypoint(f"{path}:plain_one") == "plain-one"
    assert load_flow_argument_from_entrypoint(f"{path}:another") == "named"
    assert load_flow_argument_from_entrypoint(f"{path}:another", "description") == "What it does."
    assert load_flow_argument_from_entrypoint(f"{path}:plain_one", "description") is None
    with pytest.raises(MissingFlowError, match="no_flow"):
        load_flow_argument_from_entrypoint(f"{path}:no_flow")
