"""Store URLs: ``file:///data/store``, a bare path, ``s3://bucket/prefix``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from snapdir.errors import HIDDEN, InvalidStore, without_secrets

BUILT_IN = ("file", "s3", "b2")
PLANNED = ("gs",)
"""Schemes of stores that give bytes by key. Others are programs, which push and fetch whole snapshots."""

SCHEMES = (*BUILT_IN, *PLANNED, "ssh", "sftp")
WEB = ("http", "https")
ARN = "arn:"
_SCHEME = re.compile(r"[a-z0-9]+").fullmatch
_ACCESS_POINT = re.compile(
    r"arn:[a-z0-9-]+:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]+:accesspoint[:/][^:/]+"
    r"|arn:[a-z0-9-]+:s3-outposts:[a-z0-9-]+:[0-9]+:outpost[:/][^:/]+[:/]accesspoint[:/][^:/]+"
).match


class StoreURL(NamedTuple):
    """The location of a store, parsed. ``str()`` is its normal form: without a trailing slash, nothing percent-decoded,
    and with colons in the ARN of an access point, which may be written with slashes.

    Attributes:
        scheme: ``file``, ``s3``, ... or the name of a store program.
        location: The absolute directory for ``file``, else the text after ``://``; for a store program, any text.
    """

    scheme: str
    location: str

    @classmethod
    def parse(cls, text: str | os.PathLike[str]) -> StoreURL:
        """Read a URL, a bare path (``/data/store``, ``./store``, ``../store``, ``~/store``) or a path object.

        Raises:
            InvalidStore: Neither; the message shows the right spelling.
            TypeError: Neither a str nor a path, such as the None of an unset variable.
        """
        text = store_text(text)
        if text.startswith(("/", "./", "../", "~/")) or text in (".", "..", "~"):
            return cls("file", _absolute(text))
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme:
            advice = f"; write ./{text}" if "/" in text and "@" not in text else ""
            error = InvalidStore(
                f"'{shown_store(text)}': expected a URI like file:///path or s3://bucket/prefix, or a path like ./store"
                f"{advice}"
            )
            error.prefix = "invalid store protocol: "  # as the reference says
            raise error
        if not _SCHEME(scheme):
            shown = HIDDEN if "@" in rest else scheme  # probably a key and its secret
            raise InvalidStore(f"invalid scheme {shown!r} in store URI; write file:///path or s3://bucket/prefix")
        if scheme == "file":
            return cls("file", _file_path(text, rest))
        if any("\ud800" <= character <= "\udfff" for character in rest):
            raise InvalidStore(f"{text!r} is not UTF-8: only a directory may have such a name")
        if not rest.startswith("//"):
            raise InvalidStore(f"store URI must use '://' separator: write {scheme}://{rest.lstrip('/')}")
        if scheme in WEB:
            from snapdir.stores.web_addresses import refuse_web_address  # shutil takes 3 ms

            refuse_web_address(scheme, text)
        location = _with_colons(text, rest[2:]) if scheme == "s3" and rest.startswith(f"//{ARN}") else rest[2:]
        return cls(scheme, _trimmed(text, location) if scheme in SCHEMES else location)

    @property
    def bucket(self) -> str:
        """Text up to the first slash, for bucket stores."""
        return self.location.partition("/")[0]

    @property
    def prefix(self) -> str:
        """Text after the bucket, without outer slashes; inner ``//``, ``.`` and ``?`` stay as they are."""
        return self.location.partition("/")[2]

    @property
    def path(self) -> Path:
        """The directory of a ``file`` store."""
        return Path(self.location)

    @property
    def without_credentials(self) -> str:
        """The URL for records that others may read. The path of a ``file`` store stays as it is."""
        return str(self) if self.scheme == "file" else without_secrets(str(self))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.location}"

    def __repr__(self) -> str:
        return f'StoreURL("{without_secrets(str(self))}")'


def store_text(store: str | os.PathLike[str]) -> str:
    """A store as text. A path object is a path, also a relative one without a dot.

    Raises:
        InvalidStore: A path object that was made of a URL.
        TypeError: Neither a str nor a path object.
    """
    if isinstance(store, str):
        return store
    path = os.fspath(store) if isinstance(store, os.PathLike) else None
    if not isinstance(path, str):
        raise TypeError(f"a store is a str, a URL or a path, not {type(store).__name__}")
    scheme, colon, rest = path.partition(":/")
    if colon and _SCHEME(scheme):
        raise InvalidStore(f"{shown_store(path)!r} lost a slash in a path object: write the str {scheme}://{rest}")
    return path if path.startswith(("/", "~")) else f"./{path}"


def shown_store(text: str) -> str:
    """The text that was given for a store, without anything before an ``@``: that may be a key, even without ``://``."""
    return f"{HIDDEN}@{text.rpartition('@')[2]}" if "@" in text else text


def _absolute(text: str) -> str:
    # Not resolve(): a store behind a symlink keeps the name that the user gave.
    return str(Path(text).expanduser().absolute())


def _file_path(text: str, rest: str) -> str:
    path = rest.removeprefix("//localhost") if rest.startswith("//localhost/") else rest
    path = path[2:] if path.startswith("//") else path
    if not path.startswith("/") and "@" in path:
        raise InvalidStore(f"{shown_store(text)!r} is not an absolute path: write file:///path, without user and host")
    if not path.startswith("/"):
        raise InvalidStore(f"{text!r} is not an absolute path: write file://{_absolute(path or '.')} or ./{path}")
    return "/" + path.strip("/")


def _with_colons(text: str, location: str) -> str:
    """``ARN/prefix``, with colons instead of slashes in the ARN."""
    match = _ACCESS_POINT(location)
    if match is None or location[match.end() : match.end() + 1] not in ("", "/"):
        raise InvalidStore(
            f"{shown_store(text)!r} is not the ARN of an access point: write "
            "s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix, or s3://bucket/prefix for a bucket"
        )
    return match[0].replace("/", ":") + location[match.end() :]


def _trimmed(text: str, location: str) -> str:
    bucket, _, prefix = location.partition("/")
    if not bucket:
        raise InvalidStore(f"{text!r} names no bucket or host")
    prefix = prefix.strip("/")
    return f"{bucket}/{prefix}" if prefix else bucket


class StoreUri(str):
    """The URL of a store as it was given, checked to parse and to have a known scheme.

    Raises:
        InvalidStore: It does not parse, or its scheme is unknown.
    """

    __slots__ = ()

    def __new__(cls, text: str | os.PathLike[str]) -> StoreUri:
        text = store_text(text)
        url = StoreURL.parse(text)
        if url.scheme not in SCHEMES:
            raise InvalidStore(f"unknown store scheme {url.scheme!r}: accepted schemes are {', '.join(SCHEMES)}")
        return str.__new__(cls, text)

    def __repr__(self) -> str:
        return f'StoreUri("{without_secrets(self)}")'
