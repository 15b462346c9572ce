"""Write the pages of the site that are made of the code: modules, commands, settings.

Used by site_hooks.py, while `make docs` builds the site, and by tests/test_docs.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer.main

from penstock.cli.app import app
from penstock.settings import SETTINGS, Setting

if TYPE_CHECKING:
    from collections.abc import Iterator

MODULES = {
    "penstock": "the names that most programs need",
    "penstock.flows": "flows, and how they are loaded from files",
    "penstock.tasks": "tasks, delays of retries, keys of caches",
    "penstock.states": "states, and what is asked of them",
    "penstock.futures": "what `.submit()` and `.map()` give",
    "penstock.task_runners": "where the functions of tasks run",
    "penstock.context": "which run this is",
    "penstock.runtime": "what running code asks about its run",
    "penstock.runtime.flow_run": "about its flow run",
    "penstock.runtime.task_run": "about its task run",
    "penstock.runtime.deployment": "about its deployment",
    "penstock.results": "where results are kept",
    "penstock.serializers": "how results are written",
    "penstock.filesystems": "folders and object stores",
    "penstock.blocks": "typed documents that are saved by name",
    "penstock.logging": "loggers of runs",
    "penstock.input": "inputs of runs",
    "penstock.concurrency": "limits, for sync code",
    "penstock.concurrency.asyncio": "limits, for async code",
    "penstock.client": "reading and changing the records",
    "penstock.flow_runs": "waiting for a run",
    "penstock.client.schemas.objects": "what the records are",
    "penstock.client.schemas.filters": "which records are meant",
    "penstock.client.schemas.sorting": "in which order they come",
    "penstock.exceptions": "what is raised, and when",
    "penstock.settings": "reading and changing settings",
    "penstock.testing": "crash sweeps and simulated runs",
    "penstock.testing.utilities": "a store for a block of tests",
    "penstock.store.checking": "checking a store",
    "penstock.utilities.annotations": "marks around arguments",
    "penstock.graph": "flows that are declared as graphs",
    "penstock.graph.triggers": "whether a task of a graph runs",
    "penstock.graph.signals": "setting a state by raising",
    "penstock.graph.state": "the states of graphs",
}
"""The public modules, in the order of the site, with what each is for."""


def public_names(module: str) -> list[str]:
    """Give the names a module hands out: its `__all__`, or else what it defines without `_`."""
    found = importlib.import_module(module)
    if hasattr(found, "__all__"):
        return sorted(found.__all__)
    return sorted(
        name
        for name, value in vars(found).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module
    )


def pages() -> Iterator[tuple[str, str]]:
    """Give the address and the text of each page that is made of the code."""
    yield "reference/commands.md", commands_page()
    yield "reference/settings.md", settings_page()
    yield "reference/python/index.md", modules_page()
    for module, purpose in MODULES.items():
        yield f"reference/python/{module}.md", module_page(module, purpose)


# -- modules --------------------------------------------------------------------------------------


def modules_page() -> str:
    """Write the list of the public modules."""
    rows = [f"| [`{name}`]({name}.md) | {purpose} |" for name, purpose in MODULES.items()]
    head = "Made of the docstrings. A name that is not here may change without notice."
    return "\n".join(["# Python", "", head, "", "| module | for |", "| --- | --- |", *rows, ""])


def module_page(module: str, purpose: str) -> str:
    """Write the page of a module, which mkdocstrings fills."""
    every = [name for name in public_names(module) if not is_module(module, name)]
    hidden = [name for name in every if has_file(module, name)]
    names = [name for name in every if name not in hidden]
    listed = "\n".join(f"        - {name}" for name in names) or "        []"
    page = (
        f"---\ntitle: {module}\n---\n\n# `{module}`\n\n{purpose[0].upper()}{purpose[1:]}.\n\n"
        f"::: {module}\n    options:\n      show_docstring_description: true\n"
        f"      members:\n{listed}\n"
    )
    return page + "".join(hidden_section(module, name) for name in hidden)


def has_file(module: str, name: str) -> bool:
    """Say whether a package has a file of a name's name."""
    package = hasattr(importlib.import_module(module), "__path__")
    return package and importlib.util.find_spec(f"{module}.{name}") is not None


def hidden_section(module: str, name: str) -> str:
    """Write the entry of a name that a file of the same name hides from who only reads files."""
    value = getattr(importlib.import_module(module), name)
    return (
        f'\n<a id="{module}.{name}"></a>\n\n::: {value.__module__}.{value.__qualname__}\n'
        "    options:\n      heading_level: 3\n      show_root_heading: true\n"
        "      show_root_toc_entry: true\n      show_root_full_path: false\n"
    )


def is_module(module: str, name: str) -> bool:
    """Say whether a public name is a module, which has a page of its own."""
    return inspect.ismodule(getattr(importlib.import_module(module), name))


# -- commands -------------------------------------------------------------------------------------


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Give every command with its full name, the groups not counted."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def all_commands() -> list[tuple[str, Any]]:
    """Give every command of the program, by name."""
    return sorted(commands(typer.main.get_command(app), "penstock"))


def commands_page() -> str:
    """Write every command with its help, arguments and options."""
    head = (
        "# Every command\n\nMade of the commands themselves, as `--help` shows them. With "
        "examples and exit codes: [the command line](../command-line.md).\n"
    )
    sections = [command_section(name, command) for name, command in all_commands()]
    return "\n".join([head, *sections])


def command_section(name: str, command: Any) -> str:
    """Write one command."""
    takes = [each for each in command.params if each.name != "help"]
    usage = " ".join([name, *(usage_of(each) for each in takes)])
    lines = [f"## {name}", "", f"    {usage}", "", reflow(command.help or "")]
    if takes:
        lines += ["", "| takes | default | meaning |", "| --- | --- | --- |"]
        lines += [parameter_row(each) for each in takes]
    return "\n".join([*lines, ""])


def usage_of(parameter: Any) -> str:
    """Give a parameter as it stands in a usage line."""
    if parameter.param_type_name == "argument":
        shown = value_of(parameter)
        return shown if parameter.required else f"[{shown}]"
    value = "" if parameter.is_flag else f" {value_of(parameter)}"
    more = " ..." if parameter.multiple else ""
    shown = f"{longest(parameter.opts)}{value}"
    return f"{shown}{more}" if parameter.required else f"[{shown}{more}]"


def value_of(parameter: Any) -> str:
    """Give the word that stands for a parameter's value."""
    if parameter.metavar:
        return parameter.metavar
    if parameter.param_type_name == "argument":
        return parameter.name.upper()
    kind = parameter.type.name
    return "NUMBER" if kind.startswith(("integer", "float")) else kind.upper()


def longest(names: list[str]) -> str:
    """Give the long name of an option."""
    return max(names, key=len)


def parameter_row(parameter: Any) -> str:
    """Write a parameter as a row of a table."""
    names = parameter.opts if parameter.param_type_name == "option" else [value_of(parameter)]
    shown = ", ".join(f"`{name}`" for name in [*names, *parameter.secondary_opts])
    if parameter.param_type_name == "option" and not parameter.is_flag:
        shown += f" `{value_of(parameter)}`"
    return f"| {shown} | {default_of(parameter)} | {cell(parameter.help or '')} |"


def default_of(parameter: Any) -> str:
    """Give what a parameter is when it is not given."""
    if parameter.required:
        return "has to be given"
    default = parameter.default
    nothing = default is None or callable(default) or default is False or default in ([], ())
    if nothing or type(default).__name__ == "Sentinel":
        return ""
    return f"`{default}`"


def reflow(text: str) -> str:
    """Give a help text as Markdown: its paragraphs, without typer's marks."""
    plain = text.replace("\b", "").partition("\f")[0]
    return escape(inspect.cleandoc(plain))


def cell(text: str) -> str:
    """Give a text that may stand in a cell of a table."""
    return escape(" ".join(text.split())).replace("|", "\\|")


def escape(text: str) -> str:
    """Keep Markdown and HTML from reading a text's own marks."""
    return re.sub(r"([<>*\[\]])", r"\\\1", text)


# -- settings -------------------------------------------------------------------------------------


TABLE_BEGINS = "<!-- the table of settings: written by `python -m tools.settings_table` -->"
TABLE_ENDS = "<!-- the end of the table -->"


def settings_page() -> str:
    """Write every setting in one table, each linked to its entry."""
    head = (
        "# Every setting\n\nMade of the settings themselves. Where values come from, and what "
        "each of them changes: [settings](../settings.md).\n\n"
    )
    return f"{head}{settings_table('../settings.md')}\n"


def settings_table(page: str = "") -> str:
    """Write what each setting takes, its default and its meaning, in the order of the names.

    Args:
        page: The page that its entries are on, where that is another one.
    """
    rows = [
        f"| [`{name}`]({page}#{name.lower()}) | {cell(takes_of(setting))} "
        f"| {default_in_words(setting)} | {cell(setting.description)} |"
        for name, setting in sorted(SETTINGS.items())
    ]
    head = ["| setting | takes | default | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def takes_of(setting: Setting[Any]) -> str:
    """Say what a setting takes, in short."""
    return setting.kind.expected.partition(" (also")[0]


def default_in_words(setting: Setting[Any]) -> str:
    """Give the default of a setting, in a home of no particular place."""
    values: dict[str, Any] = {
        "PENSTOCK_HOME": Path("PENSTOCK_HOME"),
        "PENSTOCK_API_URL": None,
        "PENSTOCK_DEBUG_MODE": False,
        "PENSTOCK_TEST_MODE": False,
        "PENSTOCK_LEASE_TTL_S": SETTINGS["PENSTOCK_LEASE_TTL_S"].default,
    }
    default = setting.default_from(values)
    if default is None or default == ():
        return "none"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, float):
        return f"`{default:g}`"
    return "`" + str(default).replace(str(Path.home()), "~") + "`"


def setting_line(setting: Setting[Any]) -> str:
    """Give the line that begins the entry of a setting."""
    also = "".join(f" Also read as `{name}`." for name in setting.former_names)
    return f"Takes {takes_of(setting)}. Default: {default_in_words(setting)}.{also}"
