"""How long a connection waits for what."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

__all__ = ["Timeouts"]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for what, in seconds; all finite. A limit is noticed up to half of itself late, 2 s at most.

    Attributes:
        connect_seconds: For a connection: name look-up, every address tried, TLS handshake.
        first_byte_seconds: From the last byte of a request reaching the server's host to the first of its response;
            longer after a long body (see ``LineRate``).
        stall_seconds: Without any byte moving, while a request or a response is under way.
        idle_seconds: An unused connection is closed after this; servers do it themselves a little later.
        continue_seconds: For ``100 Continue``, where it was asked for; then the body is sent anyway.
        resolve_seconds: A name's addresses are looked up again after this.
        min_bytes_per_second: What moves at less than this, on the average of ``rate_seconds``, has come to a halt; 0
            for no such limit.
    """

    connect_seconds: float = 10.0
    first_byte_seconds: float = 30.0
    stall_seconds: float = 20.0
    idle_seconds: float = 15.0
    continue_seconds: float = 1.0
    resolve_seconds: float = 60.0
    min_bytes_per_second: float = 1024.0

    def __post_init__(self) -> None:
        for field in fields(self):
            seconds = getattr(self, field.name)
            if field.name.endswith("_seconds") and not 0 < seconds < math.inf:
                raise ValueError(f"{field.name} must be positive and finite, not {seconds}")

    @property
    def rate_seconds(self) -> float:
        """What a rate is the average of: a minute, or more where pauses may be longer than usual."""
        return max(60.0, 3 * self.stall_seconds)

    @property
    def sweep_seconds(self) -> float:
        """How often connections are looked at."""
        return min(1.0, self.first_byte_seconds / 4, self.stall_seconds / 4, self.idle_seconds / 4)
