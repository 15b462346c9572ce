"""The command line: commands parse, call the rooms below, and print.

`entry` is where it begins and where every error ends, `app` has the commands with their options.
What a command needs beyond that is imported when it is called, so that help comes at once.
"""

from penstock.cli.entry import main

__all__ = ["main"]
