"""Loopback servers for tests: one that gives every request the same response, and an S3 server with faults."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape, unescape

from snapdir.hashing.crc32c import crc32c
from snapdir.stores.s3.checksums import encoded

__all__ = ["FAULTS", "ScriptedS3", "answering", "unused_port"]

FAULTS = ("slow-down", "reset", "truncate", "corrupt", "complete-200")
CHECKSUM = "x-amz-checksum-crc32c"
ALGORITHM = "x-amz-checksum-algorithm"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>slow down</Message></Error>"
TRY_AGAIN = b"<Error><Code>InternalError</Code><Message>try again</Message></Error>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedS3

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:  # the client hung up: nothing is stored of it
            self.close_connection = True
            return
        url = urlsplit(self.path)
        self.server.requests[self.command] += 1
        self.server.last_method = self.command
        self.server.before(self)
        fault = self.server.draw()
        self.fault = fault
        if fault == "reset":
            self.close_connection = True
            return
        if fault == "slow-down":
            self.answer(503, SLOW_DOWN)
            return
        query = {name: values[0] for name, values in parse_qs(url.query, keep_blank_values=True).items()}
        getattr(self, f"on_{self.command.lower()}")(unquote(url.path).lstrip("/"), query, body)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any  # noqa: N815  # names of http.server

    def on_get(self, path: str, query: dict[str, str], body: bytes) -> None:
        if "uploadId" in query:
            parts = self.server.uploads.get(query["uploadId"])
            self.answer(404 if parts is None else 200, _parts(parts or {}))
        elif "/" not in path.rstrip("/"):
            self.answer(200, self.server.listing(path.rstrip("/"), query))
        elif path not in self.server.objects:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self.send_object(self.server.objects[path])

    def send_object(self, data: bytes) -> None:
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        headers = {"ETag": _etag(data)}
        if asked and int(asked[1]) >= len(data):
            self.answer(416, b"<Error><Code>InvalidRange</Code></Error>")
            return
        if asked:
            first, last = int(asked[1]), min(int(asked[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            data = data[first : last + 1]
        if data and self.fault == "corrupt":
            data = bytes([data[0] ^ 1]) + data[1:]
        self.answer(206 if asked else 200, data, headers, cut=self.fault == "truncate")

    def on_head(self, path: str, query: dict[str, str], body: bytes) -> None:
        data = self.server.objects.get(path)
        self.answer(404 if data is None else 200, data or b"", {"ETag": _etag(data or b"")})

    def on_put(self, path: str, query: dict[str, str], body: bytes) -> None:
        announced = self.headers.get(CHECKSUM)
        if self.server.conditions == "refused" and (self.headers.get("If-Match") or self.headers.get("If-None-Match")):
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
            return
        if announced is not None and self.server.checksums == "refused":
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
            return
        if source := self.headers.get("x-amz-copy-source"):
            self.server.objects[path] = self.server.objects[unquote(source).lstrip("/")]
            self.answer(200, b"<CopyObjectResult><ETag>e-1</ETag></CopyObjectResult>")
            return
        if announced is not None and self.server.checksums == "kept" and announced != encoded(crc32c(body)):
            self.answer(400, b"<Error><Code>BadDigest</Code></Error>")
            return
        if "uploadId" in query:
            self.server.uploads[query["uploadId"]][int(query["partNumber"])] = body
        elif not self.server.put(path, body, self.headers):
            self.answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            return
        kept = announced is not None and self.server.checksums == "kept"
        self.answer(200, b"", {"ETag": _etag(body)} | ({CHECKSUM: str(announced)} if kept else {}))

    def on_post(self, path: str, query: dict[str, str], body: bytes) -> None:
        if "uploads" in query and self.server.checksums == "refused" and self.headers.get(ALGORITHM):
            self.answer(501, b"<Error><Code>NotImplemented</Code></Error>")
        elif "uploads" in query:
            self.server.begun += 1
            identifier = f"upload-{self.server.begun}"
            self.server.uploads[identifier] = {}
            inner = f"<UploadId>{identifier}</UploadId>"
            self.answer(200, f"<InitiateMultipartUploadResult>{inner}</InitiateMultipartUploadResult>".encode())
        elif "uploadId" not in query:
            for name in re.findall(r"<Key>([^<]*)</Key>", body.decode()):
                self.server.objects.pop(f"{path.rstrip('/')}/{unescape(name)}", None)
            self.answer(204 if self.server.plain else 200, b"" if self.server.plain else b"<DeleteResult/>")
        elif query["uploadId"] not in self.server.uploads:
            self.answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        elif self.fault == "complete-200":
            self.answer(200, TRY_AGAIN)
        else:
            parts = self.server.uploads[query["uploadId"]]
            self.server.objects[path] = b"".join(parts[number] for number in sorted(parts))
            self.server.completed[query["uploadId"]] = self.server.uploads.pop(query["uploadId"])
            self.server.has_completed.set()
            inner = "<CompleteMultipartUploadResult><ETag>e-1</ETag></CompleteMultipartUploadResult>"
            self.answer(200, inner.encode())

    def on_delete(self, path: str, query: dict[str, str], body: bytes) -> None:
        if "uploadId" in query:
            self.server.uploads.pop(query["uploadId"], None)
        else:
            self.server.objects.pop(path, None)
        self.answer(200 if self.server.plain else 204, b"")

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False) -> None:
        if self.fault == "lost":
            self.close_connection = True
            return
        sent = {"x-amz-request-id": "scripted", **(headers or {}), "Content-Length": str(len(body))}
        if self.server.plain:
            body = b"\n  " + body if body.startswith(b"<") else body
            sent = self.plain_headers(sent | {"Content-Length": str(len(body))})
        self.send_response(status)
        for name, value in sent.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.close_connection = True

    def plain_headers(self, headers: dict[str, str]) -> dict[str, str]:
        """The headers that HTTP requires, and the ETag of a written object."""
        kept = {"PUT": ("ETag", "Content-Length"), "HEAD": ()}
        names = kept.get(self.command, ("Content-Range", "Content-Length"))
        return {name: value for name, value in headers.items() if name in names}

    def log_message(self, format: str, *args: object) -> None:
        pass


def _parts(parts: dict[int, bytes]) -> bytes:
    inner = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(_etag(data))}</ETag><Size>{len(data)}</Size></Part>"
        for number, data in sorted(parts.items())
    )
    return f"<ListPartsResult><IsTruncated>false</IsTruncated>{inner}</ListPartsResult>".encode()


class ScriptedS3(ThreadingHTTPServer):
    """An S3 server in memory that checks no signatures. A share of its responses is faulty.

    Args:
        faults: Which ones, of FAULTS.
        share: Of the requests that meet one.
        before: Called with each request before it is answered; it may wait.
        checksums: What becomes of a CRC32C that comes with a body: it is ``ignored``, ``refused`` or ``kept``.
        listed_by: What listings are sorted by.
        page_keys: Keys of one page.
        overlap: So many of them were on the page before too.
        plain: Leave out what only AWS sends: request ids, ETags but those of PUT, the length in HEAD; put white
            space before XML, and answer deletions with other statuses of success.
        conditions: Conditions of a PUT are ``ignored``, ``heeded`` or ``refused``.
        list_version: 1 for a service that knows no list-type=2.

    Attributes:
        unlisted: Keys that no listing shows.
        completed: The uploads that have become objects; ``has_completed`` once there is one.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        faults: tuple[str, ...] = (),
        *,
        share: float = 0.0,
        seed: int = 0,
        before: Callable[[BaseHTTPRequestHandler], None] = lambda _: None,
        listed_by: Callable[[str], str] = str,
        page_keys: int = 1000,
        overlap: int = 0,
        checksums: str = "ignored",
        plain: bool = False,
        conditions: str = "ignored",
        list_version: int = 2,
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.objects: dict[str, bytes] = {}
        self.uploads: dict[str, dict[int, bytes]] = {}
        self.completed: dict[str, dict[int, bytes]] = {}
        self.has_completed = threading.Event()
        self.begun = 0
        self.requests: Counter[str] = Counter()
        self.last_method = ""
        self.met: Counter[str] = Counter()
        self.before = before
        self.listed_by = listed_by
        self.page_keys = page_keys
        self.overlap = overlap
        self.unlisted: set[str] = set()
        self.checksums = checksums
        self.plain = plain
        self.list_version = list_version
        self.conditions = conditions
        self._faults = faults
        self._share = share
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def draw(self) -> str:
        with self._lock:
            if not self._faults or self._random.random() >= self._share:
                return ""
            fault = self._random.choice(self._faults)
            self.met[fault] += 1
            return fault

    def put(self, path: str, body: bytes, headers: Message) -> bool:
        """Whether the condition of the request was true; then it is written."""
        with self._lock:
            present = self.objects.get(path)
            conditions = (
                (headers.get("If-None-Match"), present is None),
                (headers.get("If-Match"), present is not None and headers.get("If-Match") == _etag(present)),
            )
            if self.conditions == "heeded" and not all(is_true for asked, is_true in conditions if asked):
                return False
            self.objects[path] = body
            return True

    def listing(self, bucket: str, query: dict[str, str]) -> bytes:
        """A page, in the order of this service."""
        paths = [path for path in list(self.objects) if path.startswith(f"{bucket}/")]
        if delimiter := query.get("delimiter"):
            return _folders([path.partition("/")[2] for path in paths], query.get("prefix", ""), delimiter)
        names = sorted((path.partition("/")[2] for path in paths), key=self.listed_by)
        names = [name for name in names if name.startswith(query.get("prefix", ""))]
        begin = int(query.get("continuation-token", 0)) if self.list_version == 2 else 0
        if not begin and (start_after := query.get("start-after", "")):
            names = [name for name in names if self.listed_by(name) > self.listed_by(start_after)]
        end = begin + self.page_keys
        page = [name for name in names[max(0, begin - self.overlap) : end] if name not in self.unlisted]
        inner = "".join(
            f"<Contents><Key>{escape(name)}</Key><Size>{len(self.objects[f'{bucket}/{name}'])}</Size></Contents>"
            for name in page
        )
        goes_on = "true" if end < len(names) else "false"
        more = f"<NextContinuationToken>{end}</NextContinuationToken>" if end < len(names) else ""
        more = "<Marker></Marker>" if self.list_version == 1 else more
        inner = f"<IsTruncated>{goes_on}</IsTruncated>{more}{inner}"
        return f"<ListBucketResult>{inner}</ListBucketResult>".encode()

    def __enter__(self) -> ScriptedS3:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors of connections to killed clients."""


@contextmanager
def answering(status: str, body: bytes, content_type: str = "text/html") -> Iterator[str]:
    """A server that gives every request this response; yields its address."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        code, _, reason = status.partition(" ")
        handler.send_response(int(code), reason)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)

    names = ("do_GET", "do_HEAD", "do_PUT", "do_POST", "do_DELETE")
    fixed = type("Fixed", (_Handler,), dict.fromkeys(names, answer))
    with ScriptedS3() as server:
        server.RequestHandlerClass = fixed
        yield server.endpoint


def _folders(names: list[str], prefix: str, delimiter: str) -> bytes:
    rests = [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
    found = sorted({f"{prefix}{rest.partition(delimiter)[0]}{delimiter}" for rest in rests if delimiter in rest})
    inner = "".join(f"<CommonPrefixes><Prefix>{escape(name)}</Prefix></CommonPrefixes>" for name in found)
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{inner}</ListBucketResult>".encode()


def unused_port() -> int:
    """A port without a listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"'
