"""The ambient context: one object, contents of each thread's own (section 5.1)."""

from __future__ import annotations

import copy
import pickle
import threading

import cloudpickle
import pytest

from penstock.graph.ambient import Context, context
from penstock.graph.configuration import Config
from penstock.settings import PENSTOCK_GRAPH_CHECKPOINTING, temporary_settings


@pytest.fixture(autouse=True)
def nothing_stays():
    before = context.flat()
    yield
    assert context.flat() == before


def test_a_block_puts_keys_in_and_takes_them_out_again():
    with context({"a": 1, "b": 2}, b=3, c=4) as entered:
        assert entered is context
        assert (context.a, context["b"], context.get("c")) == (1, 3, 4)
        assert "a" in context
    assert "a" not in context


def test_blocks_nest():
    with context(a=1, b=1):
        with context(b=2, c=2):
            assert (context.a, context.b, context.c) == (1, 2, 2)
        assert (context.a, context.b, context.get("c")) == (1, 1, None)


def test_a_block_ends_also_by_an_exception():
    with pytest.raises(ZeroDivisionError), context(a=1):
        raise ZeroDivisionError
    assert "a" not in context


def test_what_a_block_sets_is_gone_when_it_ends():
    with context(a=1, gone=1):
        context.a = 2
        context["b"] = 3
        del context.gone
        assert (context.a, context.b, "gone" in context) == (2, 3, False)
    assert context.get("a") is context.get("b") is None


def test_what_was_put_in_is_not_changed_by_a_block():
    given = {"a": 1}
    with context(given):
        context.a = 2
        context.b = 3
    assert given == {"a": 1}


def test_a_block_is_entered_once_at_a_time():
    block = context(a=1)
    with block, pytest.raises(RuntimeError, match="entered already"), block:
        pass
    assert "a" not in context
    with block:
        assert context.a == 1


def test_one_mapping_is_taken():
    with pytest.raises(TypeError, match="one mapping of keys, not 2"):
        context({}, {})


def test_a_missing_key():
    with pytest.raises(AttributeError, match="no 'missing' here"):
        _ = context.missing
    with pytest.raises(KeyError, match="missing"):
        context["missing"]
    with pytest.raises(AttributeError, match="missing"):
        del context.missing
    with pytest.raises(KeyError, match="missing"):
        del context["missing"]
    assert context.get("missing") is None
    assert context.get("missing", 7) == 7
    assert not hasattr(context, "missing")


def test_it_is_a_mapping():
    with context(a=1, b=2):
        assert set(context) == {"a", "b", "config"}
        assert len(context) == 3
        assert dict(context) == context.copy() == {"a": 1, "b": 2, "config": context.config}
        assert set(context.keys()) == set(context)
        assert context.pop("a") == 1
        assert "a" not in context
        context.setdefault("c", []).append(1)
        assert context.c == [1]


def test_keys_that_are_no_names_can_be_read_as_items():
    with context({"a key": 1}):
        assert context["a key"] == 1


def test_each_thread_has_its_own_contents():
    seen = []

    def look():
        seen.append(context.get("a"))
        context.a = "the other thread's"
        seen.append(context.a)

    with context(a="this thread's"):
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        assert context.a == "this thread's"
    assert seen == [None, "the other thread's"]


def test_another_thread_is_given_the_contents_as_an_argument():
    seen = []

    def look(contents):
        with context(contents):
            seen.append(context.a)

    with context(a=1):
        thread = threading.Thread(target=look, args=(context.copy(),))
        thread.start()
        thread.join()
    assert seen == [1]


def test_copies_do_not_lead_back():
    with context(a=1):
        for taken in (context.copy(), context.flat()):
            taken["a"] = 2
            taken["b"] = 2
        assert context.a == 1
        assert "b" not in context


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps], ids=["pickle", "cloudpickle"])
def test_it_cannot_be_pickled(dumps):
    with context(a=1), pytest.raises(TypeError, match=r"cannot be pickled.*to_dict"):
        dumps(context)


def test_it_cannot_be_copied_as_an_object():
    with pytest.raises(TypeError, match="cannot be pickled"):
        copy.copy(context)


def test_plain_dictionaries_can_be_had():
    with context(a={"b": {"c": 1}}, config={"own": {"key": 2}}):
        plain = context.to_dict()
        assert plain["a"] == {"b": {"c": 1}}
        assert type(plain["config"]) is dict
        assert plain["config"]["own"] == {"key": 2}
        assert plain["config"]["flows"]["checkpointing"] is False
        assert pickle.loads(pickle.dumps(plain)) == plain
        plain["a"]["b"]["c"] = 2
        assert context.a["b"]["c"] == 1


def test_its_repr_is_short():
    with context(secret="x"):
        assert repr(context) == "<Context>"


def test_another_context_has_contents_of_its_own():
    other = Context()
    with context(a=1), other(b=2):
        assert other.get("a") is None
        assert context.get("b") is None


class TestConfig:
    """`context.config` is always there, and merged instead of replaced."""

    def test_it_is_there_without_a_block(self):
        assert context.config.flows.checkpointing is False
        assert context["config"]["flows"]["checkpointing"] is False
        assert context.get("config") is context.config
        assert "config" in context

    def test_it_is_merged_at_every_level(self):
        with context(config={"flows": {"checkpointing": True}, "own": 1}):
            config = context.config
            assert config.flows.checkpointing is True
            assert config.flows.run_on_schedule is True
            assert config.own == 1
            with context(config={"flows": {"own": 2}}):
                assert context.config.flows.checkpointing is True
                assert context.config.flows.own == 2
                assert context.config.own == 1
            assert context.config is config
        assert context.config.flows.checkpointing is False

    def test_other_dictionaries_are_replaced(self):
        with context(parameters={"a": 1}), context(parameters={"b": 2}):
            assert context.parameters == {"b": 2}

    def test_it_is_merged_too_where_it_is_set(self):
        with context():
            context.config = {"flows": {"checkpointing": True}}
            assert context.config.flows.checkpointing is True
            assert context.config.tasks.defaults.max_retries == 0
        assert context.config.flows.checkpointing is False

    def test_the_given_dictionary_is_not_changed(self):
        given = {"flows": {"checkpointing": True}}
        with context(config=given), context(config={"flows": {"own": 1}}):
            pass
        assert given == {"flows": {"checkpointing": True}}

    def test_handed_on_it_is_merged_once(self):
        with context(config={"flows": {"checkpointing": True}}):
            contents = context.flat()
        for _ in range(2):
            with context(contents) as here:
                merged = here.config
            with context(contents):
                assert context.config is merged
                assert merged.flows.checkpointing is True

    def test_it_follows_the_settings(self):
        with temporary_settings({PENSTOCK_GRAPH_CHECKPOINTING: True}):
            assert context.config.flows.checkpointing is True
        assert context.config.flows.checkpointing is False

    def test_what_is_no_tree_is_refused(self):
        with (
            pytest.raises(TypeError, match="must be a dictionary, not 5"),
            context(config=5, a=1),
        ):
            pass
        assert "a" not in context
        assert isinstance(context.config, Config)
