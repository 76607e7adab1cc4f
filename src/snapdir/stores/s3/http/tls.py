"""Trusted certificates, and handshakes that resume an earlier session."""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from contextlib import suppress
from typing import Any

from snapdir.disk.descriptors import none_left
from snapdir.errors import InvalidOption, local_error
from snapdir.errors.local import OUT_OF_DESCRIPTORS


class TLSObject(ssl.SSLObject):
    """TLS of one connection. Another thread may use it while both transports are paused.

    Attributes:
        incoming: Takes the bytes that came from the peer.
        tcp_transport: Receives them.
    """

    incoming: ssl.MemoryBIO
    tcp_transport: asyncio.Transport


class ResumingContext(ssl.SSLContext):
    """For connections to one server: each offers the session of an earlier one, which saves a full handshake.

    asyncio does not support sessions, but it gets the object that speaks TLS from its context. This context gives that
    object a session, and makes it a ``TLSObject``.

    Attributes:
        session: Offered by the next connection; None for a full handshake. A server may decline it.
    """

    session: ssl.SSLSession | None = None

    sslobject_class = TLSObject

    def wrap_bio(self, incoming: ssl.MemoryBIO, *arguments: Any, **options: Any) -> TLSObject:
        tls = super().wrap_bio(incoming, *arguments, **{"session": self.session, **options})
        assert isinstance(tls, TLSObject)  # noqa: S101 - that is what sslobject_class is for
        tls.incoming = incoming
        return tls


def trusted_context(bundle: str | None = None, named_by: str = "the bundle") -> ResumingContext:
    """A context that trusts the system's certificates, or those of a bundle. Blocking: about 20 ms.

    Args:
        bundle: Path of a file of trusted certificates.
        named_by: The setting that names it, for the error.

    Raises:
        InvalidOption: the bundle cannot be read, or the system has no trusted certificates.
        LocalError: no descriptor is left to read them.
    """
    context = ResumingContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION  # a thread that decrypts a body would not send the answer
    try:
        if bundle is None:
            context.load_default_certs()
        else:
            context.load_verify_locations(bundle)
    except (OSError, ssl.SSLError) as error:
        named_by, path = (named_by, bundle) if bundle else ("SSL_CERT_FILE", "the system's certificates")
        if error.errno in OUT_OF_DESCRIPTORS:
            raise local_error(error, path) from error
        raise InvalidOption(f"invalid {named_by}: {path}: {error.strerror or error}") from error
    if bundle is None and not context.cert_store_stats()["x509_ca"] and not _has_a_folder():
        if none_left():  # OpenSSL does not say so
            raise local_error(OSError(errno.EMFILE, os.strerror(errno.EMFILE)), "the system's certificates")
        raise InvalidOption(_no_certificates())
    return context


def _has_a_folder() -> bool:
    """Whether OpenSSL has a directory of certificates to load from."""
    folder = ssl.get_default_verify_paths().capath
    with suppress(OSError):
        return folder is not None and bool(os.listdir(folder))
    return False


def _no_certificates() -> str:
    paths = ssl.get_default_verify_paths()
    looked = " and ".join(
        os.environ.get(name) or usual
        for name, usual in (
            (paths.openssl_cafile_env, paths.openssl_cafile),
            (paths.openssl_capath_env, paths.openssl_capath),
        )
    )
    return (
        f"this machine has no trusted certificates ({looked} hold none), so no server can be verified: install the "
        "package ca-certificates, correct SSL_CERT_FILE, or name a bundle in AWS_CA_BUNDLE"
    )
