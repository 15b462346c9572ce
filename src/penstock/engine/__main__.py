"""`python -m penstock.engine ID`: execute a recorded flow run in a process of its own.

The id may also be in PENSTOCK__FLOW_RUN_ID. The exit code is 0 if the run came to an end,
or rests; 1 if it could not be executed.
"""

from __future__ import annotations

import os
import sys
from uuid import UUID

from penstock.engine.executing import FLOW_RUN_ID, enter_flow_run_engine_from_subprocess
from penstock.exceptions import Abort, Pause
from penstock.logging import get_logger, setup_logging


def main(arguments: list[str]) -> int:
    """Execute the run that is named, and give the exit code.

    Parameters:
        arguments: what follows the module's name: the run's id.
    """
    setup_logging()
    logger = get_logger("engine")
    text = arguments[0] if arguments else os.environ.get(FLOW_RUN_ID, "")
    try:
        run_id = UUID(text)
    except ValueError:
        logger.error(  # noqa: TRY400 - a line says it all
            "%r is not the id of a flow run: give it as in `python -m penstock.engine"
            " 01a20480-3334-7aa3-8186-a049104944c6`, or in %s.",
            text,
            FLOW_RUN_ID,
        )
        return 1
    try:
        state = enter_flow_run_engine_from_subprocess(run_id)
    except Abort as abort:
        logger.info("Execution of flow run %s was aborted: %s", run_id, abort)
    except Pause as pause:
        logger.info("Execution of flow run %s rests: %s", run_id, pause)
    except Exception as error:
        logger.error("Flow run %s was not executed: %s", run_id, error)  # noqa: TRY400
        logger.debug("Details:", exc_info=error)
        return 1
    except BaseException as error:
        logger.error("Execution of flow run %s was interrupted: %r", run_id, error)  # noqa: TRY400
        raise
    else:
        logger.debug("Flow run %s ended in state %s", run_id, state)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
