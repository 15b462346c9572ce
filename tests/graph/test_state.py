"""States of graphs: fields, predicates, comparison, copies and pickles (sections 1.1 to 1.8)."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import threading

import cloudpickle
import pytest

from penstock import clock
from penstock.graph import state as states
from penstock.graph.ambient import context
from penstock.graph.results import LocalResult, NoResult, PrefectResult, Result
from penstock.graph.signals import FAIL
from penstock.graph.state import (
    Cached,
    ClientFailed,
    Failed,
    Looped,
    Mapped,
    Paused,
    Pending,
    Queued,
    Resume,
    Retrying,
    Running,
    Scheduled,
    Skipped,
    State,
    Submitted,
    Success,
)

UTC = dt.UTC
NOON = dt.datetime(2013, 1, 1, 12, tzinfo=UTC)
KINDS = [getattr(states, name) for name in states.__all__]
SCHEDULED = [Scheduled, Paused, Resume, Retrying]
META = [ClientFailed, Submitted, Queued]

# Class: its parents, and which predicates hold.
TREE = {
    "State": ("", ""),
    "Pending": ("State", "pending"),
    "Scheduled": ("Pending State", "pending scheduled"),
    "Paused": ("Scheduled Pending State", "pending scheduled"),
    "Resume": ("Scheduled Pending State", "pending scheduled"),
    "Retrying": ("Scheduled Pending State", "pending scheduled retrying"),
    "Running": ("State", "running"),
    "Cancelling": ("Running State", "running"),
    "Finished": ("State", "finished"),
    "Looped": ("Finished State", "finished looped"),
    "Cancelled": ("Finished State", "finished"),
    "Success": ("Finished State", "finished successful"),
    "Cached": ("Success Finished State", "cached finished successful"),
    "Mapped": ("Success Finished State", "finished mapped successful"),
    "Skipped": ("Success Finished State", "finished successful skipped"),
    "Failed": ("Finished State", "finished failed"),
    "TimedOut": ("Failed Finished State", "finished failed"),
    "TriggerFailed": ("Failed Finished State", "finished failed"),
    "ValidationFailed": ("Failed Finished State", "finished failed"),
    "ClientFailed": ("State", "meta_state"),
    "Submitted": ("State", "meta_state submitted"),
    "Queued": ("State", "meta_state queued scheduled"),
}


def of_all(kinds):
    return pytest.mark.parametrize("kind", kinds, ids=lambda kind: kind.__name__)


# -- the classes ----------------------------------------------------------------------------------


def test_the_table_has_every_class():
    assert set(TREE) == set(states.__all__)


@of_all(KINDS)
def test_each_class_has_its_place(kind):
    assert kind.parents(names_only=True) == TREE[kind.__name__][0].split()


@of_all(KINDS)
def test_each_predicate_holds_where_the_table_says(kind):
    state = kind()
    predicates = {name for name in dir(State) if name.startswith("is_")}
    held = {name for name in predicates if getattr(state, name)()}
    assert held == {f"is_{name}" for name in TREE[kind.__name__][1].split()}
    assert len(predicates) == 14


@of_all(KINDS)
def test_there_are_no_other_predicates(kind):
    assert not hasattr(kind, "is_paused")
    assert not hasattr(kind, "is_cancelled")


@of_all(KINDS)
def test_each_class_has_a_colour(kind):
    assert kind.color.startswith("#")


@of_all(KINDS)
def test_only_what_is_scheduled_has_a_start_time(kind):
    assert hasattr(kind(), "start_time") is (kind in [*SCHEDULED, Queued])


class TestFamily:
    def test_children(self):
        assert State.children(names_only=True, include_self=True)[-1] == "State"
        ours = [kind for kind in State.children() if kind in KINDS]
        assert set(ours) == set(KINDS) - {State}
        assert len(ours) == len(set(ours))
        assert {kind.__name__ for kind in Success.children()} >= {"Cached", "Mapped", "Skipped"}
        assert all(isinstance(name, str) for name in State.children(names_only=True))

    def test_a_leaf_has_none(self):
        assert Skipped.children() == []
        assert Skipped.children(include_self=True) == [Skipped]

    def test_hidden_classes_are_left_out_but_not_what_is_below_them(self):
        names = State.children(names_only=True)
        assert "_MetaState" not in names
        assert {"ClientFailed", "Submitted", "Queued"} <= set(names)
        assert Queued.parents() == [State]

    def test_parents(self):
        assert State.parents() == []
        assert State.parents(include_self=True) == [State]
        assert Retrying.parents(include_self=True) == [Scheduled, Pending, State, Retrying]


# -- fields ---------------------------------------------------------------------------------------


@of_all(KINDS)
def test_a_state_needs_no_arguments(kind):
    state = kind()
    assert state.message is None
    assert state.result is None
    assert state._result == NoResult
    assert state.context == {}
    assert state.cached_inputs == {}


@of_all(KINDS)
def test_a_state_takes_message_and_result(kind):
    state = kind("all is well", [1])
    assert (state.message, state.result, state._result) == ("all is well", [1], Result([1]))


@of_all(KINDS)
def test_a_state_takes_context_and_inputs_by_name(kind):
    given = {"a": 1}
    inputs = {"x": Result(1)}
    state = kind(context=given, cached_inputs=inputs)
    assert state.context == {"a": 1}
    assert state.cached_inputs == inputs
    state.context["b"] = 2
    assert given == {"a": 1}


def test_the_message_may_be_an_exception():
    error = ValueError("so")
    assert Failed(error).message is error


@pytest.mark.parametrize(
    "value", [{}, [], 0, False, "", b""], ids=["dict", "list", "0", "False", "text", "bytes"]
)
def test_empty_results_are_results(value):
    state = Success(result=value)
    assert state.result == value
    assert state._result != NoResult


class TestResult:
    def test_none_is_no_result(self):
        assert Success(result=None)._result is NoResult

    def test_a_result_is_kept_as_it_is(self):
        result = LocalResult(value=1, location="x")
        state = Success(result=result)
        assert state._result is result
        assert state.result == 1

    def test_what_is_set_is_wrapped(self):
        state = Success()
        state.result = 3
        assert (state.result, state._result) == (3, Result(3))
        result = Result(4)
        state.result = result
        assert state._result is result
        state.result = None
        assert state.result is None
        assert state._result == Result(None) != NoResult
        state.result = NoResult
        assert state._result is NoResult


@of_all([Scheduled, Resume, Retrying])
def test_the_start_time_is_now_by_default(kind):
    with clock.use_clock(clock.VirtualClock(NOON.timestamp())):
        assert kind().start_time == NOON
        assert kind(start_time=None).start_time == NOON


@of_all(SCHEDULED)
def test_a_start_time_without_a_zone_is_in_utc(kind):
    assert kind(start_time=NOON.replace(tzinfo=None)).start_time == NOON
    assert kind(start_time=NOON.replace(tzinfo=None)).start_time.tzinfo is not None


@of_all(SCHEDULED)
def test_a_start_time_with_a_zone_is_kept(kind):
    there = NOON.astimezone(dt.timezone(dt.timedelta(hours=-5)))
    assert kind(start_time=there).start_time is there


@of_all(SCHEDULED)
def test_a_start_time_is_a_datetime(kind):
    with pytest.raises(TypeError, match="must be a datetime, not 'tomorrow'"):
        kind(start_time="tomorrow")


def test_what_is_paused_waits_for_no_time_unless_one_is_given():
    assert Paused().start_time is None
    assert Paused(start_time=None).start_time is None
    assert Paused(start_time=NOON).start_time == NOON


def test_the_time_of_what_is_queued_is_now_or_as_given():
    with clock.use_clock(clock.VirtualClock(NOON.timestamp())):
        assert Queued().start_time == NOON
    naive = NOON.replace(tzinfo=None)
    assert Queued(start_time=naive).start_time is naive


@pytest.mark.parametrize(
    ("given", "ambient", "count"),
    [({}, {}, 1), ({}, {"task_run_count": 5}, 5), ({"run_count": 2}, {"task_run_count": 5}, 2)],
    ids=["default", "of the context", "given"],
)
def test_the_run_count_of_what_is_retrying(given, ambient, count):
    with context(ambient):
        assert Retrying(**given).run_count == count


@pytest.mark.parametrize(
    ("given", "ambient", "count"),
    [({}, {}, 1), ({}, {"task_loop_count": 5}, 5), ({"loop_count": 2}, {"task_loop_count": 5}, 2)],
    ids=["default", "of the context", "given"],
)
def test_the_loop_count_of_what_is_looped(given, ambient, count):
    with context(ambient):
        assert Looped(**given).loop_count == count


def test_counts_that_the_context_has_as_none_are_one():
    with context(task_run_count=None, task_loop_count=None):
        assert Retrying().run_count == Looped().loop_count == 1


class TestCached:
    def test_all_is_none_by_default(self):
        state = Cached()
        assert state.cached_parameters is None
        assert state.cached_result_expiration is None
        assert state.hashed_inputs is None

    def test_what_is_given_is_kept(self):
        state = Cached(
            cached_parameters={"p": 1},
            cached_result_expiration=NOON.replace(tzinfo=None),
            hashed_inputs={"x": "abc"},
        )
        assert state.cached_parameters == {"p": 1}
        assert state.cached_result_expiration == NOON
        assert state.hashed_inputs == {"x": "abc"}


class TestMapped:
    def test_there_are_no_children_by_default(self):
        state = Mapped()
        assert state.map_states == []
        assert state.n_map_states == 0

    def test_children_are_counted(self):
        children = [Success(), None]
        state = Mapped(map_states=children)
        assert state.map_states is children
        assert state.n_map_states == 2

    @pytest.mark.parametrize(("given", "read"), [(5, 5), (0, 1), (None, 1)])
    def test_a_given_number_counts_more(self, given, read):
        assert Mapped(map_states=[Success()], n_map_states=given).n_map_states == read


@of_all(META)
class TestMetaStates:
    def test_it_holds_a_state(self, kind):
        inner = Pending()
        assert kind(state=inner).state is inner
        assert kind().state is None

    def test_wrapping_never_nests(self, kind):
        inner = state = Pending()
        for index in range(300):
            state = META[index % 3](state=state)
        state = kind(state=state)
        assert state.state is inner
        state.state = Submitted(state=Queued(state=Running("inner")))
        assert state.state == Running()
        state.state = None
        assert state.state is None


# -- what the ambient context adds ----------------------------------------------------------------


@of_all(KINDS)
def test_the_tags_of_the_task_are_put_into_a_state(kind):
    with context(task_tags={"a", "b"}):
        state = kind(context={"own": 1})
        assert kind(context={"tags": ["mine"]}).context["tags"] == ["mine"]
    assert isinstance(state.context["tags"], list)
    assert set(state.context["tags"]) == {"a", "b"}
    assert state.context["own"] == 1


@of_all(KINDS)
def test_only_what_is_scheduled_keeps_the_run_count(kind):
    with context(task_run_count=3):
        state = kind()
    assert state.context == ({"task_run_count": 3} if kind in SCHEDULED else {})


@of_all(SCHEDULED)
def test_there_is_no_run_count_outside_of_a_run(kind):
    with context(task_run_count=None):
        assert "task_run_count" not in kind().context


# -- comparison -----------------------------------------------------------------------------------


@of_all(KINDS)
def test_equal_states(kind):
    at = {"start_time": NOON} if hasattr(kind(), "start_time") else {}
    inputs = {"x": Result(1)}
    one = kind("one", 1, context={"a": 1}, cached_inputs=inputs, **at)
    other = kind("other", 1, context={"b": 2}, cached_inputs=dict(inputs), **at)
    assert one == other
    assert hash(one) != hash(other)
    assert {one, other, one} == {one, other}
    assert len({one, other, one}) == 2


@pytest.mark.parametrize("a", KINDS, ids=lambda kind: kind.__name__)
def test_states_of_two_classes_differ(a):
    with clock.use_clock(clock.VirtualClock()):
        assert [kind for kind in KINDS if a() == kind()] == [a]
        assert a() != a.__name__


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Success(result=1), Success(result=2)),
        (Success(cached_inputs={"x": Result(1)}), Success()),
        (Scheduled(start_time=NOON), Scheduled(start_time=NOON + dt.timedelta(1))),
        (
            Retrying(start_time=NOON, run_count=1),
            Retrying(start_time=NOON, run_count=2),
        ),
        (Looped(loop_count=1), Looped(loop_count=2)),
        (Cached(hashed_inputs={"x": "1"}), Cached(hashed_inputs={"x": "2"})),
        (Cached(cached_parameters={"x": 1}), Cached(cached_parameters={"x": 2})),
        (Cached(cached_result_expiration=NOON), Cached()),
        (Mapped(map_states=[Success()]), Mapped(map_states=[Failed()])),
    ],
    ids=[
        "result",
        "cached_inputs",
        "start_time",
        "run_count",
        "loop_count",
        "hashed_inputs",
        "cached_parameters",
        "cached_result_expiration",
        "map_states",
    ],
)
def test_states_differ_by(one, other):
    assert one != other


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Submitted(state=Pending()), Submitted(state=Running())),
        (Mapped(n_map_states=1), Mapped(n_map_states=2)),
        (Success(result=LocalResult(value=1)), Success(result=PrefectResult(value=1))),
        (Success(result=None), Success(result=Result(None))),
    ],
    ids=["the state in it", "n_map_states", "the kind of result", "no result and None"],
)
def test_states_do_not_differ_by(one, other):
    assert one == other


def test_a_state_can_be_hashed_with_anything_in_it():
    assert {Success(result=[1], cached_inputs={"x": Result({})}): 1}


@pytest.mark.parametrize(
    ("state", "shown"),
    [
        (Success(), "<Success>"),
        (Success("so"), '<Success: "so">'),
        (Success(""), "<Success>"),
        (Failed(ValueError("so")), '<Failed: "so">'),
    ],
    ids=["no message", "message", "empty", "exception"],
)
def test_repr(state, shown):
    assert repr(state) == shown


class TestSize:
    def test_the_result_counts(self):
        large = Success(result="x" * 10_000)
        assert large.__sizeof__() - Success().__sizeof__() > 9_000

    def test_what_has_no_size_counts_nothing(self):
        class Sizeless:
            def __sizeof__(self):
                raise TypeError("no size")

        class Nameless:
            __sizeof__ = None

        plain = Success(result=None).__sizeof__() - None.__sizeof__()
        assert Success(result=Sizeless()).__sizeof__() == plain
        assert Success(result=Nameless()).__sizeof__() == plain


# -- results kept elsewhere -----------------------------------------------------------------------


class Shelf(Result):
    """Notes what is read."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.read_from = []

    def read(self, location):
        self.read_from.append(location)
        return Result(f"what is at {location!r}", location)


class TestLoadResult:
    @pytest.mark.parametrize("location", ["here", ""], ids=["a location", "an empty location"])
    @of_all([kind for kind in KINDS if kind is not Mapped])
    def test_a_missing_value_is_read(self, kind, location):
        state = kind(result=Shelf(location=location))
        assert state.load_result() is state
        assert state.result == f"what is at {location!r}"

    @pytest.mark.parametrize(
        "shelf",
        [Shelf(1, "here"), Shelf(0, "here"), Shelf(), Shelf(1)],
        ids=["there", "there, but false", "nowhere", "kept nowhere"],
    )
    def test_nothing_is_read_otherwise(self, shelf):
        state = Success(result=shelf)
        assert state.load_result(shelf) is state
        assert shelf.read_from == []
        assert state._result is shelf

    def test_a_reader_reads_in_the_results_place(self):
        reader = Shelf(location="not used")
        state = Success(result=Result(location="here")).load_result(reader)
        assert reader.read_from == ["here"]
        assert state.result == "what is at 'here'"

    def test_the_children_of_mapped_are_read(self):
        reader = Shelf()
        children = [Success(result=Result(location=name)) for name in "ab"]
        state = Mapped(map_states=[*children, None], result=Shelf(location="of its own"))
        assert state.load_result(reader) is state
        assert reader.read_from == ["a", "b"]
        assert state.result == ["what is at 'a'", "what is at 'b'", None]
        assert children[0].result == "what is at 'a'"

    def test_mapped_without_children_reads_nothing(self):
        own = Shelf(location="of its own")
        state = Mapped(result=own).load_result()
        assert own.read_from == []
        assert state._result is own


class TestLoadCachedResults:
    def test_each_is_read_as_it_was_written_or_by_its_reader(self):
        reader = Shelf(location="the reader's")
        state = Pending(
            cached_inputs={
                "own": Shelf(location="own"),
                "by_reader": Result(location="there"),
                "only_reader_knows": Result(),
                "has_value": Shelf(1, "there"),
                "is_nowhere": Result(),
            }
        )
        readers = {"by_reader": reader, "only_reader_knows": reader, "other": reader}
        assert state.load_cached_results(readers) is state
        assert {name: entry.value for name, entry in state.cached_inputs.items()} == {
            "own": "what is at 'own'",
            "by_reader": "what is at 'there'",
            "only_reader_knows": 'what is at "the reader\'s"',
            "has_value": 1,
            "is_nowhere": None,
        }

    def test_none_are_there(self):
        state = Pending()
        assert state.load_cached_results() is state
        assert state.cached_inputs == {}


# -- copies and pickles ---------------------------------------------------------------------------


@of_all(KINDS)
@pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_a_state_survives_pickling(kind, library):
    state = kind("so", [1], context={"a": 1}, cached_inputs={"x": Result(2)})
    again = library.loads(library.dumps(state))
    assert again == state
    assert (again.message, again.context) == ("so", {"a": 1})
    assert kind in KINDS


def test_no_result_stays_the_one_there_is():
    assert pickle.loads(pickle.dumps(Success()))._result is NoResult


def test_what_a_meta_state_holds_is_pickled_with_it():
    assert pickle.loads(pickle.dumps(Submitted(state=Failed("inner")))).state.message == "inner"


class OddError(Exception):
    """Pickles, and could not be made again by its args."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")
        self.first = first


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("of mine")
        self.lock = threading.Lock()


class TestExceptionsAsResults:
    @pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
    def test_they_survive(self, library):
        error = library.loads(library.dumps(Failed(result=ValueError("so")))).result
        assert type(error) is ValueError
        assert error.args == ("so",)

    @pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
    def test_also_those_whose_class_does_not_fit_their_args(self, library):
        error = library.loads(library.dumps(Failed(result=OddError(1, 2)))).result
        assert type(error) is OddError
        assert (str(error), error.first) == ("1 and 2", 1)

    @pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
    def test_also_those_of_local_classes(self, library):
        class LocalError(Exception):
            pass

        error = library.loads(library.dumps(Failed(result=LocalError("so")))).result
        assert type(error).__name__ == "LocalError"
        assert error.args == ("so",)

    @pytest.mark.parametrize("library", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
    def test_of_one_that_cannot_be_pickled_a_text_is_left(self, library):
        error = Unpicklable()
        state = Failed("so", result=error)
        again = library.loads(library.dumps(state))
        assert again.message == "so"
        assert again.result.startswith("The exception could not be pickled: TypeError(")
        assert again.result.endswith("It was: Unpicklable('of mine')")
        assert state.result is error

    def test_other_values_that_cannot_be_pickled_raise(self):
        with pytest.raises(TypeError, match="pickle"):
            pickle.dumps(Success(result=threading.Lock()))
        with pytest.raises(TypeError, match="pickle"):
            cloudpickle.dumps(Success(result=threading.Lock()))

    def test_the_results_location_is_kept(self):
        result = Result(ValueError("so"), location="here")
        assert pickle.loads(pickle.dumps(Failed(result=result)))._result.location == "here"


def test_the_signal_of_a_state_is_pickled_with_it():
    state = FAIL("so").state
    again = pickle.loads(pickle.dumps(state))
    assert type(again.result) is FAIL
    assert again.result.state == again


class TestCopies:
    def test_a_copy_shares_what_is_in_it(self):
        error = Unpicklable()
        state = Failed("so", result=error, context={"a": 1})
        again = copy.copy(state)
        assert type(again) is Failed
        assert again.result is error
        assert again.context is state.context
        again.result = 1
        assert state.result is error

    def test_a_copy_without_the_result(self):
        state = Success("so", result=1)
        again = state.without_result()
        assert again._result is NoResult
        assert again.message == "so"
        assert state.result == 1

    def test_a_deep_copy_shares_nothing(self):
        state = Success(result=[1])
        again = copy.deepcopy(state)
        again.result.append(2)
        assert state.result == [1]
        assert copy.deepcopy(Success())._result is NoResult
