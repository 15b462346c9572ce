"""A run that logs more than it commits: DESIGN 5, promise 5, and PAINS 14."""

from penstock import flow, get_run_logger, task
from penstock.client import get_client
from penstock.logging import buffer

LINES = 2_000


@task
def chatters():
    logger = get_run_logger()
    for number in range(LINES):
        logger.info("line %d", number)


def lines_recorded():
    with get_client(sync_client=True) as client:
        messages = [log.message for log in client.read_logs(limit=10_000)]
    return [message for message in messages if message.startswith("line ")]


def test_all_is_recorded_of_a_task_that_logs_more_than_waits(monkeypatch):
    monkeypatch.setattr(buffer, "FLUSH_ROWS", 100)
    monkeypatch.setattr(buffer, "MAX_ROWS", 300)

    @flow
    def one():
        chatters()

    one()

    assert lines_recorded() == [f"line {number}" for number in range(LINES)]


def test_threads_that_log_at_once(monkeypatch):
    monkeypatch.setattr(buffer, "FLUSH_ROWS", 100)
    monkeypatch.setattr(buffer, "MAX_ROWS", 10_000)

    @flow
    def several():
        for future in [chatters.submit() for _ in range(4)]:
            future.wait()

    several()

    assert sorted(lines_recorded()) == sorted(4 * [f"line {number}" for number in range(LINES)])
