"""The leftovers of a killed pull of one large object, and the parts that the next pull requests."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from snapdir.disk.run_folder import CLAIMED
from snapdir.model.manifest import Manifest
from snapdir.model.paths import STAGING_NAME
from snapdir.repository.repository import Repository
from snapdir.transfer.checkout import checkout
from snapdir.transfer.destination.options import CheckoutOptions
from snapdir.transfer.engine.events import Counters
from snapdir.transfer.engine.limits import Limits
from tests.transfer.conftest import RecordingStore
from tests.transfer.resuming.resumable import CONTENT, DIGEST, PART, PARTS

ALL = range(PARTS)


async def pull(manifest: Manifest, store: RecordingStore, out: Path, limits: Limits) -> Counters:
    counters = Counters()
    await checkout(manifest, Repository(store), out, options=CheckoutOptions(), limits=limits, counters=counters)
    return counters


def left(parts: Collection[int], *, content: bytes = CONTENT, part_bytes: int = PART) -> bytes:
    """What a killed pull leaves when it had written these parts, counted from 0: them, holes, and its journal."""
    image = bytearray(len(content))
    for number in parts:
        of_part = slice(number * part_bytes, (number + 1) * part_bytes)
        image[of_part] = content[of_part]
    written = bytes(number in parts for number in range(-(-len(content) // part_bytes)))
    return bytes(image) + part_bytes.to_bytes(8, "little") + written


def leave_killed_pull(out: Path, data: bytes) -> Path:
    file = out / STAGING_NAME / (DIGEST + CLAIMED)
    file.parent.mkdir(parents=True)
    file.write_bytes(data)
    return file


def parts_read(store: RecordingStore) -> list[int]:
    """Every part that was asked for, as often as it was."""
    ranges = [(start // PART, -(-(start + length) // PART)) for _, start, length in store.streamed]
    return sorted(number for first, end in ranges for number in range(first, end))
