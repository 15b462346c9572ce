from __future__ import annotations

import asyncio
import contextvars
import functools
import subprocess
import sys
import threading

import pytest

from penstock.utilities.asyncutils import (
    gather,
    is_async_fn,
    is_in_async_code,
    run_sync_in_worker_thread,
    sync_compatible,
)


async def double(x):
    return 2 * x


def single(x):
    return x


class AsyncCall:
    async def __call__(self):
        pass

    async def method(self):
        pass


class SyncCall:
    def __call__(self):
        pass


@functools.wraps(double)
def wrapped(*args):
    return double(*args)


@pytest.mark.parametrize(
    ("fn", "expected"),
    [
        (double, True),
        (functools.partial(double, 1), True),
        (functools.partial(functools.partial(double), 1), True),
        pytest.param(wrapped, True, id="wrapped"),
        (AsyncCall(), True),
        (AsyncCall().method, True),
        (functools.partial(AsyncCall()), True),
        (single, False),
        (functools.partial(single), False),
        (SyncCall(), False),
        (AsyncCall, False),
        (print, False),
        (3, False),
    ],
)
def test_is_async_fn(fn, expected):
    assert is_async_fn(fn) is expected


def test_sync_compatible_gives_the_value_in_sync_code():
    call = sync_compatible(double)
    assert call(2) == 4
    assert not is_async_fn(call)
    assert call.__name__ == "double"
    assert call.aio is double


def test_sync_compatible_gives_an_awaitable_in_async_code():
    call = sync_compatible(double)

    async def main():
        return await call(3), is_in_async_code()

    assert asyncio.run(main()) == (6, True)
    assert not is_in_async_code()


def test_sync_compatible_takes_async_functions_only():
    with pytest.raises(TypeError, match="async function"):
        sync_compatible(single)


def test_a_worker_thread_runs_the_function_in_the_callers_context():
    variable = contextvars.ContextVar("variable", default=0)

    def work(a, b):
        return a, b, variable.get(), threading.current_thread() is threading.main_thread()

    async def main():
        variable.set(5)
        return await run_sync_in_worker_thread(work, 1, b=2)

    assert asyncio.run(main()) == (1, 2, 5, False)


def test_what_a_worker_thread_raises_is_raised():
    class Signal(BaseException):
        pass

    def fail(error):
        raise error

    async def main(error):
        await run_sync_in_worker_thread(fail, error)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main(ZeroDivisionError()))
    with pytest.raises(Signal):
        asyncio.run(main(Signal()))
    with pytest.raises(RuntimeError, match="StopIteration"):
        asyncio.run(main(StopIteration()))


def test_many_workers_that_wait_for_each_other_do_not_run_out_of_threads():
    count = 60

    async def main():
        barrier = threading.Barrier(count, timeout=20)
        await gather(*(lambda: run_sync_in_worker_thread(barrier.wait) for _ in range(count)))

    asyncio.run(main())


def test_a_cancelled_wait_leaves_the_thread_to_itself():
    release, finished = threading.Event(), threading.Event()

    def work():
        release.wait(20)
        finished.set()

    async def main():
        waiting = asyncio.ensure_future(run_sync_in_worker_thread(work))
        await asyncio.wait([waiting], timeout=0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    release.set()
    assert finished.wait(20)


def test_gather_keeps_the_order():
    async def main():
        return await gather(lambda: double(1), lambda: double(2), lambda: double(3))

    assert asyncio.run(main()) == [2, 4, 6]


def test_gather_cancels_the_others_when_one_fails():
    cancelled = []

    async def for_ever():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def fail():
        raise ZeroDivisionError

    async def main():
        await gather(for_ever, fail)

    with pytest.raises(ZeroDivisionError):
        asyncio.run(main())
    assert cancelled == [True]


def test_importing_it_does_not_import_asyncio():
    code = "import sys, penstock.utilities.asyncutils as a; a.is_in_async_code();"
    code += "print('asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
