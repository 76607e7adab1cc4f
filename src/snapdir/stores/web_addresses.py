"""Web addresses of buckets, which people copy from a browser or a console, and the URLs of their stores."""

from __future__ import annotations

import re
import shutil
from urllib.parse import parse_qs, unquote, urlsplit

from snapdir.errors import InvalidStore

CONSOLE = "console.aws.amazon.com"
VARIABLE = "SNAPDIR_S3_STORE_ENDPOINT_URL"

_HOST_OF_BUCKET = re.compile(r"(.+)\.s3[.-]?(?:[a-z0-9.-]+\.)?amazonaws\.com(?:\.cn)?").fullmatch
_HOST_OF_AWS = re.compile(r"s3[.-]?(?:[a-z0-9.-]+\.)?amazonaws\.com(?:\.cn)?").fullmatch


def refuse_web_address(scheme: str, text: str) -> None:
    """
    Raises:
        InvalidStore: no store program serves the web address ``text``; the message has the URL of its store.
    """
    if shutil.which(f"snapdir-{scheme}-store") is None:
        raise InvalidStore(f"a web address is not a store: write {_store_of(text)}")


def _store_of(text: str) -> str:
    """The store of a web address, without its user, query and fragment, which may hold secrets."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return "s3://bucket/prefix"
    path = unquote(parts.path).strip("/")
    if host.endswith(CONSOLE):
        bucket = path.partition("buckets/")[2].partition("/")[0] or "bucket"
        prefix = parse_qs(parts.query).get("prefix", [""])[0].strip("/")
        return f"s3://{bucket}/{prefix}".rstrip("/")
    of_bucket = _HOST_OF_BUCKET(host)
    if of_bucket:
        return f"s3://{of_bucket[1]}/{path}".rstrip("/")
    store = f"s3://{path or 'bucket/prefix'}"
    if _HOST_OF_AWS(host) or not host:
        return store
    return f"{store}, and set {VARIABLE}={parts.scheme}://{host}{f':{port}' if port else ''}"
