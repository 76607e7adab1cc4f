"""Ask for one object again and again with snapdir's data plane alone: ENDPOINT BUCKET REQUESTS."""

from __future__ import annotations

import asyncio
import os
import sys
from urllib.parse import urlsplit

import uvloop

from snapdir.stores.s3.http.pool import Pool
from snapdir.stores.s3.http.tls import trusted_context
from snapdir.stores.s3.signing import Credentials, Signer, encode_path

CONNECTIONS = 64


async def ask(endpoint: str, bucket: str, requests: int) -> None:
    """Every request is signed; any answer that S3 gives to a HEAD will do."""
    url = urlsplit(endpoint)
    signer = Signer(Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]), "us-east-1")
    target = encode_path(f"/{bucket}/head")
    left = iter(range(requests))
    trusted = trusted_context() if url.scheme == "https" else None
    port = url.port or (443 if trusted else 80)
    async with Pool(url.hostname or "", port, ssl_context=trusted, max_connections=CONNECTIONS) as pool:

        async def worker() -> None:
            for _ in left:
                answer = await pool.request(b"HEAD", target, signer.sign(b"HEAD", target, host=pool.host_header))
                if answer.status not in (200, 404):
                    raise SystemExit(f"HEAD: {answer.status}")

        await asyncio.gather(*[worker() for _ in range(min(CONNECTIONS, requests))])


uvloop.run(ask(sys.argv[1], sys.argv[2], int(sys.argv[3])))
