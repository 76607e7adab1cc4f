"""An S3 server that records the headers of every request and refuses those that a test chooses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.e2e.scripted_s3 import ScriptedS3
from tests.e2e.scripted_s3 import _Handler as Handler

STORE = "s3://bucket/sets"
SSE = "x-amz-server-side-encryption"
KMS_KEY = "x-amz-server-side-encryption-aws-kms-key-id"
ACL = "x-amz-acl"
CLASS = "x-amz-storage-class"
PAYER = "x-amz-request-payer"
OF_NEW = (SSE, KMS_KEY, ACL, CLASS)
GIVEN = {
    "sse": "aws:kms",
    "sse_kms_key_id": "arn:aws:kms:eu-central-1:1:key/2",
    "acl": "bucket-owner-full-control",
    "storage_class": "STANDARD_IA",
    "request_payer": "requester",
}
HEADERS = dict(zip((*OF_NEW, PAYER), GIVEN.values(), strict=True))


class Request(NamedTuple):
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def makes_an_object(self) -> bool:
        return (self.method == "PUT" and "partNumber" not in self.path) or self.path.endswith("?uploads=")

    @property
    def is_signed(self) -> bool:
        return "authorization" in self.headers

    def signs(self, header: str) -> bool:
        return header in re.findall(r"SignedHeaders=([^,]*)", self.headers["authorization"])[0].split(";")


Refusal = tuple[int, str, str]


class Bucket(ScriptedS3):
    """Records every request; refuses those for which ``refuses`` returns status, code and message."""

    def __init__(self) -> None:
        super().__init__()
        self.RequestHandlerClass = Gate
        self.seen: list[Request] = []
        self.refuses: Callable[[Request], Refusal | None] = lambda _: None

    def made(self, below: str = "") -> list[Request]:
        return [request for request in self.seen if request.makes_an_object and below in request.path]


class Gate(Handler):
    server: Bucket

    def on_get(self, path: str, query: dict[str, str], body: bytes) -> None:
        self._gate(super().on_get, path, query, body)

    def on_head(self, path: str, query: dict[str, str], body: bytes) -> None:
        self._gate(super().on_head, path, query, body)

    def on_put(self, path: str, query: dict[str, str], body: bytes) -> None:
        self._gate(super().on_put, path, query, body)

    def on_post(self, path: str, query: dict[str, str], body: bytes) -> None:
        self._gate(super().on_post, path, query, body)

    def on_delete(self, path: str, query: dict[str, str], body: bytes) -> None:
        self._gate(super().on_delete, path, query, body)

    def _gate(self, go_on: Callable[..., None], path: str, query: dict[str, str], body: bytes) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        request = Request(self.command, self.path, headers, body)
        self.server.seen.append(request)
        refusal = self.server.refuses(request)
        if refusal is None:
            go_on(path, query, body)
        else:
            status, code, message = refusal
            self.answer(status, f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode())


def as_options() -> list[str]:
    return [word for name, value in GIVEN.items() for word in (f"--{name.replace('_', '-')}", value)]
