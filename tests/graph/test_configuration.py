"""The configuration of graphs as a tree, made of settings."""

from __future__ import annotations

import pickle

import pytest

from penstock import settings as s
from penstock.graph import configuration
from penstock.graph.ambient import context
from penstock.graph.configuration import Config, find_class
from penstock.graph.executors import LocalExecutor
from penstock.graph.flow_runner import FlowRunner
from penstock.graph.task_runner import TaskRunner


def at(path: str):
    value = context.config
    for part in path.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize(
    ("path", "setting", "default", "other"),
    [
        ("flows.checkpointing", s.PENSTOCK_GRAPH_CHECKPOINTING, False, True),
        ("flows.eager_edge_validation", s.PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION, False, True),
        ("flows.run_on_schedule", s.PENSTOCK_GRAPH_RUN_ON_SCHEDULE, True, False),
        ("tasks.defaults.max_retries", s.PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES, 0, 3),
        (
            "tasks.defaults.retry_delay",
            s.PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS,
            None,
            0.5,
        ),
        (
            "engine.executor.default_class",
            s.PENSTOCK_GRAPH_EXECUTOR,
            "penstock.graph.executors.LocalExecutor",
            "mine.Executor",
        ),
        (
            "engine.flow_runner.default_class",
            s.PENSTOCK_GRAPH_FLOW_RUNNER,
            "penstock.graph.flow_runner.FlowRunner",
            "mine.FlowRunner",
        ),
        (
            "engine.task_runner.default_class",
            s.PENSTOCK_GRAPH_TASK_RUNNER,
            "penstock.graph.task_runner.TaskRunner",
            "mine.TaskRunner",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)
def test_each_setting_has_its_place(path, setting, default, other):
    assert setting.value() == default
    assert at(path) == default
    with s.temporary_settings({setting: other}):
        assert at(path) == other
    assert at(path) == default


def test_every_place_has_a_setting():
    for name in configuration.PATHS.values():
        assert f"PENSTOCK_{name.upper()}" in s.SETTINGS


def test_the_environment_is_read(monkeypatch):
    monkeypatch.setenv("PENSTOCK_GRAPH_CHECKPOINTING", "true")
    s.reload_settings()
    assert context.config.flows.checkpointing is True
    monkeypatch.undo()
    s.reload_settings()


class TestConfig:
    def test_it_is_read_by_attributes_and_items(self):
        config = Config({"a": {"b": 1}, "c": None})
        assert config.a.b == config["a"]["b"] == 1
        assert config.c is None
        assert config.get("d") is None
        assert list(config) == ["a", "c"]
        assert len(config) == 2

    def test_what_is_missing_is_said_with_what_there_is(self):
        config = Config({"a": {"b": 1}})
        with pytest.raises(AttributeError, match="has no 'c' here; it has b"):
            _ = config.a.c
        with pytest.raises(KeyError, match="c"):
            config["c"]

    def test_merging_leaves_both_as_they_were(self):
        ours, theirs = Config({"a": {"b": 1, "c": 1}, "d": 1}), {"a": {"c": 2}, "d": {"e": 2}}
        merged = ours.merged(theirs)
        assert merged.to_dict() == {"a": {"b": 1, "c": 2}, "d": {"e": 2}}
        assert ours.to_dict() == {"a": {"b": 1, "c": 1}, "d": 1}
        assert theirs == {"a": {"c": 2}, "d": {"e": 2}}

    def test_merging_with_itself_or_the_same_again_makes_nothing_new(self):
        config, over = Config({"a": 1}), Config({"b": 2})
        assert config.merged(config) is config
        assert config.merged(over) is config.merged(over)
        assert config.merged(over).to_dict() == {"a": 1, "b": 2}

    def test_it_cannot_be_changed(self):
        config = Config({"a": 1})
        with pytest.raises(AttributeError):
            config.a = 2
        with pytest.raises(TypeError):
            config["a"] = 2

    def test_it_is_pickled_and_compared_by_what_is_in_it(self):
        config = Config({"a": {"b": 1}})
        assert pickle.loads(pickle.dumps(config)) == config
        assert pickle.loads(pickle.dumps(config)).a.b == 1
        assert repr(config) == "<Config {'a': {'b': 1}}>"
        assert config == Config({"a": {"b": 1}}) != Config({"a": {"b": 2}})


class TestFindClass:
    @pytest.mark.parametrize(
        ("setting", "kind"),
        [
            (s.PENSTOCK_GRAPH_EXECUTOR, LocalExecutor),
            (s.PENSTOCK_GRAPH_FLOW_RUNNER, FlowRunner),
            (s.PENSTOCK_GRAPH_TASK_RUNNER, TaskRunner),
        ],
        ids=lambda value: getattr(value, "name", ""),
    )
    def test_the_defaults_are_the_built_in_classes(self, setting, kind):
        assert find_class(setting.value(), kind) is kind

    def test_a_name_is_imported(self):
        assert find_class("fractions.Fraction", dict).__name__ == "Fraction"

    @pytest.mark.parametrize("name", ["no.such.Thing", "fractions.NoSuch", "Nothing", ""])
    def test_a_name_that_cannot_be_imported_warns(self, name):
        with pytest.warns(UserWarning, match=f"Could not import '{name}'.*dict is used instead"):
            assert find_class(name, dict) is dict

    def test_a_class_is_taken_as_it_is(self):
        assert find_class(list, dict) is list
        assert find_class(None, dict) is dict
