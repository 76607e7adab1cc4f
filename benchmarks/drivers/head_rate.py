"""Send HEAD requests for one object with snapdir's S3 transport alone: ENDPOINT BUCKET REQUESTS."""

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


async def send(endpoint: str, bucket: str, requests: int) -> None:
    """Send signed requests; 200 and 404 are both accepted."""
    url = urlsplit(endpoint)
    signer = Signer(Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]), "us-east-1")
    target = encode_path(f"/{bucket}/head")
    left = iter(range(requests))
    trusted = trusted_context() if url.scheme == "https" else None
    port = url.port or (443 if trusted else 80)
    async with Pool(url.hostname or "", port, ssl_context=trusted, max_connections=CONNECTIONS) as pool:

        async def worker() -> None:
            for _ in left:
                response = await pool.request(b"HEAD", target, signer.sign(b"HEAD", target, host=pool.host_header))
                if response.status not in (200, 404):
                    raise SystemExit(f"HEAD: {response.status}")

        await asyncio.gather(*[worker() for _ in range(min(CONNECTIONS, requests))])


uvloop.run(send(sys.argv[1], sys.argv[2], int(sys.argv[3])))
