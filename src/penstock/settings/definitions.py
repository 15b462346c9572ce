"""Every setting: its name, what it may be, its default, what it changes.

The order matters: a default may be worked out from settings defined before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from penstock.settings.model import Setting
from penstock.settings.parsing import (
    BOOLEAN,
    BYTES,
    COUNT,
    DAYS,
    DELAYS,
    LEVEL,
    NAMES,
    PATH,
    POSITIVE_COUNT,
    POSITIVE_SECONDS,
    SECONDS,
    STORE,
    TEXT,
    one_of,
    optional,
    users_folder,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def _in_home(name: str) -> Any:
    def default(values: Mapping[str, Any]) -> Path:
        return values["PENSTOCK_HOME"] / name

    return default


def _unless_testing(usual: Any, testing: Any) -> Any:
    def default(values: Mapping[str, Any]) -> Any:
        return testing if values["PENSTOCK_TEST_MODE"] else usual

    return default


# Where things are

PENSTOCK_HOME = Setting(
    "PENSTOCK_HOME",
    PATH,
    default=lambda _values: users_folder() / ".penstock",
    description="The folder that holds the database file, results and profiles.",
)
PENSTOCK_PROFILES_PATH = Setting(
    "PENSTOCK_PROFILES_PATH",
    PATH,
    default=_in_home("profiles.toml"),
    description="The TOML file of profiles. Taken from the environment only.",
)
PENSTOCK_PROFILE = Setting(
    "PENSTOCK_PROFILE",
    optional(TEXT),
    default=None,
    description=(
        "The profile to use; none means the active one of the file. Taken from the environment"
        " only."
    ),
)
PENSTOCK_API_URL = Setting(
    "PENSTOCK_API_URL",
    optional(TEXT),
    default=None,
    description=(
        "The URL of the API of a server, for addresses only: runs are recorded in the store."
    ),
)
PENSTOCK_UI_URL = Setting(
    "PENSTOCK_UI_URL",
    optional(TEXT),
    default=lambda values: (
        (values["PENSTOCK_API_URL"] or "").rstrip("/").removesuffix("/api") or None
    ),
    description="The URL of the web page, for links in logs; by default that of the server.",
)

# What is on for tests and debugging

PENSTOCK_DEBUG_MODE = Setting(
    "PENSTOCK_DEBUG_MODE",
    BOOLEAN,
    default=False,
    description=(
        "Log at DEBUG by default, with each call's arguments and each state's result, and show"
        " penstock's own frames in tracebacks."
    ),
)
PENSTOCK_TEST_MODE = Setting(
    "PENSTOCK_TEST_MODE",
    BOOLEAN,
    default=False,
    description=(
        "On while tests use penstock: by default nothing old is deleted meanwhile, and logs"
        " outside of runs are let pass."
    ),
    former_names=("PENSTOCK_UNIT_TEST_MODE",),
)

# The store

PENSTOCK_STORE_URL = Setting(
    "PENSTOCK_STORE_URL",
    STORE,
    default=lambda values: f"sqlite:///{values['PENSTOCK_HOME'] / 'penstock.db'}",
    description="The URL of the database that records runs.",
    former_names=("PENSTOCK_API_DATABASE_CONNECTION_URL",),
)
PENSTOCK_STORE_DURABILITY = Setting(
    "PENSTOCK_STORE_DURABILITY",
    one_of("normal", "full"),
    default="normal",
    description=(
        "What a recorded run survives: `normal`, the death of the process; `full`, loss of"
        " power too."
    ),
)
PENSTOCK_STORE_BUSY_TIMEOUT_S = Setting(
    "PENSTOCK_STORE_BUSY_TIMEOUT_S",
    SECONDS,
    default=30.0,
    description="Seconds to wait for other processes that are writing before giving up.",
    former_names=("PENSTOCK_API_DATABASE_TIMEOUT",),
)
PENSTOCK_STORE_OUTAGE_TIMEOUT_S = Setting(
    "PENSTOCK_STORE_OUTAGE_TIMEOUT_S",
    SECONDS,
    default=30.0,
    description="Seconds to wait for a database server that has gone away before giving up.",
)
PENSTOCK_LEASE_TTL_S = Setting(
    "PENSTOCK_LEASE_TTL_S",
    POSITIVE_SECONDS,
    default=15.0,
    description=(
        "Seconds for which a process owns a flow run it executes without giving a sign of life."
    ),
)
PENSTOCK_HEARTBEAT_INTERVAL_S = Setting(
    "PENSTOCK_HEARTBEAT_INTERVAL_S",
    POSITIVE_SECONDS,
    default=3.0,
    description="Seconds between signs of life; well under PENSTOCK_LEASE_TTL_S.",
)

# What is old

PENSTOCK_RETENTION_RUNS_DAYS = Setting(
    "PENSTOCK_RETENTION_RUNS_DAYS",
    DAYS,
    default=_unless_testing(90, 0),
    description=(
        "Days for which flow runs that are over are kept, with their task runs; 0 keeps them for"
        " ever."
    ),
)
PENSTOCK_RETENTION_LOGS_DAYS = Setting(
    "PENSTOCK_RETENTION_LOGS_DAYS",
    DAYS,
    default=_unless_testing(30, 0),
    description=(
        "Days for which the logs of runs that are over are kept; 0 keeps them as long as their"
        " runs."
    ),
)
PENSTOCK_RETENTION_RESULTS = Setting(
    "PENSTOCK_RETENTION_RESULTS",
    BOOLEAN,
    default=True,
    description="Delete result files with the last run that names them.",
)

# Flows and tasks

PENSTOCK_FLOW_DEFAULT_RETRIES = Setting(
    "PENSTOCK_FLOW_DEFAULT_RETRIES",
    COUNT,
    default=0,
    description="Retries of flows that do not say. Read when a flow is defined.",
)
PENSTOCK_FLOW_DEFAULT_RETRY_DELAY_SECONDS = Setting(
    "PENSTOCK_FLOW_DEFAULT_RETRY_DELAY_SECONDS",
    SECONDS,
    default=0,
    description=(
        "Seconds before a flow's retry, for flows that do not say. Read when a flow is defined."
    ),
)
PENSTOCK_TASK_DEFAULT_RETRIES = Setting(
    "PENSTOCK_TASK_DEFAULT_RETRIES",
    COUNT,
    default=0,
    description="Retries of tasks that do not say. Read when a task is defined.",
)
PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS = Setting(
    "PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS",
    DELAYS,
    default=0,
    description=(
        "Seconds before a task's retry, or a list of them, for tasks that do not say. Read when"
        " a task is defined."
    ),
)
PENSTOCK_TASKS_REFRESH_CACHE = Setting(
    "PENSTOCK_TASKS_REFRESH_CACHE",
    BOOLEAN,
    default=False,
    description="Execute tasks although their result is cached, and cache the new result.",
)
PENSTOCK_RUN_ON_COMPLETION_HOOKS_ON_CACHED = Setting(
    "PENSTOCK_RUN_ON_COMPLETION_HOOKS_ON_CACHED",
    BOOLEAN,
    default=False,
    description="Run a task's on_completion hooks also when its result was cached.",
)
PENSTOCK_TASK_INTROSPECTION_WARN_THRESHOLD = Setting(
    "PENSTOCK_TASK_INTROSPECTION_WARN_THRESHOLD",
    optional(SECONDS),
    default=10.0,
    description=(
        "Seconds after which searching a task's parameters for futures is warned about; none or"
        " 0 means never."
    ),
)
PENSTOCK_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS = Setting(
    "PENSTOCK_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",
    SECONDS,
    default=30.0,
    description=(
        "Seconds until a task run that found no free slot of its tags' limits asks again."
    ),
)
PENSTOCK_TASK_RUNNER_MAX_WORKERS = Setting(
    "PENSTOCK_TASK_RUNNER_MAX_WORKERS",
    POSITIVE_COUNT,
    default=256,
    description="The most threads that a concurrent task runner uses if it is not told.",
)
PENSTOCK_INTERRUPT_GRACE_S = Setting(
    "PENSTOCK_INTERRUPT_GRACE_S",
    SECONDS,
    default=0.5,
    description=(
        "Seconds that a timed out or cancelled function gets to stop before it is left behind."
    ),
)
PENSTOCK_SHUTDOWN_TIMEOUT_S = Setting(
    "PENSTOCK_SHUTDOWN_TIMEOUT_S",
    POSITIVE_SECONDS,
    default=30.0,
    description=(
        "Seconds that the flow runs of a process get to come to their end after SIGTERM or Ctrl-C;"
        " then the process ends all the same."
    ),
)
PENSTOCK_ASYNC_FETCH_STATE_RESULT = Setting(
    "PENSTOCK_ASYNC_FETCH_STATE_RESULT",
    BOOLEAN,
    default=False,
    description=(
        "Have State.result() give an awaitable in async code, as with fetch=True, where the call"
        " does not say."
    ),
)

# Results

PENSTOCK_RESULTS_PERSIST_BY_DEFAULT = Setting(
    "PENSTOCK_RESULTS_PERSIST_BY_DEFAULT",
    BOOLEAN,
    default=False,
    description="Write the results of flows and tasks that do not say to result storage.",
)
PENSTOCK_RESULTS_DEFAULT_SERIALIZER = Setting(
    "PENSTOCK_RESULTS_DEFAULT_SERIALIZER",
    TEXT,
    default="pickle",
    description=(
        "The type of the serializer of results: pickle, json, compressed/pickle, compressed/json."
    ),
)
PENSTOCK_RESULTS_INLINE_LIMIT_BYTES = Setting(
    "PENSTOCK_RESULTS_INLINE_LIMIT_BYTES",
    BYTES,
    default=65536,
    description="The largest pickled result, in bytes, that is kept in its run's record.",
)
PENSTOCK_LOCAL_STORAGE_PATH = Setting(
    "PENSTOCK_LOCAL_STORAGE_PATH",
    PATH,
    default=_in_home("storage"),
    description="The folder that results are written to where no other storage is named.",
)
PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK = Setting(
    "PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK",
    optional(TEXT),
    default=None,
    description=(
        "The saved storage (`type/name`) for results where a flow names none; none means the"
        " local folder."
    ),
)

# Logs

PENSTOCK_LOGGING_LEVEL = Setting(
    "PENSTOCK_LOGGING_LEVEL",
    LEVEL,
    default=lambda values: "DEBUG" if values["PENSTOCK_DEBUG_MODE"] else "INFO",
    description="The lowest level that penstock's loggers let through.",
)
PENSTOCK_LOGGING_LOG_PRINTS = Setting(
    "PENSTOCK_LOGGING_LOG_PRINTS",
    BOOLEAN,
    default=False,
    description="Log what flows and tasks print, for those that do not say.",
)
PENSTOCK_LOGGING_EXTRA_LOGGERS = Setting(
    "PENSTOCK_LOGGING_EXTRA_LOGGERS",
    NAMES,
    default=(),
    description=(
        "Names of other libraries' loggers whose records are to reach the run that is executing."
    ),
)
PENSTOCK_LOGGING_SETTINGS_PATH = Setting(
    "PENSTOCK_LOGGING_SETTINGS_PATH",
    PATH,
    default=_in_home("logging.yml"),
    description=(
        "The YAML file of a logging configuration that replaces penstock's own, if it exists."
    ),
)
PENSTOCK_LOGGING_TO_API_ENABLED = Setting(
    "PENSTOCK_LOGGING_TO_API_ENABLED",
    BOOLEAN,
    default=True,
    description="Record the logs of runs in the store.",
)
PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW = Setting(
    "PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW",
    one_of("warn", "error", "ignore"),
    default=_unless_testing("warn", "ignore"),
    description=(
        "What a record for the store does outside of any run: `warn`, `error` or `ignore`."
    ),
)
PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE = Setting(
    "PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE",
    BYTES,
    default=1_000_000,
    description="The largest log record, in bytes, that is written to the store.",
)
PENSTOCK_LOGGING_COLORS = Setting(
    "PENSTOCK_LOGGING_COLORS", BOOLEAN, default=True, description="Colour the logs on a terminal."
)
PENSTOCK_LOGGING_MARKUP = Setting(
    "PENSTOCK_LOGGING_MARKUP",
    BOOLEAN,
    default=False,
    description="Read square brackets in log messages as markup, e.g. [red]text[/red].",
)

# Graphs

PENSTOCK_GRAPH_CHECKPOINTING = Setting(
    "PENSTOCK_GRAPH_CHECKPOINTING",
    BOOLEAN,
    default=False,
    description="Write the results of graphs' tasks where their `result` says.",
)
PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION = Setting(
    "PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION",
    BOOLEAN,
    default=False,
    description="Check each edge of a graph, and that there is no cycle, as it is added.",
)
PENSTOCK_GRAPH_RUN_ON_SCHEDULE = Setting(
    "PENSTOCK_GRAPH_RUN_ON_SCHEDULE",
    BOOLEAN,
    default=True,
    description="Let `Flow.run` of a graph with a schedule run at each of its times.",
)
PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES = Setting(
    "PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES",
    COUNT,
    default=0,
    description="How often a graph's task is run again that does not say so itself.",
)
PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS = Setting(
    "PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS",
    optional(SECONDS),
    default=None,
    description="Seconds between the attempts of a graph's task that does not say so itself.",
)
PENSTOCK_GRAPH_EXECUTOR = Setting(
    "PENSTOCK_GRAPH_EXECUTOR",
    TEXT,
    default="penstock.graph.executors.LocalExecutor",
    description="The class of the executor of graphs that do not say so themselves.",
)
PENSTOCK_GRAPH_FLOW_RUNNER = Setting(
    "PENSTOCK_GRAPH_FLOW_RUNNER",
    TEXT,
    default="penstock.graph.flow_runner.FlowRunner",
    description="The class that runs graphs.",
)
PENSTOCK_GRAPH_TASK_RUNNER = Setting(
    "PENSTOCK_GRAPH_TASK_RUNNER",
    TEXT,
    default="penstock.graph.task_runner.TaskRunner",
    description="The class that takes a graph's task through its states.",
)

# Services

PENSTOCK_RUNNER_PROCESS_LIMIT = Setting(
    "PENSTOCK_RUNNER_PROCESS_LIMIT",
    POSITIVE_COUNT,
    default=5,
    description="How many flow runs `penstock recover --watch` executes at once.",
)
PENSTOCK_RUNNER_POLL_FREQUENCY = Setting(
    "PENSTOCK_RUNNER_POLL_FREQUENCY",
    POSITIVE_SECONDS,
    default=0.5,
    description="Seconds between two looks for flow runs that wait for a process.",
)
PENSTOCK_API_SERVICES_RECOVERY_ENABLED = Setting(
    "PENSTOCK_API_SERVICES_RECOVERY_ENABLED",
    BOOLEAN,
    default=True,
    description="Find runs whose process died, where penstock looks after runs for long.",
)

PENSTOCK_API_SERVICES_RECOVERY_LOOP_SECONDS = Setting(
    "PENSTOCK_API_SERVICES_RECOVERY_LOOP_SECONDS",
    POSITIVE_SECONDS,
    default=1.0,
    description="Seconds between two looks for runs whose process died.",
)

PENSTOCK_API_SERVICES_PAUSE_EXPIRATIONS_ENABLED = Setting(
    "PENSTOCK_API_SERVICES_PAUSE_EXPIRATIONS_ENABLED",
    BOOLEAN,
    default=True,
    description=(
        "Fail paused runs that were not resumed in time, where penstock looks after runs for long."
    ),
)

PENSTOCK_API_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS = Setting(
    "PENSTOCK_API_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS",
    POSITIVE_SECONDS,
    default=5.0,
    description="Seconds between two looks for pauses whose time is over.",
)
PENSTOCK_API_SERVICES_CANCELLATION_CLEANUP_ENABLED = Setting(
    "PENSTOCK_API_SERVICES_CANCELLATION_CLEANUP_ENABLED",
    BOOLEAN,
    default=True,
    description=(
        "Cancel what cancelled flow runs have left, where penstock looks after runs for long."
    ),
)
PENSTOCK_API_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS = Setting(
    "PENSTOCK_API_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS",
    POSITIVE_SECONDS,
    default=20.0,
    description="Seconds between two looks for what cancelled flow runs have left.",
)
