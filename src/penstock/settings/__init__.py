"""Settings: what can be changed by the environment, a profile, or code for a while.

Each is an object named as its environment variable: `PENSTOCK_HOME.value()`. Reading this room:
`definitions` lists them, `model` has the snapshot in force, `profiles` the file, `contexts` other
settings for a while, `parsing` what values they take.
"""

from __future__ import annotations

from penstock.settings.contexts import (
    SettingsContext,
    ensure_home,
    get_settings_context,
    temporary_settings,
    use_profile,
)
from penstock.settings.definitions import (
    PENSTOCK_API_URL,
    PENSTOCK_ASYNC_FETCH_STATE_RESULT,
    PENSTOCK_DEBUG_MODE,
    PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK,
    PENSTOCK_FLOW_DEFAULT_RETRIES,
    PENSTOCK_FLOW_DEFAULT_RETRY_DELAY_SECONDS,
    PENSTOCK_GRAPH_CHECKPOINTING,
    PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES,
    PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS,
    PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION,
    PENSTOCK_GRAPH_EXECUTOR,
    PENSTOCK_GRAPH_FLOW_RUNNER,
    PENSTOCK_GRAPH_RUN_ON_SCHEDULE,
    PENSTOCK_GRAPH_TASK_RUNNER,
    PENSTOCK_HEARTBEAT_INTERVAL_S,
    PENSTOCK_HOME,
    PENSTOCK_INTERRUPT_GRACE_S,
    PENSTOCK_LEASE_TTL_S,
    PENSTOCK_LOCAL_STORAGE_PATH,
    PENSTOCK_LOGGING_COLORS,
    PENSTOCK_LOGGING_EXTRA_LOGGERS,
    PENSTOCK_LOGGING_LEVEL,
    PENSTOCK_LOGGING_LOG_PRINTS,
    PENSTOCK_LOGGING_MARKUP,
    PENSTOCK_LOGGING_SETTINGS_PATH,
    PENSTOCK_LOGGING_TO_API_ENABLED,
    PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE,
    PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW,
    PENSTOCK_PROFILE,
    PENSTOCK_PROFILES_PATH,
    PENSTOCK_RESULTS_DEFAULT_SERIALIZER,
    PENSTOCK_RESULTS_INLINE_LIMIT_BYTES,
    PENSTOCK_RESULTS_PERSIST_BY_DEFAULT,
    PENSTOCK_RUN_ON_COMPLETION_HOOKS_ON_CACHED,
    PENSTOCK_STORE_BUSY_TIMEOUT_S,
    PENSTOCK_STORE_DURABILITY,
    PENSTOCK_STORE_URL,
    PENSTOCK_TASK_DEFAULT_RETRIES,
    PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS,
    PENSTOCK_TASK_INTROSPECTION_WARN_THRESHOLD,
    PENSTOCK_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS,
    PENSTOCK_TASK_RUNNER_MAX_WORKERS,
    PENSTOCK_TASKS_REFRESH_CACHE,
    PENSTOCK_TEST_MODE,
    PENSTOCK_UI_URL,
    PENSTOCK_UNIT_TEST_MODE,
)
from penstock.settings.model import (
    SETTINGS,
    Setting,
    Settings,
    find_setting,
    get_current_settings,
    load_all_profiles,
    reload_settings,
)
from penstock.settings.parsing import (
    InvalidSettingError,
    UnknownSettingError,
)
from penstock.settings.profiles import (
    Profile,
    Profiles,
)

__all__ = [
    "PENSTOCK_API_URL",
    "PENSTOCK_ASYNC_FETCH_STATE_RESULT",
    "PENSTOCK_DEBUG_MODE",
    "PENSTOCK_DEFAULT_RESULT_STORAGE_BLOCK",
    "PENSTOCK_FLOW_DEFAULT_RETRIES",
    "PENSTOCK_FLOW_DEFAULT_RETRY_DELAY_SECONDS",
    "PENSTOCK_GRAPH_CHECKPOINTING",
    "PENSTOCK_GRAPH_DEFAULT_MAX_RETRIES",
    "PENSTOCK_GRAPH_DEFAULT_RETRY_DELAY_SECONDS",
    "PENSTOCK_GRAPH_EAGER_EDGE_VALIDATION",
    "PENSTOCK_GRAPH_EXECUTOR",
    "PENSTOCK_GRAPH_FLOW_RUNNER",
    "PENSTOCK_GRAPH_RUN_ON_SCHEDULE",
    "PENSTOCK_GRAPH_TASK_RUNNER",
    "PENSTOCK_HEARTBEAT_INTERVAL_S",
    "PENSTOCK_HOME",
    "PENSTOCK_INTERRUPT_GRACE_S",
    "PENSTOCK_LEASE_TTL_S",
    "PENSTOCK_LOCAL_STORAGE_PATH",
    "PENSTOCK_LOGGING_COLORS",
    "PENSTOCK_LOGGING_EXTRA_LOGGERS",
    "PENSTOCK_LOGGING_LEVEL",
    "PENSTOCK_LOGGING_LOG_PRINTS",
    "PENSTOCK_LOGGING_MARKUP",
    "PENSTOCK_LOGGING_SETTINGS_PATH",
    "PENSTOCK_LOGGING_TO_API_ENABLED",
    "PENSTOCK_LOGGING_TO_API_MAX_LOG_SIZE",
    "PENSTOCK_LOGGING_TO_API_WHEN_MISSING_FLOW",
    "PENSTOCK_PROFILE",
    "PENSTOCK_PROFILES_PATH",
    "PENSTOCK_RESULTS_DEFAULT_SERIALIZER",
    "PENSTOCK_RESULTS_INLINE_LIMIT_BYTES",
    "PENSTOCK_RESULTS_PERSIST_BY_DEFAULT",
    "PENSTOCK_RUN_ON_COMPLETION_HOOKS_ON_CACHED",
    "PENSTOCK_STORE_BUSY_TIMEOUT_S",
    "PENSTOCK_STORE_DURABILITY",
    "PENSTOCK_STORE_URL",
    "PENSTOCK_TASKS_REFRESH_CACHE",
    "PENSTOCK_TASK_DEFAULT_RETRIES",
    "PENSTOCK_TASK_DEFAULT_RETRY_DELAY_SECONDS",
    "PENSTOCK_TASK_INTROSPECTION_WARN_THRESHOLD",
    "PENSTOCK_TASK_RUNNER_MAX_WORKERS",
    "PENSTOCK_TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",
    "PENSTOCK_TEST_MODE",
    "PENSTOCK_UI_URL",
    "PENSTOCK_UNIT_TEST_MODE",
    "SETTINGS",
    "InvalidSettingError",
    "Profile",
    "Profiles",
    "Setting",
    "Settings",
    "SettingsContext",
    "UnknownSettingError",
    "ensure_home",
    "find_setting",
    "get_current_settings",
    "get_settings_context",
    "load_all_profiles",
    "reload_settings",
    "temporary_settings",
    "use_profile",
]


def __getattr__(name: str) -> object:
    """Refuse a setting that does not exist by the name of the closest one that does."""
    if name.startswith("PENSTOCK_"):
        return find_setting(name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
