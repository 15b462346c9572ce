"""Where the tasks of a graph run: the executor protocol of section 6.7, on the task runners.

An executor is asked by `submit` to call something, and by `wait` for what came of it. The flow
runner uses the task runner beneath the executors of this module directly; what only speaks the
protocol is used by it.
"""

from __future__ import annotations

import concurrent.futures
import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from penstock.graph.ambient import context
from penstock.graph.configuration import find_class
from penstock.task_runners import (
    BaseTaskRunner,
    Call,
    ConcurrentTaskRunner,
    Outcome,
    SequentialTaskRunner,
    duplicate_of,
)
from penstock.task_runners.waiting import block_for_user
from penstock.utilities.collections import visit_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


__all__ = ["Executor", "LocalDaskExecutor", "LocalExecutor", "TaskRunnerExecutor"]

_PROTOCOL = ("start", "submit", "wait")
_ON_THREADS = ("threads", "threading")
_ONE_BY_ONE = ("synchronous", "sync", "single-threaded")
_ON_PROCESSES = ("processes", "multiprocessing")


class Executor:
    """The protocol: `start`, `submit`, `wait`. A subclass says where calls are made.

    A subclass may be handed `Future`s inside of arguments, nested in lists and dictionaries, and
    resolves them before the call is made.
    """

    def __repr__(self) -> str:
        """Give the kind of executor."""
        return f"<Executor: {type(self).__name__}>"

    @contextmanager
    def start(self) -> Generator[Any]:
        """Make ready for submissions while the block lasts. Here there is nothing to do."""
        yield

    def submit(
        self,
        fn: Callable[..., Any],
        *args: Any,
        extra_context: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Have `fn` called; give a future of what it returns, or that itself.

        Parameters:
            fn: what to call.
            args, kwargs: its arguments; futures in them are resolved first.
            extra_context: `task_name`, `task_tags` and `task_index` of the task that it is for.

        Raises:
            NotImplementedError: the subclass does not say how.
        """
        del fn, args, extra_context, kwargs
        raise NotImplementedError(f"{type(self).__name__} does not define submit().")

    def wait(self, futures: Any) -> Any:
        """Give what was submitted in the place of its futures, in lists and dictionaries, too.

        Raises:
            NotImplementedError: the subclass does not say how.
        """
        del futures
        raise NotImplementedError(f"{type(self).__name__} does not define wait().")


class LocalExecutor(Executor):
    """Makes each call at once, in the thread that submits it. The default.

    Example:
        >>> LocalExecutor().submit(max, 1, 2)
        2
    """

    def submit(
        self,
        fn: Callable[..., Any],
        *args: Any,
        extra_context: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Call `fn` and give what it returns."""
        del extra_context
        return fn(*args, **kwargs)

    def wait(self, futures: Any) -> Any:
        """Give what it was given: all of it is there already."""
        return futures


class TaskRunnerExecutor(Executor):
    """Makes calls where one of penstock's task runners makes them.

    Parameters:
        task_runner: a task runner, or a class of one. Each run uses a duplicate of it.

    Raises:
        TypeError: it is no task runner.

    Example:
        >>> from penstock.task_runners import ConcurrentTaskRunner
        >>> executor = TaskRunnerExecutor(ConcurrentTaskRunner(max_workers=4))
        >>> with executor.start():
        ...     executor.wait(executor.submit(max, 1, 2))
        2
    """

    def __init__(self, task_runner: BaseTaskRunner | type[BaseTaskRunner]) -> None:
        from penstock.decorating import check_runner

        self.task_runner: BaseTaskRunner = check_runner(task_runner)
        self.started: BaseTaskRunner | None = None
        """The task runner that makes calls now, between `start()` and its end."""
        self._running: dict[int, tuple[Call, concurrent.futures.Future[Any]]] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Pickle an executor by what it was made with; what is running stays here."""
        return {**self.__dict__, "started": None, "_running": {}}

    @contextmanager
    def start(self) -> Generator[BaseTaskRunner]:
        """Start a task runner for the time of the block; an exception in it stops what runs.

        Returns:
            The task runner: flows in several threads may have started one each.
        """
        former = self.started
        self.started = runner = duplicate_of(self.task_runner).start()
        try:
            yield runner
        except BaseException:
            for call, future in list(self._running.values()):
                if not future.cancel() and call.deadline is not None:
                    call.deadline.fire()
            raise
        finally:
            self.started = former
            runner.close()

    def submit(
        self,
        fn: Callable[..., Any],
        *args: Any,
        extra_context: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> concurrent.futures.Future[Any]:
        """Have `fn` called by the task runner when the futures among its arguments are done.

        Raises:
            ValueError: the executor is not started.
        """
        del extra_context
        runner = self.started
        if runner is None:
            message = (
                f"{type(self).__name__} must be started before work is submitted to it: write"
                " `with executor.start():` around it. Flow.run does so by itself."
            )
            raise ValueError(message)
        made: concurrent.futures.Future[Any] = concurrent.futures.Future()
        work = Call(partial(_unless_cancelled, made, fn), (), {}, interruptible=True)
        self._running[id(made)] = work, made

        def done(outcome: Outcome) -> None:
            self._running.pop(id(made), None)
            if made.cancelled():
                return
            if outcome.error is None and outcome.timed_out:
                made.set_exception(concurrent.futures.CancelledError())
            elif outcome.error is not None:
                made.set_exception(outcome.error)
            else:
                made.set_result(outcome.value)

        def call() -> None:
            try:
                resolved = _resolved([args, kwargs])
            except BaseException as error:  # noqa: BLE001 - the future has it
                done(Outcome(error=error))
            else:
                work.args, work.kwargs = tuple(resolved[0]), resolved[1]
                runner.run(work, done)

        _when_done(_futures_in([args, kwargs]), call)
        return made

    def wait(self, futures: Any) -> Any:
        """Give what was submitted in the place of its futures; raise what a call has raised."""
        for future in _futures_in(futures):
            if not future.done():
                finished = threading.Lock()
                finished.acquire()
                future.add_done_callback(lambda _future, lock=finished: lock.release())
                block_for_user(finished)
        return _resolved(futures)


class LocalDaskExecutor(TaskRunnerExecutor):
    """Makes calls beside each other on this machine. Needs no Dask: the name is the field's.

    Parameters:
        scheduler: `threads` (or `threading`), or `synchronous` (or `sync`, `single-threaded`) for
            one after the other.
        num_workers: how many threads there may be; by default
            `PENSTOCK_TASK_RUNNER_MAX_WORKERS`.

    Raises:
        ValueError: there is no such scheduler.

    Example:
        >>> LocalDaskExecutor(scheduler="threads", num_workers=8).scheduler
        'threads'
    """

    def __init__(self, scheduler: str = "threads", num_workers: int | None = None) -> None:
        given, scheduler = scheduler, str(scheduler).lower()
        if scheduler in _ON_PROCESSES:
            message = (
                f"There are no worker processes for graphs yet, so scheduler={given!r} cannot"
                " be used. Use scheduler='threads'."
            )
            raise ValueError(message)
        if scheduler not in _ON_THREADS + _ONE_BY_ONE:
            known = ", ".join((*_ON_THREADS, *_ONE_BY_ONE))
            message = f"{given!r} is not a scheduler of {type(self).__name__}. Use one of {known}."
            raise ValueError(message)
        on_threads = scheduler in _ON_THREADS
        self.scheduler = "threads" if on_threads else "synchronous"
        self.num_workers = num_workers
        super().__init__(
            ConcurrentTaskRunner(num_workers) if on_threads else SequentialTaskRunner()
        )


def _unless_cancelled(
    future: concurrent.futures.Future[Any], fn: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    if future.set_running_or_notify_cancel():
        return fn(*args, **kwargs)
    return None


def executor_of(given: Any) -> Executor:
    """Give the executor for what a user has given as such: one, a class of one, or a task runner.

    Raises:
        TypeError: it is none of these.
    """
    made: Any = given() if isinstance(given, type) else given
    if isinstance(made, BaseTaskRunner):
        return TaskRunnerExecutor(made)
    missing = [name for name in _PROTOCOL if not hasattr(made, name)]
    if not missing:
        return made
    lacks = "" if len(missing) == len(_PROTOCOL) else f" (it has no {' and no '.join(missing)})"
    message = (
        f"An executor must be an Executor or a task runner, not {made!r}{lacks}. Write, for"
        " example, executor=LocalDaskExecutor(scheduler='threads')."
    )
    raise TypeError(message)


def executor_for(flow: Any, given: Any) -> Executor:
    """Give the executor of a run: the given one, else the flow's, else the setting's.

    Raises:
        TypeError: it is none.
    """
    if given is None:
        given = flow.executor
    if given is None:
        given = find_class(context.config.engine.executor.default_class, LocalExecutor)
    return executor_of(given)


def calls_here(executor: Executor) -> bool:
    """Tell whether an executor is one of ours that makes calls in the thread that submits them."""
    if isinstance(executor, TaskRunnerExecutor):
        is_ours = type(executor).submit is TaskRunnerExecutor.submit
        return is_ours and isinstance(executor.task_runner, SequentialTaskRunner)
    return type(executor) is LocalExecutor


def _futures_in(value: Any) -> list[concurrent.futures.Future[Any]]:
    found: list[concurrent.futures.Future[Any]] = []

    def look(part: Any) -> Any:
        if isinstance(part, concurrent.futures.Future):
            found.append(cast("concurrent.futures.Future[Any]", part))
        return cast("Any", part)

    visit_collection(value, look)
    return found


def _resolved(value: Any) -> Any:
    """Give the value with each future in it replaced by what it has come to."""

    def resolve(part: Any) -> Any:
        is_future = isinstance(part, concurrent.futures.Future)
        if is_future:
            return cast("Any", part).result()
        return part

    return visit_collection(value, resolve, return_data=True)


def _when_done(futures: list[concurrent.futures.Future[Any]], then: Callable[[], None]) -> None:
    """Call `then` once, when the last of the futures is done; no thread waits for them."""
    remaining = len(futures)
    if not remaining:
        then()
        return
    lock = threading.Lock()

    def one_done(_future: object) -> None:
        nonlocal remaining
        with lock:
            remaining -= 1
            if remaining:
                return
        then()

    for future in futures:
        future.add_done_callback(one_done)
