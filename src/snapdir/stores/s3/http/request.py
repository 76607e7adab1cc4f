"""One request, as a connection needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from snapdir.stores.base import Body
from snapdir.stores.blocks import BlockSink
from snapdir.stores.s3.http.parsing import Response

__all__ = ["Request"]


@dataclass(slots=True)
class Request:
    """One request as a connection needs it.

    Attributes:
        head: Everything up to and including the empty line.
        method_is_head: The response has no body, whatever its headers say.
        into: Where the body of a 2xx goes; None: into ``Response.body``. A BlockSink is given its blocks in threads.
        max_body_bytes: The longest body of a 2xx that goes into ``Response.body`` or a BlockSink.
        check: Sees the head of a 2xx before its body goes anywhere; what it raises is what the exchange fails with.
        expect_continue: Hold the body back until the server asks for it (the head says ``Expect: 100-continue``).
        patience_seconds: How long the answer may take, in silence or trickling, to a request that servers work on for
            minutes; 0 where it has to begin soon, and to move at a rate.
    """

    head: bytes
    body: Body | None
    method_is_head: bool
    into: memoryview | BlockSink | None
    max_body_bytes: int
    expect_continue: bool = False
    check: Callable[[Response], None] | None = None
    patience_seconds: float = 0.0
