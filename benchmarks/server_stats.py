"""Requests and bytes counted by s3sim, from the text of its /__stats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Traffic", "parse_stats"]

# Lines that describe requests counted under another name, or no requests.
_NOT_REQUESTS = ("WITH_CHECKSUM", "BYTES_OUT", "FAULT_CORRUPT", "FAULT_TRUNC", "FAULT_COMPLETE200")
_NOT_REQUEST_SUFFIXES = ("404", "412")
_STATE = ("conns_now", "conns_peak", "conns_total", "objects")
_UPLOADS = ("PutObject", "UploadPart")


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests and bytes of one run.

    Attributes:
        counts: Requests by kind; empty if the server does not count.
        answers: Some outcomes: not found, refused, with a checksum.
        bytes_in, bytes_out: Bytes of object bodies, up and down.
        connections: The most open at one time.
        objects: Objects in the server.
    """

    counts: Mapping[str, int] = field(default_factory=dict)
    answers: Mapping[str, int] = field(default_factory=dict)
    bytes_in: int = 0
    bytes_out: int = 0
    connections: int = 0
    objects: int = 0

    @property
    def requests(self) -> int:
        """The number of requests of every kind."""
        return sum(self.counts.values())


def parse_stats(text: str) -> Traffic:
    """Parse lines of ``NAME COUNT BYTES``.

    Raises:
        ValueError: a line has another form.
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
