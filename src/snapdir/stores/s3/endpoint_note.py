"""What an endpoint was found not to take, kept in the cache so that the next run need not find out again. Blocking."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from blake3 import blake3

__all__ = ["NOTES_NAME", "EndpointNote"]

NOTES_NAME = ".endpoints"
LIFETIME_SECONDS = 30 * 86400
"""Services learn: after this the endpoint is tried again."""


class EndpointNote:
    """Whether one endpoint refuses CRC32C. It is only a hint: without it one request more is refused.

    Args:
        folder: The cache; None remembers nothing.
        place: Names the endpoint.
    """

    def __init__(self, folder: Path | None, place: str, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._place = place
        self._file: Path | None = None
        if folder is not None:
            self._file = folder / NOTES_NAME / f"{blake3(place.encode()).hexdigest()[:32]}-refuses-crc32c"

    @property
    def refuses_checksums(self) -> bool:
        """Whether that was seen not too long ago."""
        try:
            return self._file is not None and self._clock() - os.stat(self._file).st_mtime < LIFETIME_SECONDS
        except OSError:
            return False

    def note_refusal(self) -> None:
        """Remember it; where that cannot be written, it is found out again."""
        if self._file is not None:
            with suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_text(f"{self._place} refuses x-amz-checksum-crc32c\n")
