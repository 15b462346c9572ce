"""A process that forks while another thread writes a line of the log."""

import subprocess
import sys
import textwrap

import pytest

PROGRAM = """
import io, logging, os, threading
import penstock.logging

logger = logging.getLogger("program")
logger.setLevel("INFO")
in_a_line, forks = threading.Event(), threading.Event()

class Slow(io.RawIOBase):
    def writable(self):
        return True

    def write(self, data):
        if b"slow" in bytes(data):
            in_a_line.set()
            forks.wait(20)
            threading.Event().wait(0.1)
        return len(data)

stream = io.TextIOWrapper(io.BufferedWriter(Slow()), write_through=True)
logger.addHandler(logging.StreamHandler(stream))
os.register_at_fork(before=forks.set)

writer = threading.Thread(target=logger.info, args=("slow",))
writer.start()
in_a_line.wait(20)
child = os.fork()
if child == 0:
    logger.info("from the child")
    os._exit(0)
print(os.waitpid(child, 0)[1])
logger.info("from the parent")
writer.join()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_child_can_log_that_was_forked_in_the_middle_of_a_line():  # PAINS 21
    program = [sys.executable, "-c", textwrap.dedent(PROGRAM)]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.stdout, ended.stderr, ended.returncode) == ("0\n", "", 0)
