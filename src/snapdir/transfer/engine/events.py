"""Running totals of a transfer, for a progress display."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from snapdir.model.manifest import Manifest
    from snapdir.transfer.engine.planned_objects import PlannedObject

Phase = Literal["discovering", "hashing", "transfer", "checkout", "verify", "idle"]


@dataclass(slots=True)
class Counters:
    """Running totals of one verb, read by a display at its own pace: updating them costs an addition.

    Attributes:
        files_total: Files found so far; final once ``total_is_final``.
        bytes_total: Their bytes; likewise.
        files_done: Files hashed (id, push, stage) or in place (fetch, pull, checkout, verify).
        bytes_done: Their bytes, counted as they move, and subtracted again if they turn out wrong.
        objects_sent, bytes_sent: Uploaded. objects_received, bytes_received: Came from the store, not from the cache.
        bytes_to_send, bytes_taken: Of a push: content that the store lacks, and the bytes of it that the store has
            taken, counted part by part. On a slow line hashing ends long before.
        objects_skipped: Present in the store, the cache or the destination already.
        files_replaced: Files at a destination whose different content was replaced.
        replaced: In a dry run, the paths of files that would be replaced; otherwise the first few that were.
        extra: Paths at a destination that are not in the snapshot; a directory only if nothing is in it. A mirror
            removes them, and lists them in ``pruned`` instead.
        files_to_write: In a dry run, files that would be written at a destination.
        objects_to_send: In a dry run, content that the store lacks; ``bytes_to_send`` are its bytes.
        objects_to_fetch, bytes_to_fetch: In a dry run, content that would come from the store, also from one on this
            host.
        requests_to_send: In a dry run, about how many requests the run would send to stores across a network, without
            those for the history.
        files_selected, files_known: Files of a partial transfer, and of its whole snapshot; both 0 for a whole one.
        pruned: Paths that were removed from a destination, or in a dry run would be, in that order.
        kept_objects, kept_bytes: Unfinished large objects that a run leaves to the next one when it stops early, and
            their bytes so far, from all runs; ``kept_in`` says where. Objects without a byte count only if all are.
        received_before: ``bytes_received`` when the phase began.
        pushes: The verb is a push, so that ``settled_*`` count what is done.
        settled_files, settled_bytes: Of a push: files whose content the store has, and their bytes, those of a large
            file part by part.
        at_work: Objects that the store itself assembles or copies: this can take minutes without any transfer.
        snapshot_files, snapshot_bytes: Of the snapshots that the verb has handled, or of their selected parts.
        already_complete: The cache had everything: a fetch sent no request.
        warnings: Lines for the user that do not stop the verb.
        names: Names that stood for a snapshot, each with its id.
        chosen_by: The labels by which ``latest`` in ``names`` was chosen; empty for the newest push of all.
        on_name: Called with each of them when it is known, before anything is transferred.
        left_out: Entries of the tree that are not in its snapshot, as (path, reason): broken links, special files,
            excluded and ignored paths. An excluded or ignored directory is one entry. At most 100,000 of each
            directory; a warning counts all but the ignored ones.
        ignored: Number of entries that rules to ignore left out.
    """

    phase: Phase = "idle"
    files_total: int = 0
    bytes_total: int = 0
    total_is_final: bool = False
    files_done: int = 0
    bytes_done: int = 0
    objects_sent: int = 0
    bytes_sent: int = 0
    objects_received: int = 0
    bytes_received: int = 0
    objects_skipped: int = 0
    files_replaced: int = 0
    replaced: list[str] = field(default_factory=list)
    extra: list[str] = field(default_factory=list)
    files_selected: int = 0
    files_known: int = 0
    pruned: list[str] = field(default_factory=list)
    kept_objects: int = 0
    kept_bytes: int = 0
    kept_in: str = ""
    already_complete: bool = False
    warnings: list[str] = field(default_factory=list)
    bytes_to_send: int = 0
    bytes_taken: int = 0
    at_work: int = 0
    left_out: list[tuple[str, str]] = field(default_factory=list)
    ignored: int = 0
    names: dict[str, str] = field(default_factory=dict)
    chosen_by: Mapping[str, str] = field(default_factory=dict)
    on_name: Callable[[str, str], None] | None = None
    snapshot_files: int = 0
    snapshot_bytes: int = 0
    pushes: bool = False
    received_before: int = 0
    settled_files: int = 0
    settled_bytes: int = 0
    files_to_write: int = 0
    objects_to_send: int = 0
    objects_to_fetch: int = 0
    bytes_to_fetch: int = 0
    requests_to_send: int = 0

    @property
    def is_sending(self) -> bool:
        """A push has hashed every file, and the store has not taken or assembled all of it."""
        hashed = self.phase == "hashing" and self.total_is_final and self.files_done >= self.files_total
        return hashed and (self.bytes_taken < self.bytes_to_send or self.at_work > 0)

    @property
    def done(self) -> tuple[int, int]:
        """The files and bytes that need no more work: of a push, those that the store has."""
        if self.pushes:
            return self.settled_files, self.settled_bytes
        return self.files_done, self.bytes_done

    @property
    def activity(self) -> str:
        """What is going on, for people."""
        if self.pushes:
            return self._push_activity
        if self.phase == "discovering" and self.files_done:
            return "hashing"
        if self.phase == "transfer":
            return "sending" if self.bytes_sent else "fetching"
        if self.phase == "checkout":
            return "fetching" if self.bytes_received > self.received_before else "writing"
        return {"idle": "starting", "verify": "verifying"}.get(self.phase, self.phase)

    @property
    def _push_activity(self) -> str:
        hashes = not self.total_is_final or self.files_done < self.files_total
        if not hashes and self.settled_files >= self.files_total and not self.at_work:
            return "finishing"
        if not self.bytes_to_send:
            return "hashing" if self.files_done or self.total_is_final else "discovering"
        return "hashing and sending" if hashes else "sending"

    @property
    def stage(self) -> tuple[Phase, int, int]:
        """The phase to show, with the bytes done and in all."""
        if self.is_sending:
            return "transfer", self.bytes_taken, self.bytes_to_send
        return self.phase, self.bytes_done, self.bytes_total

    @contextmanager
    def store_at_work(self) -> Iterator[None]:
        """The block waits for the store to assemble or copy an object."""
        self.at_work += 1
        try:
            yield
        finally:
            self.at_work -= 1

    def resolved(self, name: str, snapshot_id: str, *, chosen_by: Mapping[str, str] | None = None) -> None:
        """Note what a name stands for; once."""
        if self.names.get(name) != snapshot_id:
            self.names[name] = snapshot_id
            self.chosen_by = dict(chosen_by or self.chosen_by)
            if self.on_name is not None:
                self.on_name(name, snapshot_id)

    def keep(self, bytes_: int, where: str) -> None:
        """Count an unfinished object that is left to the next run."""
        self.kept_objects += 1
        self.kept_bytes += bytes_
        self.kept_in = where

    def count_sent(self, bytes_: int) -> None:
        """Count an object that was uploaded."""
        self.objects_sent += 1
        self.bytes_sent += bytes_

    def settle(self, bytes_: int) -> None:
        """Count a file whose content the store has, with those of its bytes that are not counted yet."""
        self.settled_files += 1
        self.settled_bytes += bytes_

    def count_snapshot(self, manifest: Manifest) -> None:
        """Add a snapshot that the verb handles, or the selected part of one."""
        files, bytes_ = manifest.totals()
        self.snapshot_files += files
        self.snapshot_bytes += bytes_

    def begin(self, phase: Phase, *, files: int, bytes_: int) -> None:
        """Start a phase whose totals are known, with nothing done yet."""
        self.phase = phase
        self.files_total, self.bytes_total, self.total_is_final = files, bytes_, True
        self.files_done = self.bytes_done = 0
        self.received_before = self.bytes_received

    def begin_objects(self, phase: Phase, objects: Sequence[PlannedObject]) -> None:
        """``begin`` with distinct objects as the files."""
        self.begin(phase, files=len(objects), bytes_=sum(planned.size or 0 for planned in objects))
