from __future__ import annotations

import logging

from penstock.logging import LogEavesdropper


def test_what_a_logger_is_given_is_collected():
    logger = logging.getLogger("some_library.part")
    with LogEavesdropper("some_library", level=logging.DEBUG) as overheard:
        logger.debug("one")
        logging.getLogger("some_library").info("two %s", 2)
        assert overheard.text() == "one\ntwo 2"
    logger.warning("three")

    assert overheard.text() == "one\ntwo 2"


def test_below_its_level_nothing_is_collected():
    with LogEavesdropper("some_library", level=logging.WARNING) as overheard:
        logging.getLogger("some_library").info("one")

    assert overheard.text() == ""


def test_the_loggers_level_comes_back():
    logger = logging.getLogger("some_library")
    logger.setLevel(logging.ERROR)
    with LogEavesdropper("some_library", level=logging.INFO):
        assert logger.level == logging.INFO

    assert logger.level == logging.ERROR


def test_what_the_logger_lets_through_for_others_stays(caplog):
    logger = logging.getLogger("some_library")
    logger.setLevel(logging.INFO)
    with LogEavesdropper("some_library", level=logging.ERROR) as overheard:
        logger.info("one")
        logger.error("two")
    with LogEavesdropper("some_library") as all_overheard:
        logger.debug("three")
        logger.info("four")

    assert overheard.text() == "two"
    assert all_overheard.text() == "four"
    assert [record.message for record in caplog.records] == ["one", "two", "four"]
