"""A pool that logs every request; used only while the log takes such records."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import unquote_to_bytes

from snapdir.stores.retry import attempt_of_this_call
from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.responses import Response

log = logging.getLogger("snapdir.requests")


def pool_class() -> type[Pool]:
    """The class of a new pool: a plain Pool unless requests are logged: a request pays only for a log that is on."""
    return LoggedPool if log.isEnabledFor(logging.DEBUG) else Pool


class LoggedPool(Pool):
    """Logs method, key, status, milliseconds and attempt, also as attributes of the record.

    The key is the path of the request, with its query; signatures and credentials are in headers, which are not logged.
    """

    async def request(self, method: bytes, target: bytes, *args: Any, **options: Any) -> Response:
        began = time.monotonic()
        try:
            response = await super().request(method, target, *args, **options)
        except Exception as error:
            _record(method, target, f"failed ({type(error).__name__}: {error})", None, began)
            raise
        _record(method, target, str(response.status), response.status, began)
        return response


def _record(method: bytes, target: bytes, outcome: str, status: int | None, began: float) -> None:
    verb, key = method.decode("ascii"), unquote_to_bytes(target).decode("utf-8", "backslashreplace")
    ms, attempt = round((time.monotonic() - began) * 1000), attempt_of_this_call()
    facts = {"method": verb, "key": key, "status": status, "ms": ms, "attempt": attempt}
    log.debug("%s %s %s, %d ms, attempt %d", verb, key, outcome, ms, attempt, extra=facts)
