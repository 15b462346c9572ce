"""The orders in which records can be read."""

from __future__ import annotations

from penstock.store.sorting import FlowRunSort, FlowSort, LogSort, TaskRunSort

__all__ = ["FlowRunSort", "FlowSort", "LogSort", "TaskRunSort"]
