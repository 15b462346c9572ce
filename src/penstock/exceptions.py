"""Every exception that penstock raises on purpose.

```
PenstockException
├─ CrashedRun, FailedRun, CancelledRun, PausedRun, UnfinishedRun  a run has no value to give
├─ MissingResult                                                  a result that was not kept
├─ UnreadableResult            (ValueError)                       a result that cannot be read back
├─ MissingFlowError, UnspecifiedFlowError, ScriptError            loading a flow from a file
├─ ParameterTypeError, ParameterBindError (TypeError),
│  SignatureMismatchError (TypeError), InvalidNameError (ValueError),
│  ReservedArgumentError (TypeError)                              what a flow or task was given
├─ MappingLengthMismatch, MappingMissingIterable                  `.map`
├─ UpstreamTaskError                                              an input that did not complete
├─ MissingContextError         (RuntimeError)                     asked for a run outside of one
├─ ObjectNotFound (LookupError), ObjectAlreadyExists, MissingProfileError (ValueError)
├─ NotPausedError, FlowPauseTimeout, FlowRunWaitTimeout           pausing and waiting
├─ ConcurrencySlotAcquisitionError                                slots that could never be had
├─ IllegalTransition           (ValueError)                       a move that the rules forbid
├─ VisualizationUnsupportedError
├─ MissingLibraryError         (ImportError)                      a library of an extra is missing
├─ WouldDeadlock               (RuntimeError)                     a wait that could never end
└─ StoreError                                                     the record store
   ├─ StoreLocked              (TimeoutError)
   ├─ StoreUnusable            (OSError)                          corrupt, read-only, or full
   ├─ StoreUnreachable         (ConnectionError)                  its server is away
   ├─ StoreTooNew, StoreTooOld                                    another schema
   └─ RunOwnedElsewhere        (RuntimeError)                     somebody else executes the run
BaseException
├─ PenstockSignal
│  ├─ Abort                                                       the run may not go on here
│  └─ Pause                                                       the run stops here for now
└─ ExternalSignal
   └─ TerminationSignal                                           SIGTERM
```

Signals are no `Exception`s, so that a user's `except Exception` does not swallow them.
Behaviour: section 1 and 3.10 of the flow engine's specification.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class PenstockException(Exception):
    """The base of all of penstock's exceptions."""


PrefectException = PenstockException
"""The name that programs made for Prefect use."""


class CrashedRun(PenstockException):
    """The result of a run that crashed was asked for."""


class FailedRun(PenstockException):
    """The result of a run that failed without an exception was asked for."""


class CancelledRun(PenstockException):
    """The result of a cancelled run was asked for."""


class PausedRun(PenstockException):
    """The result of a paused run was asked for; `state` is the paused state."""

    def __init__(self, *args: object, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class UnfinishedRun(PenstockException):
    """The result of a run that is not finished was asked for."""


class MissingResult(PenstockException):
    """A run finished, but its result was not kept where it could be read now."""


class UnreadableResult(PenstockException, ValueError):
    """A recorded result is there but cannot be turned back into its value."""


class MissingFlowError(PenstockException):
    """No flow of the wanted name was found."""


class UnspecifiedFlowError(PenstockException):
    """Several flows were found and none was named."""


class ScriptError(PenstockException):
    """A script raised while it was loaded; `user_exc` is what it raised, `said` its message."""

    def __init__(self, user_exc: BaseException, path: str) -> None:
        try:
            said = str(user_exc)
        except Exception as error:  # noqa: BLE001 - the script's own code, which may do anything
            said = f"its message cannot be shown, str() of it raised {type(error).__name__}"
        super().__init__(
            f"Script at {path!r} raised {type(user_exc).__name__} while it was loaded: {said}"
        )
        self.said = said
        self.user_exc = user_exc
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by what it was made from."""
        return type(self), (self.user_exc, self.path)


class ParameterTypeError(PenstockException):
    """A parameter's value does not fit its annotation."""


class ParameterBindError(PenstockException, TypeError):
    """A call's arguments do not fit the function's signature."""

    @classmethod
    def from_bind_failure(
        cls, fn: Callable[..., Any], problem: object, signature: object
    ) -> ParameterBindError:
        """Say which function was called wrongly, how, and what it takes."""
        name = getattr(fn, "__qualname__", repr(fn))
        return cls(
            f"Error binding parameters for function {name!r}: {problem}. It takes {signature}."
        )


class SignatureMismatchError(PenstockException, TypeError):
    """Parameters were given by names that the function does not have."""


class ReservedArgumentError(PenstockException, TypeError):
    """A function has a parameter whose name penstock needs for itself."""


class InvalidNameError(PenstockException, ValueError):
    """A name has a character that names may not have."""


class MappingLengthMismatch(PenstockException):
    """Iterables given to `.map` differ in length."""


class MappingMissingIterable(PenstockException):
    """Nothing given to `.map` can be iterated over."""


class UpstreamTaskError(PenstockException):
    """An upstream task run did not complete, so its result cannot be used."""


class MissingContextError(PenstockException, RuntimeError):
    """Something that needs a flow or task run was used outside of one."""


class ObjectNotFound(PenstockException, LookupError):
    """A record that was asked for does not exist."""


class ObjectAlreadyExists(PenstockException, ValueError):
    """A record of this name or id exists already."""


class MissingProfileError(PenstockException, ValueError):
    """A profile of this name does not exist."""


class NotPausedError(PenstockException):
    """A run that is not paused was to be resumed."""


class FlowPauseTimeout(PenstockException, TimeoutError):
    """A paused run was not resumed in time."""


class FlowRunWaitTimeout(PenstockException, TimeoutError):
    """A flow run did not finish in the time it was waited for."""


class ConcurrencySlotAcquisitionError(PenstockException):
    """Slots of a concurrency limit were asked for that could never be had."""


class IllegalTransition(PenstockException, ValueError):
    """A move between states that the rules do not allow."""


class VisualizationUnsupportedError(PenstockException):
    """Something was used in a flow that cannot be drawn."""


class MissingLibraryError(PenstockException, ImportError):
    """What was asked for needs a library that is not installed; the message says which."""


class WouldDeadlock(PenstockException, RuntimeError):
    """A wait was begun that could never end, and was refused."""


class StoreError(PenstockException):
    """The record store could not do what was asked."""


class StoreLocked(StoreError, TimeoutError):
    """Other processes kept the store busy for longer than the store's busy timeout."""


class StoreUnusable(StoreError, OSError):
    """The store cannot be opened or written."""


class StoreUnreachable(StoreError, ConnectionError):
    """The store's server was away for longer than the store's outage timeout."""


class StoreTooNew(StoreError):
    """The store was made by a newer penstock."""


class StoreTooOld(StoreError):
    """The store was made by an older penstock and has to be upgraded first."""


class RunOwnedElsewhere(StoreError, RuntimeError):
    """The run is being executed by another living process."""


class PenstockSignal(BaseException):
    """The base of the signals by which a run is told to stop here."""


PrefectSignal = PenstockSignal
"""The name that programs made for Prefect use."""


class Abort(PenstockSignal):
    """The run may not go on in this process; its recorded state is left as it is."""


class Pause(PenstockSignal):
    """The run stops here for now; `state` is the paused state."""

    def __init__(self, *args: object, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class ExternalSignal(BaseException):
    """The base of signals that come from outside of penstock."""


class TerminationSignal(ExternalSignal):
    """The process was asked to terminate; `signal` is the signal's number."""

    def __init__(self, signal: int) -> None:
        super().__init__(f"Received signal {signal}.")
        self.signal = signal

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by the signal's number."""
        return type(self), (self.signal,)
