from __future__ import annotations

import os
import random
import re

import pytest

from penstock.utilities.slugs import ADJECTIVES, ANIMALS, random_slug


def test_a_slug_is_two_words():
    for _ in range(100):
        assert re.fullmatch(r"[a-z]+-[a-z]+", random_slug())


def test_there_are_enough_names_and_no_word_twice():
    assert len(set(ADJECTIVES)) == len(ADJECTIVES) >= 200
    assert len(set(ANIMALS)) == len(ANIMALS) >= 200


def test_the_users_seed_does_not_make_names_repeat():
    names = set()
    for _ in range(20):
        random.seed(1)
        names.add(random_slug())
    assert len(names) > 1
    random.seed(1)
    expected = random.random()
    random.seed(1)
    random_slug()
    assert random.random() == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
def test_forked_processes_get_other_names():
    def names_in_child():
        read, write = os.pipe()
        if os.fork() == 0:
            os.write(write, ",".join(random_slug() for _ in range(5)).encode())
            os._exit(0)
        os.close(write)
        with os.fdopen(read) as pipe:
            text = pipe.read()
        os.wait()
        return text

    assert names_in_child() != names_in_child()
