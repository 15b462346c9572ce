"""The orders in which records are read. Ids grow with time, so an order by id is one by age.

Where a time is not known, its record comes last in either direction; records that tie are ordered
by their ids.
"""

from __future__ import annotations

import enum


class FlowSort(enum.StrEnum):
    """Orders of flows."""

    CREATED_DESC = "CREATED_DESC"
    UPDATED_DESC = "UPDATED_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"
    ID_ASC = "ID_ASC"
    ID_DESC = "ID_DESC"


class FlowRunSort(enum.StrEnum):
    """Orders of flow runs. The start time of a run that has not started is the expected one."""

    ID_ASC = "ID_ASC"
    ID_DESC = "ID_DESC"
    START_TIME_ASC = "START_TIME_ASC"
    START_TIME_DESC = "START_TIME_DESC"
    EXPECTED_START_TIME_ASC = "EXPECTED_START_TIME_ASC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"
    NEXT_SCHEDULED_START_TIME_ASC = "NEXT_SCHEDULED_START_TIME_ASC"
    END_TIME_ASC = "END_TIME_ASC"
    END_TIME_DESC = "END_TIME_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"


class TaskRunSort(enum.StrEnum):
    """Orders of task runs. The start time of a run that has not started is the expected one."""

    ID_ASC = "ID_ASC"
    ID_DESC = "ID_DESC"
    START_TIME_ASC = "START_TIME_ASC"
    START_TIME_DESC = "START_TIME_DESC"
    EXPECTED_START_TIME_ASC = "EXPECTED_START_TIME_ASC"
    EXPECTED_START_TIME_DESC = "EXPECTED_START_TIME_DESC"
    NEXT_SCHEDULED_START_TIME_ASC = "NEXT_SCHEDULED_START_TIME_ASC"
    END_TIME_ASC = "END_TIME_ASC"
    END_TIME_DESC = "END_TIME_DESC"
    NAME_ASC = "NAME_ASC"
    NAME_DESC = "NAME_DESC"


class LogSort(enum.StrEnum):
    """Orders of logs."""

    TIMESTAMP_ASC = "TIMESTAMP_ASC"
    TIMESTAMP_DESC = "TIMESTAMP_DESC"
    ID_ASC = "ID_ASC"
    ID_DESC = "ID_DESC"
