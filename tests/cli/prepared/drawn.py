"""A flow that is declared as a graph."""

from __future__ import annotations

from penstock.graph import Flow, Parameter, task


@task
def rows(pages):
    return list(range(pages))


@task
def clean(row):
    return row * 2


@task
def total(numbers):
    return sum(numbers)


with Flow("drawn") as drawn:
    pages = Parameter("pages", default=3)
    total(clean.map(rows(pages)))
