"""What fetch, checkout and pull say when they are done."""

from __future__ import annotations

from snapdir.cli import render
from snapdir.cli.invocation import Invocation
from snapdir.cli.terminal import printable, write_output

__all__ = ["report_checked_out", "report_fetched", "report_selection"]


def report_selection(invocation: Invocation, snapshot_id: str) -> None:
    """Say that it was not the whole snapshot."""
    counters = invocation.counters
    if counters.files_known:
        invocation.terminal.note(
            f"partial: {counters.files_selected:,} of the {counters.files_known:,} file(s) of {snapshot_id}"
        )


def report_fetched(invocation: Invocation, snapshot_id: str, *, dry_run: bool) -> None:
    """Whether the cache was complete already, in the words of ``--verbose`` or of a dry run."""
    complete = invocation.counters.already_complete
    if not dry_run:
        invocation.terminal.detail(f"{'CACHED' if complete else 'SAVED'}: {snapshot_id}")
    elif not complete:
        invocation.terminal.note(render.dry_run(f"fetch {snapshot_id} into the local cache"))


def report_checked_out(invocation: Invocation, snapshot_id: str, target: str, *, delete: bool, dry_run: bool) -> None:
    """What was replaced and removed, which nobody asked before; or what a dry run would have done."""
    replaced, pruned = invocation.counters.files_replaced, invocation.counters.pruned
    if dry_run:
        _report_rehearsed(invocation, snapshot_id, target, delete=delete)
    else:
        if replaced:
            invocation.terminal.note(f"replaced {replaced:,} file(s) that differed in {target}")
        if pruned:
            invocation.terminal.note(f"removed {len(pruned):,} path(s) that are not in the snapshot from {target}")


def _report_rehearsed(invocation: Invocation, snapshot_id: str, target: str, *, delete: bool) -> None:
    """Every path that would be replaced or removed; on stdout only those that --delete removes, in their order."""
    counters, note = invocation.counters, invocation.terminal.note
    note(render.dry_run(f"check out {snapshot_id} to {target}"))
    for path in counters.replaced:
        note(f"would replace: {path}")
    if delete:
        write_output("".join(f"would delete: {printable(path)}\n" for path in counters.pruned))
    else:
        for path in counters.pruned:
            note(f"would delete: {path}")
