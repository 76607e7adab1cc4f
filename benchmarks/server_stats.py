"""What a server counted: requests by kind and bytes, from the text that s3sim answers at /__stats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Traffic", "parse_stats"]

# Lines that describe a request that was counted under its own name already, or no request at all.
_NOT_REQUESTS = ("WITH_CHECKSUM", "BYTES_OUT", "FAULT_CORRUPT", "FAULT_TRUNC", "FAULT_COMPLETE200")
_NOT_REQUEST_SUFFIXES = ("404", "412")
_STATE = ("conns_now", "conns_peak", "conns_total", "objects")
_UPLOADS = ("PutObject", "UploadPart")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests and bytes of one run.

    Attributes:
        counts: Requests by kind. Empty if the server does not count.
        answers: What became of some of them: not found, refused, with a checksum.
        bytes_in, bytes_out: Of object bodies, up and down.
        connections: The most at a time.
        objects: In the server when it was asked.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    objects: int = 0

    @property
    def requests(self) -> int:
        """Of every kind."""
        return sum(self.counts.values())


def parse_stats(text: str) -> Traffic:
    """Read lines of ``NAME COUNT BYTES``.

    Raises:
        ValueError: a line is something else.
    """
    numbers: dict[str, tuple[int, int]] = {}
    for line in text.splitlines():
        name, count, size = line.split()
        numbers[name] = int(count), int(size)
    counts = {name: count for name, (count, _) in numbers.items() if name not in _STATE and _is_request(name)}
    answers = {name: count for name, (count, _) in numbers.items() if name not in _STATE and not _is_request(name)}
    answers.pop("BYTES_OUT", None)
    return Traffic(
        counts=counts,
        answers=answers,
        bytes_in=sum(numbers.get(name, (0, 0))[1] for name in _UPLOADS),
        bytes_out=numbers.get("BYTES_OUT", (0, 0))[1],
        connections=numbers.get("conns_peak", (0, 0))[0],
        objects=numbers.get("objects", (0, 0))[0],
    )


def _is_request(name: str) -> bool:
    return name not in _NOT_REQUESTS and not name.endswith(_NOT_REQUEST_SUFFIXES)
