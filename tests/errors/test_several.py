"""Several failures: the error raised from a task group, and the one that stands for all."""

from __future__ import annotations

import pytest

from snapdir.cli.render import error_line
from snapdir.errors import (
    AccessDenied,
    InFluxError,
    NoSpace,
    ObjectNotFound,
    SnapdirError,
    StoreMissing,
    TransferFailed,
    ungrouped,
)

MISSING = [StoreMissing("PUT s3://b/1: no such bucket"), StoreMissing("PUT s3://b/2: no such bucket")]
DENIED = [AccessDenied("PUT s3://b/1: denied"), AccessDenied("PUT s3://b/2: denied")]
IN_FLUX = InFluxError("a file")


def leave(*errors: SnapdirError) -> None:
    with ungrouped("push x"):
        raise ExceptionGroup("tasks", errors)


@pytest.mark.parametrize(
    "errors", [MISSING, [*DENIED, *MISSING], DENIED, [IN_FLUX, NoSpace("/disk", "full")], [IN_FLUX]], ids=str
)
def test_a_failure_that_the_others_follow_from_is_told_alone(errors: list[SnapdirError]) -> None:
    with pytest.raises(SnapdirError) as raised:
        leave(*errors)
    root = [error for error in errors if isinstance(error, StoreMissing | NoSpace)] or errors
    assert raised.value is root[0]


@pytest.mark.parametrize("errors", [[*DENIED, IN_FLUX], [IN_FLUX, InFluxError("another")]], ids=str)
def test_failures_of_their_own_are_all_told(errors: list[SnapdirError]) -> None:
    with pytest.raises(TransferFailed) as raised:
        leave(*errors)
    assert str(raised.value).startswith(f"push x: {len(errors)} failures: ")
    assert list(raised.value.exceptions) == errors


def test_ten_failures_are_named_and_the_others_counted() -> None:
    error = TransferFailed("push x", [InFluxError(f"file {number}") for number in range(1234)])
    for text in (str(error), error_line(error)):
        assert text.count("file changed while") == 10
        assert text.endswith("; and 1,224 more")
        assert text.count("\n") == 0


def test_sixteen_that_say_the_same_are_one() -> None:
    with pytest.raises(ObjectNotFound):
        leave(*(ObjectNotFound("k") for _ in range(16)))
