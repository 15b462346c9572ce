from __future__ import annotations

import io
import logging
import re
import sys
import time

import pytest

from penstock.logging import get_logger, setup_logging
from penstock.logging.colors import takes_color
from penstock.logging.formatters import PenstockFormatter, PrefectFormatter
from penstock.logging.handlers import ConsoleHandler, PrefectConsoleHandler
from penstock.logging.loggers import flow_run_logger, task_run_logger
from penstock.settings import temporary_settings


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "platform", "linux")
    return Terminal()


@pytest.fixture
def shown_on():
    """Give a logger of a run whose records are written to a stream by a handler."""
    logger = logging.getLogger("some_library")
    logger.setLevel(logging.DEBUG)
    added = []

    def show(stream, **options):
        handler = ConsoleHandler(stream, **options)
        handler.setFormatter(PenstockFormatter("%(levelname)s|%(message)s"))
        logger.addHandler(handler)
        added.append(handler)
        return logger

    yield show
    for handler in added:
        logger.removeHandler(handler)


def test_lines_name_time_level_and_run(flow_run, task_run, capsys):
    setup_logging()
    before = time.time()
    flow_run_logger(flow_run).info("hello")
    task_run_logger(task_run).warning("slow")
    get_logger("engine").error("broken")
    after = time.time()

    lines = capsys.readouterr().err.splitlines()

    times = [line[:12] for line in lines]
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}", each) for each in times)
    possible = {time.strftime("%H:%M:%S", time.localtime(each)) for each in (before, after)}
    assert {each[:8] for each in times} <= possible
    assert [line[12:] for line in lines] == [
        " | INFO    | Flow run 'brave-otter' - hello",
        " | WARNING | Task run 'add-0' - slow",
        " | ERROR   | penstock.engine - broken",
    ]


def test_a_run_logger_taken_by_name_is_formatted_as_any(capsys):
    setup_logging()
    logging.getLogger("penstock.flow_runs").info("hello", extra={"send_to_api": False})

    assert capsys.readouterr().err.endswith("INFO    | penstock.flow_runs - hello\n")


def test_an_exception_is_shown_with_its_traceback(flow_run, capsys):
    setup_logging()
    try:
        raise ValueError("no such city")
    except ValueError:
        flow_run_logger(flow_run).exception("Lookup failed")

    assert capsys.readouterr().err.endswith("ValueError: no such city\n")


def test_nothing_below_the_level_is_shown(capsys):
    with temporary_settings({"PENSTOCK_LOGGING_LEVEL": "WARNING"}):
        setup_logging()
        get_logger().info("quiet")
        get_logger().warning("loud")

    assert "quiet" not in (text := capsys.readouterr().err)
    assert "loud" in text


def test_a_program_that_configured_logging_sees_each_record_once(capsys, bare_root):
    with bare_root() as root:
        setup_logging()
        root.addHandler(logging.StreamHandler(sys.stderr))
        get_logger().info("hello")

    assert capsys.readouterr().err == "hello\n"


def test_the_same_through_rich(bare_root, monkeypatch):
    from rich.console import Console
    from rich.logging import RichHandler

    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with bare_root() as root:
        setup_logging()
        root.addHandler(RichHandler(console=Console(file=stream)))
        get_logger().info("hello")

    assert stream.getvalue().count("hello") == 1


def test_what_the_root_handler_leaves_out_is_still_shown(capsys, bare_root):
    with bare_root() as root:
        setup_logging()
        handler = logging.StreamHandler(sys.stderr)
        handler.setLevel(logging.ERROR)
        root.addHandler(handler)
        get_logger().info("hello")

    assert capsys.readouterr().err.endswith("| penstock - hello\n")


def test_a_root_handler_for_a_file_changes_nothing(tmp_path, capsys, bare_root):
    with bare_root() as root:
        setup_logging()
        handler = logging.FileHandler(tmp_path / "program.log")
        root.addHandler(handler)
        get_logger().info("hello")
        handler.close()

    assert (tmp_path / "program.log").read_text() == "hello\n"
    assert capsys.readouterr().err.endswith("| penstock - hello\n")


def test_pytests_caplog_sees_records(flow_run, caplog):
    setup_logging()
    flow_run_logger(flow_run).info("hello")

    assert [record.message for record in caplog.records] == ["hello"]


def test_without_a_console_nothing_breaks(monkeypatch, bare_root):
    with bare_root():
        setup_logging()
        monkeypatch.setattr(sys, "stderr", None)
        get_logger().info("hello")
        monkeypatch.undo()


def test_on_a_terminal_words_are_coloured(terminal, shown_on):
    logger = shown_on(terminal)
    logger.error(
        "Task run 'add-0' Failed, see https://example.org/x",
        extra={"task_run_name": "add-0"},
    )

    assert terminal.getvalue() == (
        "\x1b[31mERROR\x1b[0m|Task run \x1b[34m'add-0'\x1b[0m \x1b[31mFailed\x1b[0m,"
        " see \x1b[94mhttps://example.org/x\x1b[0m\n"
    )


def test_styles_can_be_changed(terminal, shown_on):
    shown_on(terminal, styles={"log.info_level": "bold green"}).info("hello")

    assert terminal.getvalue() == "\x1b[1;32mINFO\x1b[0m|hello\n"


def test_a_style_that_names_no_colour_leaves_it_uncoloured(terminal, shown_on):
    shown_on(terminal, styles={"log.info_level": "mauve"}).info("hello")

    assert terminal.getvalue() == "INFO|hello\n"


@pytest.mark.parametrize("variable", ["NO_COLOR", "TERM"])
def test_colours_are_not_forced_on_anybody(terminal, shown_on, monkeypatch, variable):
    monkeypatch.setenv(variable, "dumb")
    shown_on(terminal).info("hello")

    assert terminal.getvalue() == "INFO|hello\n"


def test_colours_can_be_switched_off(terminal, shown_on):
    with temporary_settings({"PENSTOCK_LOGGING_COLORS": False}):
        shown_on(terminal).info("hello")
    shown_on(terminal, colors=False).info("hello")

    assert "\x1b" not in terminal.getvalue()


def test_a_file_is_not_coloured(shown_on):
    stream = io.StringIO()
    shown_on(stream).info("Completed")

    assert stream.getvalue() == "INFO|Completed\n"


def test_old_windows_consoles_are_not_coloured(terminal, monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.delenv("WT_SESSION", raising=False)
    assert not takes_color(terminal)

    monkeypatch.setenv("WT_SESSION", "1")
    assert takes_color(terminal)


def test_markup_is_taken_out_where_there_are_no_colours(shown_on):
    stream = io.StringIO()
    logger = shown_on(stream, markup=True)
    logger.info("[red]hot[/red] [b]x[/b] [3, 4]")
    logger.info("not [/closed] well")

    assert stream.getvalue() == "INFO|hot x [3, 4]\nINFO|not [/closed] well\n"


def test_markup_colours_on_a_terminal(terminal, shown_on):
    shown_on(terminal, markup=True, styles={"log.info_level": ""}).info("[red]hot[/red]")

    assert terminal.getvalue().endswith("|\x1b[31mhot\x1b[0m\n")


def test_markup_is_text_unless_asked_for(flow_run, capsys):
    setup_logging()
    flow_run_logger(flow_run).info("[red]hot[/red]")
    with temporary_settings({"PENSTOCK_LOGGING_MARKUP": True}):
        setup_logging()
        flow_run_logger(flow_run).info("[red]hot[/red]")

    text, rendered = capsys.readouterr().err.splitlines()
    assert text.endswith("- [red]hot[/red]")
    assert rendered.endswith("- hot")


def test_the_formatter_keeps_logging_s_own_ways():
    record = logging.makeLogRecord(
        {"msg": "hello", "created": 0.0, "msecs": 25, "flow_run_name": "otter"}
    )

    braces = PenstockFormatter("{message} {rows}", style="{", defaults={"rows": 3})
    dated = PenstockFormatter("%(asctime)s", datefmt="%Y")
    undated = PenstockFormatter("%(asctime)s")
    per_run = PenstockFormatter("{message}", style="{", flow_run_fmt="{flow_run_name}!")

    assert braces.format(record) == "hello 3"
    assert dated.format(record) in {"1970", "1969"}
    assert undated.format(record).endswith(",025")
    assert per_run.format(record) == "otter!"


def test_one_formatter_keeps_two_time_formats_apart():
    record = logging.makeLogRecord({"created": 86400.0 * 365})
    formatter = PenstockFormatter()

    assert formatter.formatTime(record, "%Y") in {"1970", "1971"}
    assert formatter.formatTime(record, "%y") in {"70", "71"}


def test_names_that_older_configurations_use():
    assert PrefectConsoleHandler is ConsoleHandler
    assert PrefectFormatter is PenstockFormatter
