"""Store URLs: ``file:///data/store``, a bare path, ``s3://bucket/prefix``."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from snapdir.errors import HIDDEN, InvalidStore, without_secrets

__all__ = ["ARN", "SCHEMES", "StoreURL", "StoreUri", "shown_store"]

SCHEMES = ("file", "s3", "b2", "gs", "ssh", "sftp")
ARN = "arn:"
_SCHEME = re.compile(r"[a-z0-9]+").fullmatch
_ACCESS_POINT = re.compile(
    r"arn:[a-z0-9-]+:(?:s3|s3-object-lambda):[a-z0-9-]*:[0-9]+:accesspoint[:/][^:/]+"
    r"|arn:[a-z0-9-]+:s3-outposts:[a-z0-9-]+:[0-9]+:outpost[:/][^:/]+[:/]accesspoint[:/][^:/]+"
).match


class StoreURL(NamedTuple):
    """A store's place, parsed. ``str()`` is its normal form: no trailing slash, nothing percent-decoded; the ARN of an
    access point has colons, where a slash is as good.

    Attributes:
        scheme: ``file``, ``s3``, ... or the name of a plugin.
        location: Absolute directory for ``file``; otherwise what follows ``://``, which for a plugin may be anything.
    """

    scheme: str
    location: str

    @classmethod
    def parse(cls, text: str) -> StoreURL:
        """Read a URL or a bare path (``/data/store``, ``./store``, ``../store``, ``~/store``).

        Raises:
            InvalidStore: neither; the message holds the right spelling.
            TypeError: it is no text, such as the None of a variable that is unset.
        """
        if not isinstance(text, str):
            raise TypeError(f"a store is a str, a URL or a path, not {type(text).__name__}")
        if text.startswith(("/", "./", "../", "~/")) or text in (".", "..", "~"):
            return cls("file", _absolute(text))
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme:
            raise InvalidStore(
                f"no scheme found in store URI: {shown_store(text)!r}; write file:///path, ./path or s3://bucket/prefix"
            )
        if not _SCHEME(scheme):
            shown = HIDDEN if "@" in rest else scheme  # a key and its secret, most likely
            raise InvalidStore(f"invalid scheme {shown!r} in store URI; write file:///path or s3://bucket/prefix")
        if scheme == "file":
            return cls("file", _file_path(text, rest))
        if any("\ud800" <= character <= "\udfff" for character in rest):
            raise InvalidStore(f"{text!r} is not UTF-8: only a directory may have such a name")
        if not rest.startswith("//"):
            raise InvalidStore(f"store URI must use '://' separator: write {scheme}://{rest.lstrip('/')}")
        location = _with_colons(text, rest[2:]) if scheme == "s3" and rest.startswith(f"//{ARN}") else rest[2:]
        return cls(scheme, _trimmed(text, location) if scheme in SCHEMES else location)

    @property
    def bucket(self) -> str:
        """Text up to the first slash, for bucket stores."""
        return self.location.partition("/")[0]

    @property
    def prefix(self) -> str:
        """What follows the bucket, without outer slashes; inner ``//``, ``.`` and ``?`` stay as they are."""
        return self.location.partition("/")[2]

    @property
    def path(self) -> Path:
        """The directory of a ``file`` store."""
        return Path(self.location)

    @property
    def without_credentials(self) -> str:
        """The text for a record that others may read; the path of a ``file`` store stays as it is."""
        return str(self) if self.scheme == "file" else without_secrets(str(self))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.location}"

    def __repr__(self) -> str:
        return f'StoreURL("{without_secrets(str(self))}")'


def shown_store(text: str) -> str:
    """What was typed for a store, without what stands before an ``@``: it may be a key, even without ``://``."""
    return f"{HIDDEN}@{text.rpartition('@')[2]}" if "@" in text else text


def _absolute(text: str) -> str:
    # Not resolve(): a store behind a symlink keeps the name its user gave it.
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
    """``ARN/prefix`` with an ARN that is one word up to the first slash."""
    found = _ACCESS_POINT(location)
    if found is None or location[found.end() : found.end() + 1] not in ("", "/"):
        raise InvalidStore(
            f"{shown_store(text)!r} is not the ARN of an access point: write "
            "s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/prefix, or s3://bucket/prefix for a bucket"
        )
    return found[0].replace("/", ":") + location[found.end() :]


def _trimmed(text: str, location: str) -> str:
    bucket, _, prefix = location.partition("/")
    if not bucket:
        raise InvalidStore(f"{text!r} names no bucket or host")
    prefix = prefix.strip("/")
    return f"{bucket}/{prefix}" if prefix else bucket


class StoreUri(str):
    """A store's URL as it was typed, known to parse and to name a store that can be opened.

    Raises:
        InvalidStore: it does not.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> StoreUri:
        url = StoreURL.parse(text)
        if url.scheme not in SCHEMES:
            raise InvalidStore(f"unknown store scheme {url.scheme!r}: accepted schemes are {', '.join(SCHEMES)}")
        return str.__new__(cls, text)

    def __repr__(self) -> str:
        return f'StoreUri("{without_secrets(self)}")'
