"""Go through the gate from beginning to end, with nobody at a terminal: `make demo-graph`.

What a person would do is done here by commands: start the run, deliver the file, read the report,
approve of it. Each command is shown. `--out FOLDER` is for tests.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
DAY = "2013-02-08"
DELIVERED_AFTER_S = 2.5
EXIT_COMPLETED, EXIT_PAUSED = 0, 5
RUN_ID = re.compile(r"penstock flow-run resume ([0-9a-f-]{36})")


def main() -> None:
    """Run the gate until it rests, approve, and let it go on."""
    parser = argparse.ArgumentParser(description="Go through the gate from beginning to end.")
    parser.add_argument("--out", type=Path, default=OUT, metavar="FOLDER", help="emptied first")
    out = parser.parse_args().out
    inbox = out / "inbox"
    shutil.rmtree(out, ignore_errors=True)
    gate = os.path.relpath(HERE / "quality_gate.py")
    folders = [] if out == OUT else ["--param", f"out={out}", "--param", f"inbox={inbox}"]

    say("The gate waits for a day's flights. They are delivered while it looks for them.")
    running = start("run", gate, "--param", f"day={DAY}", *folders)
    time.sleep(DELIVERED_AFTER_S)
    delivery = [sys.executable, str(HERE / "deliver.py"), DAY, "--inbox", str(inbox)]
    print(f"$ python {os.path.relpath(HERE / 'deliver.py')} {DAY}", flush=True)
    subprocess.run(delivery, check=True)  # noqa: S603 - the line above
    printed = finish(running, EXIT_PAUSED)
    run_id = RUN_ID.findall(printed)[-1]

    say("It rests: something was mended, so somebody has to read the report and approve.")
    show(out / f"report-{DAY}.md")
    finish(start("flow-run", "ls", "--limit", "1"), EXIT_COMPLETED)

    say("Approved. The run goes on where it rests; nothing that was done is done again.")
    finish(start("flow-run", "resume", run_id), EXIT_COMPLETED)

    say("What became of each task:")
    finish(start("graph", "show", gate, "--run", run_id), EXIT_COMPLETED)
    say("Look next:")
    print(f"  {command()} flow-run inspect {run_id}")
    print(f"  {command()} flow-run logs {run_id}")


def say(text: str) -> None:
    """Say what comes next."""
    print(f"\n# {text}", flush=True)


def show(file: Path) -> None:
    """Print a file as a command would."""
    print(f"$ cat {os.path.relpath(file)}\n{file.read_text()}", flush=True)


def start(*arguments: str) -> subprocess.Popen[str]:
    """Start a penstock command, with nobody who could be asked."""
    print(f"$ {command()} {' '.join(arguments)}", flush=True)
    return subprocess.Popen(  # noqa: S603 - this interpreter, with the arguments above
        [sys.executable, "-m", "penstock", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], expected: int) -> str:
    """Wait for a command to end; print and give what it printed."""
    with process:
        printed, _ = process.communicate()
    print(printed, end="", flush=True)
    if process.returncode != expected:
        sys.exit(f"The command ended with {process.returncode} in place of {expected}.")
    return printed


def command() -> str:
    """How to call penstock here."""
    beside = Path(sys.executable).with_name("penstock")
    return "penstock" if shutil.which("penstock") else os.path.relpath(beside)


if __name__ == "__main__":
    main()
