"""The docs say what there is: every setting, option, command, move, and `make` target."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tools.settings_table import renewed
from tools.site_pages import setting_line

import penstock
from penstock import flows, tasks
from penstock.cli.app import app
from penstock.rules.moves import FLOW_MOVES, TASK_MOVES
from penstock.settings import SETTINGS
from penstock.states import StateType, making

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(
    [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")]
)
FENCE = re.compile(r"^( *)```.*?^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def prose(text: str) -> str:
    """Give a page without its fenced blocks."""
    return FENCE.sub("", text)


def headings(text: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)


def anchors(text: str) -> set[str]:
    """Give what a link may name on a page: its headings, as pages show them."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings(text))
    return {heading.replace(" ", "-") for heading in plain}


def section(text: str, heading: str) -> str:
    """Give what stands under a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"no heading {heading!r}"
    return found[1]


def commands(group: Any, path: str) -> list[tuple[str, Any]]:
    """Give every command with its full name."""
    found: list[tuple[str, Any]] = []
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found += commands(command, f"{path} {name}")
        else:
            found.append((f"{path} {name}", command))
    return found


COMMANDS = dict(commands(typer.main.get_command(app), "penstock"))


# -- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_is_described_with_what_it_takes_and_its_default(name):
    setting = SETTINGS[name]
    paragraphs = section((DOCS / "settings.md").read_text(), name).strip().split("\n\n")

    assert paragraphs[0] == setting_line(setting)
    assert " ".join(paragraphs[1].split()).startswith(setting.description)


def test_the_table_of_settings_is_as_they_are():
    text = (DOCS / "settings.md").read_text()

    assert renewed(text) == text, "run python -m tools.settings_table"


def test_no_setting_is_described_that_there_is_not():
    named = [each for each in headings((DOCS / "settings.md").read_text()) if "PENSTOCK_" in each]

    assert named == list(SETTINGS)


# -- commands -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(COMMANDS))
def test_a_command_is_described_with_each_of_its_options(name):
    text = section((DOCS / "command-line.md").read_text(), name)

    for parameter in COMMANDS[name].params:
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in text, parameter.opts
        else:
            assert parameter.metavar in text, parameter.name
    assert "console run" in text, "show it in a block that the checks run"


def test_no_command_is_described_that_there_is_not():
    named = [each for each in headings((DOCS / "command-line.md").read_text()) if " " in each]

    assert sorted(each for each in named if each.startswith("penstock ")) == sorted(COMMANDS)


# -- flows, tasks, states -------------------------------------------------------------------------


@pytest.mark.parametrize(("page", "kind"), [("flows.md", flows.Flow), ("tasks.md", tasks.Task)])
def test_every_option_of_the_decorators_is_in_a_table(page, kind):
    rows = section((DOCS / page).read_text(), "Every option").splitlines()
    named = {
        name
        for row in rows
        if row.startswith("| `")
        for name in re.findall(r"`(\w+)`", row.split("|")[1])
    }
    code = inspect.unwrap(kind.__init__).__code__
    taken = set(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]) - {"self", "fn"}

    assert named == taken


def test_every_state_there_is_is_in_the_table():
    rows = section((DOCS / "concepts.md").read_text(), "States").splitlines()
    cells = [row.split("|")[1:3] for row in rows if row.startswith("| ")]
    names = {name.strip() for _, listed in cells for name in listed.split(",")}
    constructors = {
        name for name in vars(making) if name[0].isupper() and callable(vars(making)[name])
    }

    assert {kind.strip() for kind, _ in cells} >= {kind.value for kind in StateType}
    assert names >= constructors - {"Any", "State", "StateDetails", "StateType"}


def table_of_moves(moves: dict[Any, Any], title: str) -> str:
    """Write a table of moves as it is to stand in the docs: rows that are alike are one."""
    alike: dict[str, list[str]] = {}
    for present, row in moves.items():
        cells = []
        for asked, written in row.items():
            others = [kind.value for kind in written if kind is not asked]
            word = "or" if asked in written else "becomes"
            rest = f" ({word} {' or '.join(others)})" if others else ""
            cells.append(f"{asked.value}{rest}")
        alike.setdefault(", ".join(cells), []).append(
            "no state" if present is None else present.value
        )
    rows = [f"| {', '.join(presents)} | {cells} |" for cells, presents in alike.items()]
    return "\n".join([f"| {title} in | may be asked for |", "| --- | --- |", *rows])


def test_the_moves_are_those_of_the_rules():
    tables = [
        table_of_moves(TASK_MOVES, "a task run"),
        table_of_moves(FLOW_MOVES, "a flow run"),
    ]
    expected = "\n\n".join(tables)
    text = (DOCS / "concepts.md").read_text()
    shown = text.partition("<!-- moves:begin -->")[2].partition("<!-- moves:end -->")[0]

    assert shown.strip() == expected, f"put this between the marks:\n\n{expected}"


# -- coming from elsewhere ------------------------------------------------------------------------

SURFACE = """
prefect: flow task Flow Task State tags unmapped allow_failure get_client get_run_logger serve
    deploy pause_flow_run resume_flow_run suspend_flow_run runtime Manifest
flows: load_flow_from_entrypoint load_flow_from_script load_flows_from_script select_flow
tasks: task_input_hash exponential_backoff
engine: enter_flow_run_engine_from_flow_call enter_flow_run_engine_from_subprocess
    create_then_begin_flow_run begin_flow_run create_and_begin_subflow_run orchestrate_flow_run
    enter_task_run_engine begin_task_map begin_task_run orchestrate_task_run
    report_flow_run_crashes report_task_run_crashes retrieve_flow_then_begin_flow_run
states: State StateType Scheduled Completed Running Failed Crashed Cancelling Cancelled Pending
    Paused Suspended AwaitingRetry Retrying Late StateGroup is_state is_state_iterable
    get_state_exception raise_state_exception return_value_to_state exception_to_failed_state
    exception_to_crashed_state format_exception
futures: PrefectFuture resolve_futures_to_data resolve_futures_to_states call_repr
task_runners: BaseTaskRunner SequentialTaskRunner ConcurrentTaskRunner TaskConcurrencyType
    DaskTaskRunner RayTaskRunner
context: FlowRunContext TaskRunContext TagsContext SettingsContext get_run_context
    get_settings_context use_profile
runtime: flow_run task_run deployment
results: ResultFactory PersistedResult UnpersistedResult LiteralResult UnknownResult
    PersistedResultBlob
serializers: Serializer PickleSerializer JSONSerializer CompressedSerializer
    CompressedPickleSerializer CompressedJSONSerializer
filesystems: LocalFileSystem RemoteFileSystem S3 GCS Azure SMB GitHub
input: RunInput RunInputMetadata send_input receive_input create_flow_run_input
    read_flow_run_input filter_flow_run_input delete_flow_run_input keyset_from_base_key
logging: get_logger LogEavesdropper flow_run_logger task_run_logger disable_run_logger
    disable_logger patch_print print_as_log
annotations: quote Quote BaseAnnotation NotSet
utilities: visit_collection isiterable AutoEnum get_call_parameters parameter_schema
    sync_compatible run_sync_in_worker_thread hash_objects file_hash
deployments: run_deployment Deployment RunnerDeployment DeploymentImage EntrypointType
    IntervalSchedule CronSchedule RRuleSchedule
workers: Runner BaseWorker BaseJobConfiguration BaseWorkerResult ProcessWorker TaskServer
others: wait_for_flow_run artifacts variables concurrency rate_limit emit_event Event Automation
    Block JSON String DateTime Secret SlackWebhook SecretDict PrefectClient FlowRun TaskRun
    StateDetails TaskRunResult FlowRunFilter FlowRunSort temporary_settings PrefectException
    prefect_test_harness exceptions_equal assert_does_not_warn mock_anyio_sleep
    TaskRunnerStandardTestSuite
"""
"""The names that programs import, by what they are for."""


def test_the_guide_says_of_every_name_what_became_of_it():
    text = (DOCS / "migrating.md").read_text()
    imported = re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]
    elsewhere = "\n".join(line for line in text.splitlines() if line.startswith("| "))
    names = [name for name in SURFACE.split() if not name.endswith(":")]
    known = set(re.findall(r"\w+", imported + elsewhere))

    assert [name for name in names if name not in known] == []


def test_what_the_guide_says_is_not_there_is_not_there():
    rows = section((DOCS / "migrating.md").read_text(), "What is not there").splitlines()
    for row in rows:
        cell = row.split("|")[1] if row.startswith("| `prefect.") else ""
        module = None
        for path in re.findall(r"`([\w.]+)`", cell):
            if path.startswith("prefect."):
                module, _, name = path.replace("prefect.", "penstock.", 1).rpartition(".")
                assert not is_there(module, name) or is_a_module(f"{module}.{name}"), path
                module = f"{module}.{name}"
            elif module:
                assert not is_there(module, path), f"{module}.{path}"


def is_a_module(path: str) -> bool:
    try:
        return importlib.util.find_spec(path) is not None
    except ModuleNotFoundError:
        return False


def is_there(module: str, name: str) -> bool:
    return is_a_module(module) and hasattr(importlib.import_module(module), name)


# -- the pages ------------------------------------------------------------------------------------


def test_every_make_target_that_is_named_is_there():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    for page in PAGES:
        named = set(
            re.findall(r"(?:`|^ {4}|\$ )make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
        )
        assert named <= targets, page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page):
    text = page.read_text()

    for target in LINK.findall(prose(text)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.read_text()), target


def test_every_page_is_reached_from_the_index():
    linked = set(LINK.findall((DOCS / "index.md").read_text()))
    listed = set(LINK.findall((DOCS / "decisions" / "README.md").read_text()))

    pages = [*DOCS.glob("*.md"), *DOCS.glob("tutorial/*.md"), *DOCS.glob("how-to/*.md")]
    assert {page.relative_to(DOCS).as_posix() for page in pages} - {"index.md"} <= linked
    assert {page.name for page in (DOCS / "decisions").glob("*.md")} - {"README.md"} <= listed


def test_the_changelog_has_this_version():
    assert f"## [{penstock.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
