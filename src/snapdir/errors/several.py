"""Several failures at once, and the failure of a task group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from snapdir.errors.base import SnapdirError
from snapdir.errors.local import NoSpace
from snapdir.errors.store import AccessDenied, StoreMissing

MAX_NAMED_FAILURES = 10


class TransferFailed(ExceptionGroup[SnapdirError], SnapdirError):
    """Several items failed. ``exceptions`` holds one error for each item.

    Created with a message alone, as torch's data loader does for the error of a worker, it holds that message as its
    only error.
    """

    def __new__(cls, message: str, exceptions: Sequence[SnapdirError] = ()) -> TransferFailed:
        return super().__new__(cls, message, exceptions or (SnapdirError(message),))

    def __init__(self, message: str, exceptions: Sequence[SnapdirError] = ()) -> None:
        errors = exceptions or (SnapdirError(message),)
        self.code = errors[0].code
        self.exit_code = max(error.exit_code for error in errors)

    def derive(self, excs: Sequence[SnapdirError]) -> TransferFailed:  # type: ignore[override]  # narrower on purpose
        return TransferFailed(self.message, excs)

    def __str__(self) -> str:
        return self.listed(str)

    def listed(self, sentence: Callable[[BaseException], str]) -> str:
        """The message, ten failures formatted by ``sentence``, and the number of others."""
        shown = "; ".join(map(sentence, self.exceptions[:MAX_NAMED_FAILURES]))
        hidden = len(self.exceptions) - MAX_NAMED_FAILURES
        more = f"; and {hidden:,} more" if hidden > 0 else ""
        return f"{self.message}: {len(self.exceptions)} failures: {shown}{more}"


@contextmanager
def ungrouped(operation: str) -> Iterator[None]:
    """Raise a single failure of a task group as itself, and several as one TransferFailed named ``operation``.

    Other exceptions (a bug, a KeyboardInterrupt) are raised as themselves and take precedence.
    """
    try:
        yield
    except TransferFailed:
        raise
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        unknown = [leaf for leaf in leaves if not isinstance(leaf, SnapdirError)]
        if unknown:
            raise unknown[0] from group
        ours = list({str(leaf): leaf for leaf in leaves if isinstance(leaf, SnapdirError)}.values())
        first = ours[0] if len(ours) == 1 else _cause_of_all(ours)
        if first is not None:
            raise first from first.__cause__
        raise TransferFailed(operation, ours) from None


def _cause_of_all(errors: Sequence[SnapdirError]) -> SnapdirError | None:
    """The error that explains the others: a full disk, a missing store, or credentials refused every time."""
    roots = [error for error in errors if isinstance(error, NoSpace | StoreMissing)]
    if not roots and all(isinstance(error, AccessDenied) for error in errors):
        return errors[0]
    return roots[0] if roots else None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup) and not isinstance(error, TransferFailed):
            yield from _leaves(error)
        else:
            yield error
