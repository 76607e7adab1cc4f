"""Copy a tree with the S3 client of the AWS Common Runtime: VERB FOLDER ENDPOINT BUCKET PREFIX CONCURRENCY.

This library cannot list keys, so a pull uses the files of the pushed tree in $SNAPDIR_BENCH_TREE, which saves it a few
LIST requests.
"""

from __future__ import annotations

import importlib
import os
import sys
from concurrent.futures import Future
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any
from urllib.parse import quote, urlsplit

auth: Any = importlib.import_module("awscrt.auth")
http: Any = importlib.import_module("awscrt.http")
io: Any = importlib.import_module("awscrt.io")
s3: Any = importlib.import_module("awscrt.s3")

THROUGHPUT_GBPS = 10.0
MEMORY_BYTES = 1 << 30  # the minimum of the library


def open_client(endpoint: str) -> Any:
    """A client with the credentials of the environment."""
    provider = auth.AwsCredentialsProvider.new_environment()
    config = s3.create_default_s3_signing_config(region="us-east-1", credential_provider=provider)
    secure = urlsplit(endpoint).scheme == "https"
    tls = None
    if secure and os.environ.get("AWS_CA_BUNDLE"):
        options = io.TlsContextOptions()
        options.override_default_trust_store_from_path(None, os.environ["AWS_CA_BUNDLE"])
        tls = io.ClientTlsContext(options).new_connection_options()
    return s3.S3Client(
        region="us-east-1",
        signing_config=config,
        tls_mode=s3.S3RequestTlsMode.ENABLED if secure else s3.S3RequestTlsMode.DISABLED,
        tls_connection_options=tls,
        throughput_target_gbps=THROUGHPUT_GBPS,
        memory_limit=MEMORY_BYTES,
    )


def start(client: Any, verb: str, host: str, target: str, file: Path) -> Future[None]:
    """Start one transfer."""
    headers = http.HttpHeaders([("host", host)])
    if verb == "pull":
        file.parent.mkdir(parents=True, exist_ok=True)
        request = http.HttpRequest("GET", target, headers)
        started = client.make_request(type=s3.S3RequestType.GET_OBJECT, request=request, recv_filepath=str(file))
    else:
        headers.add("content-length", str(file.stat().st_size))
        request = http.HttpRequest("PUT", target, headers)
        started = client.make_request(type=s3.S3RequestType.PUT_OBJECT, request=request, send_filepath=str(file))
    finished: Future[None] = started.finished_future
    return finished


def copy(verb: str, folder: str, endpoint: str, bucket: str, prefix: str, concurrency: str) -> None:
    """Run one verb, with at most four times ``concurrency`` files queued in the library."""
    client = open_client(endpoint)
    source = Path(folder if verb == "push" else os.environ["SNAPDIR_BENCH_TREE"])
    room = BoundedSemaphore(4 * int(concurrency))
    running = []
    for file in source.rglob("*"):
        if file.is_file():
            path = str(file.relative_to(source))
            room.acquire()
            future = start(
                client, verb, urlsplit(endpoint).netloc, f"/{bucket}/{quote(f'{prefix}/{path}')}", Path(folder) / path
            )
            future.add_done_callback(lambda _: room.release())
            running.append(future)
    for future in running:
        future.result()


copy(*sys.argv[1:])
