"""Having exceptions raised instead of turned into states (section 5.15)."""

from __future__ import annotations

import pytest

from penstock.graph.ambient import context
from penstock.graph.debug import raise_on_exception
from penstock.graph.task import task
from penstock.graph.task_runner import TaskRunner


@task
def broken():
    raise ValueError("so")


def test_exceptions_are_raised_within_the_block_only():
    with raise_on_exception(), pytest.raises(ValueError, match="so"):
        TaskRunner(broken).run()
    assert TaskRunner(broken).run().is_failed()


def test_it_ends_also_by_an_exception():
    with pytest.raises(ZeroDivisionError), raise_on_exception():
        assert context.raise_on_exception is True
        raise ZeroDivisionError
    assert "raise_on_exception" not in context


def test_it_can_be_undone_within():
    with raise_on_exception(), context(raise_on_exception=False):
        assert TaskRunner(broken).run().is_failed()
