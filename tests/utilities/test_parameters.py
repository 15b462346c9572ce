from __future__ import annotations

import functools
import inspect
import pickle
import timeit
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.exceptions import ParameterBindError, SignatureMismatchError
from penstock.utilities.callables import (
    Parameters,
    call_with_parameters,
    collapse_variadic_parameters,
    explode_variadic_parameters,
    get_call_parameters,
    parameters_to_args_kwargs,
)

if TYPE_CHECKING:
    import collections as only_for_type_checkers


def plain(a, b=2, c=3):
    return a, b, c


def everything(a, b=2, /, c=3, *args, d, e=5, **kwargs):
    return a, b, c, args, d, e, kwargs


def positional_only(a=1, b=2, /):
    return a, b


def variadic(a, b=2, *args):
    return a, b, args


def keywords(x, /, **kwargs):
    return x, kwargs


def nothing():
    return ()


class Callable:
    def __call__(self, a, b=2):
        return a, b

    def method(self, a, b=2):
        return a, b


FUNCTIONS = [plain, everything, positional_only, variadic, keywords, nothing, Callable()]


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "bound"),
    [
        (plain, (1,), {}, {"a": 1, "b": 2, "c": 3}),
        (plain, (1, 5, 6), {}, {"a": 1, "b": 5, "c": 6}),
        (plain, (), {"c": 1, "a": 0}, {"a": 0, "b": 2, "c": 1}),
        (plain, (1,), {"c": 4}, {"a": 1, "b": 2, "c": 4}),
        (nothing, (), {}, {}),
        (
            everything,
            (1,),
            {"d": 4},
            {"a": 1, "b": 2, "c": 3, "args": (), "d": 4, "e": 5, "kwargs": {}},
        ),
        (
            everything,
            (1, 2, 3, 4, 5),
            {"d": 4, "x": 6, "a": 7},
            {
                "a": 1,
                "b": 2,
                "c": 3,
                "args": (4, 5),
                "d": 4,
                "e": 5,
                "kwargs": {"x": 6, "a": 7},
            },
        ),
        (Callable(), (1,), {}, {"a": 1, "b": 2}),
        (Callable().method, (1,), {}, {"a": 1, "b": 2}),
        (functools.partial(plain, 1), (7,), {}, {"b": 7, "c": 3}),
    ],
)
def test_binding_gives_values_by_name_in_order_of_declaration(fn, args, kwargs, bound):
    assert Parameters.of(fn).bind(args, kwargs) == bound
    assert list(Parameters.of(fn).bind(args, kwargs)) == list(bound)
    assert get_call_parameters(fn, args, kwargs) == bound


@pytest.mark.parametrize(
    ("args", "kwargs", "problem"),
    [
        ((), {}, "missing a required argument: 'a'"),
        ((1, 2, 3, 4), {}, "too many positional arguments"),
        ((1,), {"a": 1}, "multiple values for argument 'a'"),
        ((1, 2, 3), {"c": 1}, "multiple values for argument 'c'"),
        ((1,), {"z": 1}, "got an unexpected keyword argument 'z'"),
        ((1, 2, 3), {"z": 1}, "got an unexpected keyword argument 'z'"),
    ],
)
def test_a_call_that_does_not_fit_names_function_problem_and_signature(args, kwargs, problem):
    with pytest.raises(ParameterBindError) as caught:
        Parameters.of(plain).bind(args, kwargs)
    assert str(caught.value) == (
        f"Error binding parameters for function 'plain': {problem}. It takes (a, b=2, c=3)."
    )
    assert isinstance(caught.value, TypeError)
    with pytest.raises(ParameterBindError):
        get_call_parameters(plain, args, kwargs, apply_defaults=False)


def test_the_signature_in_a_message_is_as_it_was_written():
    def annotated(x: list[int], y: str | None = None) -> int:
        return len(x)

    with pytest.raises(ParameterBindError) as caught:
        Parameters.of(annotated).bind((), {})
    assert str(caught.value).endswith("It takes (x: list[int], y: str | None = None).")


def test_defaults_can_be_left_out():
    assert get_call_parameters(plain, (1,), {"c": 3}, apply_defaults=False) == {"a": 1, "c": 3}


def test_facts():
    own = Parameters.of(everything)
    assert own.names == ("a", "b", "c", "args", "d", "e", "kwargs")
    assert own.defaults == {"b": 2, "c": 3, "e": 5}
    assert (own.var_positional, own.var_keyword) == ("args", "kwargs")
    nothing = Parameters.of(plain)
    assert (nothing.var_positional, nothing.var_keyword) == (None, None)
    assert Parameters.of(own) is own
    assert repr(Parameters.of(plain)) == "<Parameters of plain(a, b=2, c=3)>"


def test_a_builtin_that_tells_no_signature_takes_anything():
    with pytest.raises(ValueError):
        inspect.signature(dict)
    own = Parameters.of(dict)
    assert own.bind(([],), {"a": 1}) == {"args": ([],), "kwargs": {"a": 1}}
    assert call_with_parameters(dict, own.bind((), {"a": 1})) == {"a": 1}


def test_parameters_survive_pickling():
    copy = pickle.loads(pickle.dumps(Parameters.of(plain)))
    assert copy.bind((1,), {}) == {"a": 1, "b": 2, "c": 3}


arguments = st.tuples(
    st.lists(st.integers(), max_size=5),
    st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e", "x", "kwargs"]), st.integers()),
)


@pytest.mark.parametrize("fn", FUNCTIONS, ids=lambda fn: getattr(fn, "__name__", "object"))
@given(call=arguments)
def test_a_call_through_parameters_is_the_call_itself(fn, call):
    args, kwargs = call
    try:
        expected = fn(*args, **kwargs)
    except TypeError:
        with pytest.raises(ParameterBindError):
            Parameters.of(fn).bind(tuple(args), kwargs)
        return
    own = Parameters.of(fn)
    parameters = own.bind(tuple(args), kwargs)
    new_args, new_kwargs = own.call_arguments(parameters)
    assert fn(*new_args, **new_kwargs) == expected
    assert call_with_parameters(fn, parameters) == expected
    given_only = own.without_defaults(tuple(args), kwargs)
    assert call_with_parameters(fn, given_only) == expected


def test_arguments_are_positional_where_they_can_be():
    assert parameters_to_args_kwargs(plain, {"c": 3, "b": 2, "a": 1}) == ((1, 2, 3), {})
    assert parameters_to_args_kwargs(plain, {"a": 1, "c": 9}) == ((1, 2, 9), {})
    assert parameters_to_args_kwargs(positional_only, {"b": 5}) == ((1, 5), {})
    assert parameters_to_args_kwargs(variadic, {"a": 1, "args": (7,)}) == ((1, 2, 7), {})
    parameters = {"a": 1, "d": 4, "kwargs": {"x": 1}}
    assert parameters_to_args_kwargs(everything, parameters) == ((1, 2, 3), {"d": 4, "x": 1})


def test_a_required_parameter_that_is_missing_is_missed_by_the_call():
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        call_with_parameters(plain, {"b": 1})


def test_unknown_names_are_refused():
    with pytest.raises(SignatureMismatchError) as caught:
        parameters_to_args_kwargs(plain, {"a": 1, "zz": 2})
    assert "'plain' has no parameter 'zz'" in str(caught.value)
    assert "['a', 'b', 'c']" in str(caught.value)


def test_variadic_keywords_are_lifted_and_gathered_again():
    parameters = {"x": 1, "kwargs": {"y": 2, "z": 3}}
    exploded = explode_variadic_parameters(keywords, parameters)
    assert exploded == {"x": 1, "y": 2, "z": 3}
    assert collapse_variadic_parameters(keywords, exploded) == parameters
    assert collapse_variadic_parameters(keywords, {"x": 1}) == {"x": 1, "kwargs": {}}
    assert explode_variadic_parameters(plain, {"a": 1}) == {"a": 1}
    assert collapse_variadic_parameters(plain, {"a": 1}) == {"a": 1}


def test_lifting_refuses_a_name_that_is_there_twice():
    with pytest.raises(ParameterBindError, match="'x' is given both"):
        explode_variadic_parameters(keywords, {"x": 1, "kwargs": {"x": 2}})
    with pytest.raises(SignatureMismatchError):
        collapse_variadic_parameters(plain, {"a": 1, "zz": 2})


# Annotations


class Later:
    pass


def test_text_annotations_are_evaluated_where_the_function_was_written():
    class Local:
        pass

    def fn(a: int, b: Later, c: Local, d: list[Local] | None = None, e=1): ...

    own = Parameters.of(fn)
    assert own.annotations == {"a": int, "b": Later, "c": Local, "d": list[Local] | None}


def test_annotations_of_wrapped_functions_are_those_of_the_inner_one():
    def fn(a: int): ...

    @functools.wraps(fn)
    def wrapper(*args):
        return fn(*args)

    assert Parameters.of(wrapper).annotations == {"a": int}
    assert Parameters.of(functools.partial(fn)).annotations == {"a": int}

    class Thing:
        def __init__(self, x: Later): ...

        def __call__(self, y: Later): ...

        def method(self, z: Later): ...

    assert Parameters.of(Thing).annotations == {"x": Later}
    assert Parameters.of(Thing(1)).annotations == {"y": Later}
    assert Parameters.of(Thing(1).method).annotations == {"z": Later}


def defined_early(x: DefinedLater): ...  # noqa: F821 - that is the point


def test_a_name_that_comes_later_is_found_later():
    own = Parameters.of(defined_early)
    assert own.annotations == {"x": "DefinedLater"}
    globals()["DefinedLater"] = Later
    assert own.annotations == {"x": Later}
    assert own.annotations is own.annotations


def test_a_name_that_only_type_checkers_know_stays_text():
    def fn(x: only_for_type_checkers.Counter, y: int): ...

    assert Parameters.of(fn).annotations == {"x": "only_for_type_checkers.Counter", "y": int}


def test_a_variable_closed_over_is_found():
    kind = Later

    def fn(x: kind):
        return kind

    own = Parameters.of(fn)
    assert own.annotations == {"x": Later}


def test_binding_is_much_faster_than_inspect():
    own = Parameters.of(plain)
    signature = inspect.signature(plain)

    def best(call):
        return min(timeit.repeat(call, number=2000, repeat=5))

    ours = best(lambda: own.bind((1, 2, 3), {}))
    theirs = best(lambda: signature.bind(1, 2, 3))
    assert ours < theirs / 2


def test_a_default_of_many_lines_does_not_fill_a_message():
    class Frame:
        def __repr__(self):
            return "a    b\n" + "1  2\n" * 100

    def loads(rows=Frame(), names=("a",)): ...  # noqa: B008 - as those are who do it

    text = Parameters.of(loads).signature_text

    assert text.startswith("(rows=a b 1 2 1 2")
    assert text.endswith("..., names=('a',))")
    assert len(text) < 100
