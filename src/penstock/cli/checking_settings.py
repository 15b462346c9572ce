"""What may be wrong with settings whose values are of the right kind: `config validate` asks."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from penstock.settings import (
    PENSTOCK_GRAPH_EXECUTOR,
    PENSTOCK_GRAPH_FLOW_RUNNER,
    PENSTOCK_GRAPH_TASK_RUNNER,
    PENSTOCK_HEARTBEAT_INTERVAL_S,
    PENSTOCK_LEASE_TTL_S,
    PENSTOCK_RESULTS_DEFAULT_SERIALIZER,
    PENSTOCK_STORE_URL,
    Setting,
    Settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEATS_PER_LEASE = 2
"""How many signs of life a lease has to last for: one may be late."""

_CLASSES: tuple[Setting[str], ...] = (
    PENSTOCK_GRAPH_EXECUTOR,
    PENSTOCK_GRAPH_FLOW_RUNNER,
    PENSTOCK_GRAPH_TASK_RUNNER,
)


def faults_of(settings: Settings) -> Iterator[str]:
    """Say what cannot work; nothing is opened, made or asked for over a network."""
    for check in (_store, _lease, _serializer, _logging, _classes):
        yield from check(settings)


def _store(settings: Settings) -> Iterator[str]:
    from penstock.store.urls import place_of

    yield from _complaint(lambda: place_of(settings.store_url), PENSTOCK_STORE_URL, settings)


def _lease(settings: Settings) -> Iterator[str]:
    ttl_s, interval_s = settings.lease_ttl_s, settings.heartbeat_interval_s
    if ttl_s < BEATS_PER_LEASE * interval_s:
        yield (
            f"PENSTOCK_HEARTBEAT_INTERVAL_S ({interval_s:g},"
            f" {_source(PENSTOCK_HEARTBEAT_INTERVAL_S, settings)}) is more than a half of"
            f" PENSTOCK_LEASE_TTL_S ({ttl_s:g}, {_source(PENSTOCK_LEASE_TTL_S, settings)}): runs"
            " that live would be taken for dead. Make the former smaller or the latter larger."
        )


def _serializer(settings: Settings) -> Iterator[str]:
    from penstock.results.serializers import resolve_serializer

    setting = PENSTOCK_RESULTS_DEFAULT_SERIALIZER
    if setting.name in settings.given:
        tag = settings.value_of(setting)
        yield from _complaint(lambda: resolve_serializer(tag), setting, settings)


def _logging(settings: Settings) -> Iterator[str]:
    from penstock.logging.configuration_files import load_file

    try:
        load_file(settings)
    except ValueError as error:  # it names the setting itself
        yield str(error)


def _classes(settings: Settings) -> Iterator[str]:
    for setting in _CLASSES:
        if setting.name in settings.given:
            module, _, name = settings.value_of(setting).rpartition(".")
            yield from _complaint(partial(_look_for, module, name), setting, settings)


def _look_for(module: str, name: str) -> None:
    if not module:
        msg = f"{name!r} names no class: give its module, too, as in package.module.Class."
        raise ValueError(msg)
    getattr(import_module(module), name)


def _complaint(
    look: Callable[[], object], setting: Setting[str], settings: Settings
) -> Iterator[str]:
    try:
        look()
    except Exception as error:  # noqa: BLE001 - a user's module may fail in any way as it is imported
        yield f"{setting.name} ({_source(setting, settings)}): {error}"


def _source(setting: Setting[float] | Setting[str], settings: Settings) -> str:
    return settings.source_of(setting).removesuffix(f" variable {setting.name}")
