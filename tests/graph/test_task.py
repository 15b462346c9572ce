"""Tasks of a graph: their options, copies and signatures; functions as tasks."""

from __future__ import annotations

import datetime as dt
import functools
import inspect
import logging
import warnings
from typing import Any, Optional, Tuple  # noqa: UP035 - users write it so

import cloudpickle
import pytest

from penstock import clock
from penstock.graph import Edge, Flow, Parameter, Task, context, pause_task, tags, task
from penstock.graph.cache_validators import all_inputs, duration_only, never_use
from penstock.graph.results import LocalResult, PrefectResult, Result
from penstock.graph.signals import PAUSE
from penstock.graph.state import Failed, Retrying, Success, TriggerFailed
from penstock.graph.task import FunctionTask, defaults_from_attrs
from penstock.graph.triggers import all_failed, all_successful
from penstock.graph.wrapping import Constant
from penstock.settings import (
    PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES,
    PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS,
    temporary_settings,
)

MINUTE = dt.timedelta(minutes=1)


class Add(Task):
    def run(self, x, y=1):
        return x + y


@task
def add(x, y=1):
    """Add two numbers."""
    return x + y


# -- what is there without options ----------------------------------------------------------------


def test_options_that_are_not_given():
    expected = {
        "name": "Task",
        "slug": None,
        "tags": set(),
        "max_retries": 0,
        "retry_delay": None,
        "retry_on": None,
        "timeout": None,
        "trigger": all_successful,
        "skip_on_upstream_skip": True,
        "cache_for": None,
        "cache_validator": never_use,
        "cache_key": None,
        "checkpoint": None,
        "state_handlers": [],
        "log_stdout": False,
        "result": None,
        "target": None,
        "task_run_name": None,
        "nout": None,
        "auto_generated": False,
    }
    made = Task()
    assert {key: getattr(made, key) for key in expected} == expected
    assert made.run() is None
    with pytest.raises(TypeError):
        made.run(1)


def test_options_are_kept():
    given = {
        "name": "n",
        "slug": "s",
        "max_retries": 2,
        "retry_delay": MINUTE,
        "timeout": 5,
        "trigger": all_failed,
        "skip_on_upstream_skip": False,
        "cache_for": MINUTE,
        "cache_validator": all_inputs,
        "cache_key": "k",
        "checkpoint": False,
        "log_stdout": True,
        "result": PrefectResult(),
        "task_run_name": "{x}",
        "nout": 3,
    }
    made = Add(**given)
    assert {key: getattr(made, key) for key in given} == given
    assert repr(made) == "<Task: n>"


@pytest.mark.parametrize(
    ("made", "name"),
    [
        (Task(), "Task"),
        (Add(), "Add"),
        (Add(name="other"), "other"),
        (add, "add"),
        (task(lambda: 1), "<lambda>"),
        (task(functools.partial(lambda x: x)), "partial"),
        (task(name="other")(lambda: 1), "other"),
    ],
    ids=["task", "class", "named", "function", "lambda", "partial", "named-function"],
)
def test_names(made, name):
    assert made.name == name
    assert made.logger is logging.getLogger(f"penstock.graph.{name}")


def test_a_logger_can_be_set():
    made = Task()
    made.logger = logging.getLogger("own")
    assert made.logger.name == made.copy().logger.name == "own"


# -- tags -----------------------------------------------------------------------------------------


def test_tags_are_a_set_with_those_of_the_block():
    assert Task(tags=["a", "b", "a"]).tags == {"a", "b"}
    with tags("x"), tags("y", "z"):
        assert Task(tags=["a"]).tags == {"a", "x", "y", "z"}
        assert context.tags == {"x", "y", "z"}
    assert Task().tags == set()
    assert context.get("tags") is None


def test_a_text_is_no_set_of_tags():
    with pytest.raises(TypeError, match=r"task 'n'.*tags=\['nightly'\]"):
        Task(name="n", tags="nightly")
    with pytest.raises(TypeError, match="Task"):
        Task().copy(tags="nightly")


def test_tags_of_the_block_are_taken_when_a_task_is_copied_or_bound():
    made = Add(tags=["a"])
    with tags("x"):
        assert made.copy().tags == {"a", "x"}
    assert made.tags == {"a"}
    with Flow("f"):
        with tags("call"):
            called = made(1)
        with tags("bind"):
            made.bind(1)
    assert called.tags == {"a", "call"}
    assert made.tags == {"a", "bind"}


# -- retries --------------------------------------------------------------------------------------


class _Handle:
    def __call__(self, *_):
        """Be told of a change of state."""

    def __repr__(self):
        return "handle"


handle = _Handle()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"max_retries": 1}, ValueError, "`retry_delay` must be provided if max_retries > 0"),
        ({"retry_delay": MINUTE}, ValueError, "`max_retries` argument greater than 0 must be"),
        (
            {"retry_delay": MINUTE, "max_retries": 0},
            ValueError,
            "`max_retries` argument greater than 0",
        ),
        ({"retry_delay": MINUTE, "max_retries": None}, ValueError, "argument greater than 0"),
        ({"retry_delay": MINUTE, "max_retries": False}, ValueError, "argument greater than 0"),
        ({"retry_on": OSError}, ValueError, "`max_retries` argument greater than 0"),
        ({"max_retries": -1, "retry_delay": MINUTE}, ValueError, "from 0 up, not -1"),
        ({"max_retries": "2", "retry_delay": MINUTE}, TypeError, "from 0 up, not '2'"),
        ({"max_retries": 1, "retry_delay": 60}, TypeError, "timedelta, not 60"),
        ({"max_retries": 1, "retry_delay": MINUTE, "retry_on": 5}, TypeError, "5 is none"),
        ({"max_retries": 1, "retry_delay": MINUTE, "retry_on": "OSError"}, TypeError, "is none"),
        ({"max_retries": 1, "retry_delay": MINUTE, "retry_on": [1, 2]}, TypeError, "is none"),
        ({"max_retries": 1, "retry_delay": MINUTE, "retry_on": OSError()}, TypeError, "is none"),
        ({"max_retries": 1, "retry_delay": MINUTE, "retry_on": int}, TypeError, "int.* is none"),
        (
            {"max_retries": 1, "retry_delay": MINUTE, "retry_on": [OSError, KeyboardInterrupt]},
            TypeError,
            "KeyboardInterrupt.* is none",
        ),
        ({"timeout": 1.5}, TypeError, "whole number of seconds or a timedelta, not 1.5"),
        ({"timeout": "5"}, TypeError, "whole number of seconds"),
        ({"timeout": True}, TypeError, "whole number of seconds"),
        ({"state_handlers": handle}, TypeError, "must be a sequence"),
        ({"state_handlers": {1}}, TypeError, "must be a sequence"),
        ({"state_handlers": "handler"}, TypeError, "must be a sequence"),
        ({"state_handlers": [1]}, TypeError, "1 is none"),
    ],
    ids=str,
)
def test_options_that_cannot_be(options, error, message):
    with pytest.raises(error, match=message) as caught:
        Task(name="bad-one", **options)
    assert "'bad-one'" in str(caught.value)
    assert not isinstance(caught.value, UnicodeError)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (OSError, {OSError}),
        ([OSError, KeyError], {OSError, KeyError}),
        ((OSError,), {OSError}),
        ({KeyError}, {KeyError}),
        (None, None),
    ],
    ids=["type", "list", "tuple", "set", "none"],
)
def test_exceptions_to_retry_on(given, kept):
    assert Task(max_retries=1, retry_delay=MINUTE, retry_on=given).retry_on == kept


def test_retries_by_the_settings():
    with temporary_settings({PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS: 5}):
        assert Task(max_retries=2).retry_delay == dt.timedelta(seconds=5)
        assert Task(max_retries=2, retry_delay=MINUTE).retry_delay == MINUTE
        assert Task().retry_delay is None
    with temporary_settings(
        {PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS: 5, PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES: 3}
    ):
        assert (Task().max_retries, Task().retry_delay) == (3, dt.timedelta(seconds=5))
        assert Task(max_retries=0).max_retries == 0
    with context(config={"tasks": {"defaults": {"max_retries": 2}}}):
        assert Task(retry_delay=MINUTE).max_retries == 2


# -- timeouts, caches, results --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kept"), [(None, None), (5, 5), (MINUTE, 60), (dt.timedelta(days=1), 86400), (0, 0)]
)
def test_timeouts_are_whole_seconds(given, kept):
    assert Task(timeout=given).timeout == kept


def test_a_fraction_of_a_timeout_is_cut_off_with_a_warning():
    with pytest.warns(UserWarning, match="'n', 0:00:03.500000, is truncated"):
        made = Task(name="n", timeout=dt.timedelta(seconds=3, milliseconds=500))
    assert made.timeout == 3


def test_cache_validators():
    assert Task().cache_validator is never_use
    assert Task(cache_for=MINUTE).cache_validator is duration_only
    assert Task(cache_for=MINUTE, cache_validator=all_inputs).cache_validator is all_inputs
    assert Task(cache_validator=never_use).cache_validator is never_use
    with pytest.warns(UserWarning, match="'n'.*will not be cached"):
        Task(name="n", cache_validator=all_inputs)


def test_a_result_with_a_target_is_copied_there():
    result = LocalResult()
    made = Task(result=result, target="a/{x}")
    assert made.target == made.result.location == "a/{x}"
    assert made.result is not result
    assert result.location is None
    same = Task(result=Result(location="a"), target="a")
    assert same.result.location == "a"
    assert Task(target="a").result is None
    alone = LocalResult()
    assert Task(result=alone).result is alone


def test_a_target_may_be_a_function():
    made = Task(result=Result(), target=lambda **_: "there")
    assert made.result.location is None
    assert made.result.format().location == "there"


def test_a_result_that_is_elsewhere_than_the_target():
    with pytest.warns(UserWarning, match="`target` were provided for task 'n'"):
        made = Task(name="n", result=Result(location="a"), target="b")
    assert made.result.location == "b"


# -- handlers -------------------------------------------------------------------------------------


def test_on_failure_is_a_handler_that_is_told_of_failures():
    told = []
    given = [lambda *_: None]
    made = Task(state_handlers=given, on_failure=lambda *about: told.append(about))
    assert len(made.state_handlers) == 2
    assert len(given) == 1
    for state in (Success(), Retrying(), Failed("no"), TriggerFailed("no")):
        assert made.state_handlers[-1](made, None, state) is None
    assert [(who, type(state)) for who, state in told] == [(made, Failed), (made, TriggerFailed)]


@pytest.mark.parametrize("given", [None, [], ()])
def test_no_handlers(given):
    assert Task(state_handlers=given).state_handlers == []


# -- run ------------------------------------------------------------------------------------------


def test_variable_positional_arguments_have_no_names():
    with pytest.raises(ValueError, match=r"\*values.*'Bad'"):

        class Bad(Task):
            def run(self, x, *values):
                return x, values

    with pytest.raises(ValueError, match=r"\*values.*'bad'"):

        @task
        def bad(*values):
            return values


@pytest.mark.parametrize("name", ["upstream_tasks", "mapped", "task_args", "flow"])
def test_names_of_the_call_itself(name):
    scope: dict[str, Any] = {}
    exec(f"def bad(x, {name}): ...\ndef run(self, {name}=1): ...", scope)
    with pytest.raises(ValueError, match=f"{name!r}.*reserved"):
        task(scope["bad"])
    with pytest.raises(ValueError, match=f"'Bad'.*{name!r}.*reserved"):
        type("Bad", (Task,), {"run": scope["run"]})

    @functools.wraps(scope["bad"])
    def wrapper(**kwargs):
        return kwargs

    with pytest.raises(ValueError, match=f"{name!r}.*reserved"):
        task(functools.wraps(wrapper)(lambda **kwargs: kwargs))


def test_functions_that_do_not_tell_what_they_take():
    with pytest.raises(ValueError, match=r"task 'min' cannot be told.*Wrap it"):
        task(min)


def test_positional_only_arguments_have_no_names():
    with pytest.raises(TypeError, match="'sorted' has positional-only arguments: iterable"):
        task(sorted)
    with pytest.raises(TypeError, match="'bad' has positional-only arguments: x, y"):

        @task
        def bad(x, y, /, z):
            return x, y, z

    class Bad(Task):
        def run(self, x, /):
            return x

    with pytest.raises(TypeError, match="'named' has positional-only arguments: x"):
        Bad(name="named")


@pytest.mark.parametrize("value", [1, "text", [1]])
def test_only_what_can_be_called_is_a_function(value):
    with pytest.raises(TypeError, match=f"callable, not .*{value}"):
        task(value)
    with pytest.raises(TypeError, match="callable, not None"):
        FunctionTask(None)


def test_run_may_be_static_or_of_the_class():
    class Static(Task):
        @staticmethod
        def run(x):
            return x

    class OfClass(Task):
        @classmethod
        def run(cls, x):
            return cls.__name__, x

    with Flow("f") as flow:
        one, two = Static()(1), OfClass()(2)
    result = flow.run().result
    assert result[one].result == 1
    assert result[two].result == ("OfClass", 2)


def test_callable_objects_without_a_hash_are_functions_too():
    class Call:
        __hash__ = None

        def __call__(self, x):
            return x + 1

    with Flow("f") as flow:
        found = task(Call())(1)
    assert flow.run().result[found].result == 2


# -- warnings -------------------------------------------------------------------------------------


def test_a_task_given_to_a_constructor_is_probably_meant_to_be_bound():
    with pytest.warns(UserWarning, match=r"constructor of Add.*Add\(\.\.\.\)\(task\)"):
        Add(Task())
    with pytest.warns(UserWarning, match="constructor of Add"):
        Add(name=Task())


def test_attributes_that_the_constructor_will_overwrite():
    class Early(Task):
        def __init__(self, **kwargs):
            self.own = 1
            self.max_retries = 3
            self.result = None
            super().__init__(**kwargs)

    with pytest.warns(UserWarning, match="`Early` sets `max_retries`, `result` before"):
        made = Early()
    assert (made.own, made.max_retries) == (1, 0)


# -- signatures -----------------------------------------------------------------------------------


def test_the_signature_of_calling_a_task():
    def own(**more):
        return more

    expected = "(x, y=1, *, mapped=False, task_args=None, upstream_tasks=None, flow=None)"
    for made in (add, Add()):
        assert str(inspect.signature(made)) == f"{expected} -> 'Task'"
    assert str(inspect.signature(task(own))) == (
        "(*, mapped=False, task_args=None, upstream_tasks=None, flow=None, **more) -> 'Task'"
    )


def test_the_signature_of_a_class_is_that_of_its_constructor():
    class Own(Task):
        def __init__(self, special, **kwargs):
            self.special = special
            super().__init__(**kwargs)

    assert list(inspect.signature(Own).parameters) == ["special", "kwargs"]
    assert list(inspect.signature(Task).parameters)[:3] == ["name", "slug", "tags"]
    assert list(inspect.signature(Add).parameters)[-1] == "nout"


def test_inputs_and_outputs():
    def typed(
        a: int, b: str = "b", *, c: list[int] | None = None, **rest: float
    ) -> "dict[str, int]":  # noqa: UP037
        return {}

    made = task(typed)
    assert made.inputs() == {
        "a": {"type": int, "default": None, "required": True},
        "b": {"type": str, "default": "b", "required": False},
        "c": {"type": list[int] | None, "default": None, "required": False},
        "rest": {"type": float, "default": None, "required": False},
    }
    assert made.outputs() == dict[str, int]
    assert add.inputs()["x"] == {"type": Any, "default": None, "required": True}
    assert add.outputs() is Any
    assert Task().inputs() == {}


def test_types_that_are_not_there_when_the_graph_is_made():
    def typed(a: Missing) -> Missing:  # noqa: F821
        return a

    made = task(typed)
    assert made.inputs()["a"]["type"] == made.outputs() == "Missing"
    assert made.nout is None


def plain(x) -> tuple[int, str]: ...
def nothing(x) -> tuple[()]: ...
def many(x) -> tuple[int, ...]: ...
def bare(x) -> tuple: ...
def older(x) -> Tuple[int, str, int]: ...  # noqa: UP006
def older_bare(x) -> Tuple: ...  # noqa: UP006
def optional(x) -> Optional[tuple[int, int]]: ...  # noqa: UP045
def lists(x) -> list[int]: ...
def unknown(x) -> tuple[Missing, int]: ...  # noqa: F821


@pytest.mark.parametrize(
    ("function", "nout"),
    [
        (plain, 2),
        (nothing, 0),
        (many, None),
        (bare, None),
        (older, 3),
        (older_bare, None),
        (optional, None),
        (lists, None),
        (unknown, None),
    ],
)
def test_how_many_values_it_gives_is_seen_from_the_annotation(function, nout):
    assert task(function).nout == nout
    assert task(function, nout=7).nout == 7
    assert task(function).copy(nout=5).nout == 5


# -- copies ---------------------------------------------------------------------------------------


def test_a_copy_is_the_same_but_for_what_is_given():
    made = Add(name="a", tags=["t"], max_retries=2, retry_delay=MINUTE)
    copied = made.copy(name="b", max_retries=3)
    assert (copied.name, copied.max_retries, copied.retry_delay) == ("b", 3, MINUTE)
    assert (made.name, made.max_retries) == ("a", 2)
    assert copied.run(1, 2) == 3
    assert copied.logger.name == "penstock.graph.b"


def test_an_attribute_that_a_task_does_not_have():
    for made in (Add(name="n"), add):
        with pytest.raises(AttributeError, match=f"{made.name!r}.*'colour'"):
            made.copy(colour="red")
        with Flow("f"), pytest.raises(AttributeError, match="'colour'"):
            made(1, task_args={"colour": "red"})
        with Flow("f"), pytest.raises(AttributeError, match="'colour'"):
            made.map([1], task_args={"colour": "red"})


@pytest.mark.parametrize(
    ("slug", "options", "expected"),
    [
        (None, {}, None),
        ("s", {}, "s-copy"),
        ("s", {"slug": "other"}, "other"),
        (None, {"slug": "other"}, "other"),
    ],
)
def test_slugs_of_copies(slug, options, expected):
    assert Task(slug=slug).copy(**options).slug == expected


def test_tags_of_copies_are_those_of_both_and_stay_theirs():
    made = Task(tags=["a"])
    copied = made.copy(tags=["b"])
    assert copied.tags == {"a", "b"}
    copied.tags.add("c")
    assert made.tags == {"a"}


def test_handlers_of_copies_stay_theirs():
    made = Task(state_handlers=[lambda *_: None])
    made.copy().state_handlers.append(lambda *_: None)
    assert len(made.state_handlers) == 1


def test_results_and_targets_of_copies():
    made = Task(result=Result())
    copied = made.copy(target="there")
    assert copied.result.location == copied.target == "there"
    assert made.result.location is None
    with pytest.warns(UserWarning, match="`target` is"):
        assert copied.copy(target="elsewhere").result.location == "elsewhere"


@pytest.mark.parametrize(
    ("options", "changes", "expected"),
    [
        ({}, {"timeout": MINUTE}, {"timeout": 60}),
        ({}, {"cache_for": MINUTE}, {"cache_validator": duration_only}),
        ({"cache_for": MINUTE}, {"cache_for": None}, {"cache_validator": never_use}),
        (
            {"cache_for": MINUTE, "cache_validator": all_inputs},
            {"cache_for": 2 * MINUTE},
            {"cache_validator": all_inputs},
        ),
        (
            {"max_retries": 2, "retry_delay": MINUTE, "retry_on": OSError},
            {"max_retries": 0},
            {"retry_delay": None, "retry_on": None},
        ),
        (
            {"max_retries": 2, "retry_delay": MINUTE},
            {"retry_on": OSError},
            {"retry_on": {OSError}},
        ),
        ({}, {"max_retries": 1, "retry_delay": MINUTE}, {"max_retries": 1}),
    ],
)
def test_options_of_copies_are_made_of_what_is_given(options, changes, expected):
    copied = Task(**options).copy(**changes)
    assert {key: getattr(copied, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"max_retries": 2}, ValueError),
        ({"retry_delay": MINUTE}, ValueError),
        ({"retry_on": OSError}, ValueError),
        ({"timeout": "1"}, TypeError),
        ({"state_handlers": 5}, TypeError),
    ],
    ids=str,
)
def test_options_that_a_copy_cannot_have(changes, error):
    with pytest.raises(error, match="'n'"):
        Task(name="n").copy(**changes)


def test_copying_a_task_that_is_bound_already_is_probably_a_mistake():
    with Flow("f") as flow:
        bound = Add().bind(1)
        with pytest.warns(UserWarning, match="copy of task 'Add'.*edges in flow 'f'"):
            bound.copy(name="unused", slug="u").bind(2)
        alone = flow.add_task(Task("alone"))
        flow.add_task(alone.copy())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bound.copy()


# -- functions ------------------------------------------------------------------------------------


def test_a_function_keeps_what_it_says_of_itself():
    assert add.__doc__ == "Add two numbers."
    assert add.__name__ == "add"
    assert add.__wrapped__ is add.run
    assert add.run(1, 2) == 3
    assert type(add) is FunctionTask


def test_the_decorator_with_and_without_options():
    def body(x):
        return x

    for made in (task(body), task()(body), task(fn=body), task(body, tags=["a"]).copy()):
        assert isinstance(made, FunctionTask)
        assert made.run(1) == 1
    assert task(max_retries=1, retry_delay=MINUTE)(body).max_retries == 1
    with pytest.raises(TypeError, match="colour"):
        task(colour="red")(body)


def test_taking_a_task_for_its_result():
    with pytest.raises(AttributeError, match=r"'add'.*'upper'.*decorated with @task"):
        add.upper()
    assert not hasattr(add, "__missing__")


def test_tasks_can_be_pickled():
    for made in (add, Add(name="a", tags=["t"]), task(lambda x, y: x + y), Constant(3)):
        copied = cloudpickle.loads(cloudpickle.dumps(made))
        assert (copied.name, copied.tags) == (made.name, made.tags)
    assert cloudpickle.loads(cloudpickle.dumps(add)).run(1, 2) == 3


def test_tasks_are_themselves_as_keys():
    one, two = Task("a"), Task("a")
    assert len({one, two}) == 2
    assert one != two
    assert {one: 1}[one] == 1


# -- pausing and defaults -------------------------------------------------------------------------


def test_pausing():
    with pytest.raises(PAUSE) as caught:
        pause_task("wait for it")
    assert caught.value.state.message == "wait for it"
    assert caught.value.state.start_time is None
    with pytest.raises(PAUSE) as caught:
        pause_task(duration=MINUTE)
    left = caught.value.state.start_time - clock.now()
    assert dt.timedelta(0) < left <= MINUTE
    with context(resume=True):
        assert pause_task() is None


def test_arguments_from_attributes():
    class Power(Task):
        def __init__(self, base=None, exponent=None, **kwargs):
            self.base, self.exponent = base, exponent
            super().__init__(**kwargs)

        @defaults_from_attrs("base", "exponent")
        def run(self, base=None, exponent=None, other=0):
            """Raise a number."""
            return base, exponent, other

    made = Power(2, 3)
    assert made.run() == (2, 3, 0)
    assert made.run(5) == (5, 3, 0)
    assert made.run(5, 6, 7) == (5, 6, 7)
    assert made.run(base=None) == (None, 3, 0)
    assert made.run(exponent=4, other=1) == (2, 4, 1)
    assert made.run.__doc__ == "Raise a number."
    with Flow("f") as flow:
        found = made(exponent=Parameter("e", default=9))
    assert flow.run().result[found].result == (2, 9, 0)
    assert list(made.inputs()) == ["base", "exponent", "other"]


def test_what_is_written_as_json():
    written = Add(
        name="n",
        tags=["b", "a"],
        max_retries=1,
        retry_delay=MINUTE,
        cache_for=MINUTE,
        trigger=all_failed,
    ).serialize()
    assert written["name"] == "n"
    assert written["tags"] == ["a", "b"]
    assert written["retry_delay"] == written["cache_for"] == 60
    assert written["trigger"] == "all_failed"
    assert written["inputs"]["y"] == {"type": str(Any), "default": 1, "required": False}


def test_an_edge_needs_no_more_than_a_task():
    assert Edge(add, Add()).tasks
