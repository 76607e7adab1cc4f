"""The text of the command line: banner, figures, notes and errors."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from snapdir.errors import SnapdirError, TransferFailed, local_error
from snapdir.errors.local import LESS_MEMORY
from snapdir.model.sizes import format_size

if TYPE_CHECKING:
    from snapdir.transfer.engine.events import Counters
    from snapdir.transfer.engine.reports import PullReport

GONE = "I/O error: the current directory was removed: change to another directory"


def dry_run(what: str) -> str:
    return f"dry-run: would {what} (no writes performed)"


def planned(files: int, size_bytes: int, *parts: str) -> str:
    """The counts of a dry run in one line; empty parts are left out."""
    return "; ".join(filter(None, (f"dry-run: {_count(files, 'file')}, {format_size(size_bytes)}", *parts)))


def to_write(report: PullReport) -> tuple[str, ...]:
    """What a dry run would change in a directory."""
    removed = f"{_count(len(report.pruned), 'path')} to remove" if report.pruned else ""
    replaced = f", of them {report.replaced:,} to replace" if report.replaced else ""
    return f"{report.files_to_write:,} to write{replaced}", removed


def to_fetch(report: PullReport) -> str:
    """What a dry run would fetch from the store."""
    return moving(report.objects_to_fetch, report.bytes_to_fetch, "fetch", report.requests_to_send)


def to_send(counters: Counters) -> str:
    """What a dry run would send to the store."""
    return moving(counters.objects_to_send, counters.bytes_to_send, "send", counters.requests_to_send)


def moving(objects: int, size_bytes: int, verb: str, requests: int) -> str:
    """Objects to send or fetch, and about how many requests all of that takes."""
    if not objects:
        return f"nothing to {verb}"
    about = f", about {_count(requests, 'request')}" if requests else ""
    return f"{_count(objects, 'object')}, {format_size(size_bytes)} to {verb}{about}"


def _count(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def banner(jobs: str, limit: str) -> str:
    """The line of ``--verbose`` before a transfer; ``limit`` is the rate as typed, empty for none."""
    return f"transfers: {jobs} concurrent" + (f", limit {limit}" if limit else "")


def adaptive_banner(share: float, ceiling: int, limit: str) -> str:
    """``banner`` for a number of concurrent requests that adapts."""
    return f"adaptive: target {share * 100:g}% of capacity, ceiling {ceiling}" + (f", limit {limit}" if limit else "")


def ignored(entries: int) -> str:
    return f"ignored {entries:,} entr{'y' if entries == 1 else 'ies'}"


def kept(counters: Counters) -> str:
    """The unfinished objects that a run has kept for the next run, and where; empty without any."""
    if not counters.kept_objects:
        return ""
    objects = "1 object" if counters.kept_objects == 1 else f"{counters.kept_objects} objects"
    if not counters.kept_bytes:
        return (
            f"the upload of {objects} to {counters.kept_in} has begun, but no part is complete;"
            " run the same command to resume"
        )
    return (
        f"{format_size(counters.kept_bytes)} of {objects} are kept in {counters.kept_in};"
        " run the same command to resume"
    )


def summary(counters: Counters, seconds: float) -> str:
    """The figures of a transfer in one line; empty if it checked and moved nothing."""
    if not (counters.objects_sent or counters.objects_received or counters.files_done or counters.objects_skipped):
        return ""
    moved, size_bytes = _moved(counters)
    skipped = f"{counters.objects_skipped:,} already there, " if counters.objects_skipped else ""
    return f"{moved}, {skipped}{_pace(size_bytes, seconds)}"


def verified(counters: Counters, seconds: float) -> str:
    """The objects and bytes that a successful check has read, in one line."""
    size = format_size(counters.bytes_done)
    return f"verified {counters.files_done:,} object(s), {size}, {_pace(counters.bytes_done, seconds)}"


def _pace(size_bytes: int, seconds: float) -> str:
    rate = f" ({format_size(size_bytes / seconds)}/s)" if size_bytes and seconds > 0 else ""
    return f"{seconds:.1f} s{rate}"


def _moved(counters: Counters) -> tuple[str, int]:
    sent, received = counters.objects_sent, counters.objects_received
    if sent or not (received or counters.files_done):
        return f"sent {sent:,} object(s), {format_size(counters.bytes_sent)}", counters.bytes_sent
    if received:
        return f"received {received:,} object(s), {format_size(counters.bytes_received)}", counters.bytes_received
    return f"{counters.files_done:,} file(s), {format_size(counters.bytes_done)}", counters.bytes_done


def error_line(error: BaseException) -> str:
    """A failure in one line, with the notes it collected on its way up."""
    if isinstance(error, TransferFailed):
        text = error.listed(error_line)
    elif isinstance(error, OSError) and not isinstance(error, SnapdirError):
        text = _system_error(error)
    else:
        text = str(error)
    notes = ", ".join(getattr(error, "__notes__", ()))
    return f"{text} ({notes})" if notes else text


def error_json(error: BaseException) -> str:
    """A failure as one line of JSON, in ASCII, so that no terminal or locale can break it."""
    import json

    return json.dumps(error_facts(error), separators=(",", ":"))


def error_facts(error: BaseException) -> dict[str, object]:
    """A failure as the fields of JSON."""
    facts: dict[str, object] = {
        "error": getattr(error, "code", SnapdirError.code),
        "message": error_line(error),
        "exit_code": getattr(error, "exit_code", SnapdirError.exit_code),
    }
    if isinstance(error, TransferFailed):
        facts["failures"] = [error_facts(each) for each in error.exceptions]
    return facts


def shortage(error: BaseException) -> str | None:
    """A failure from a limit of the machine, in one line; None for any other."""
    if isinstance(error, MemoryError):
        return LESS_MEMORY
    if isinstance(error, RuntimeError) and "start new thread" in str(error):
        return "not enough memory or processes for one more thread: lower --jobs, or raise the limits (ulimit -u, -v)"
    return None


def _system_error(error: OSError) -> str:
    where = error.filename
    if where is None and error.errno == errno.ENOENT and _is_gone():
        return GONE
    return str(local_error(error, os.fsdecode(where))) if isinstance(where, str | bytes) else f"I/O error: {error}"


def _is_gone() -> bool:
    return not os.stat(".").st_nlink


def crash_line(error: BaseException) -> str:
    """An unexpected failure: a bug."""
    if isinstance(error, SystemError) and _is_gone():
        return GONE  # Python 3.13.0 fails to import an extension module there
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"internal error: {what}; this is a bug: please report it with what SNAPDIR_DEBUG=1 adds"
