"""Which servers are trusted, and handshakes that go on from an earlier one."""

from __future__ import annotations

import asyncio
import os
import ssl
from typing import Any

from snapdir.errors import InvalidOption

__all__ = ["ResumingContext", "TLSObject", "trusted_context"]


class TLSObject(ssl.SSLObject):
    """What speaks TLS for one connection. Somebody else may use it while both transports of that do not read.

    Attributes:
        incoming: Where bytes that came from the peer are put.
        tcp_transport: What receives them.
    """

    incoming: ssl.MemoryBIO
    tcp_transport: asyncio.Transport


class ResumingContext(ssl.SSLContext):
    """For connections to one server: each offers the session of an earlier one, which spares it the certificates.

    asyncio knows no sessions, but it asks its context for the object that speaks TLS, and that may be given one, and
    be a ``TLSObject``.

    Attributes:
        session: What the next connection offers; None for a full handshake. A server is free not to take it.
    """

    session: ssl.SSLSession | None = None

    sslobject_class = TLSObject

    def wrap_bio(self, incoming: ssl.MemoryBIO, *arguments: Any, **options: Any) -> TLSObject:
        tls = super().wrap_bio(incoming, *arguments, **{"session": self.session, **options})
        assert isinstance(tls, TLSObject)  # noqa: S101 - that is what sslobject_class is for
        tls.incoming = incoming
        return tls


def trusted_context() -> ResumingContext:
    """The system's trust, or what AWS_CA_BUNDLE names. Certificates are always verified.

    Raises:
        InvalidOption: the bundle cannot be read.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a thread that decrypts a body would not send the answer
    bundle = os.environ.get("AWS_CA_BUNDLE") or None
    try:
        if bundle is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(bundle)
    except (OSError, ssl.SSLError) as error:
        raise InvalidOption(f"invalid AWS_CA_BUNDLE: {bundle}: {error}") from error
    return context
