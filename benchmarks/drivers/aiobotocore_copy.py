"""Copy a tree with plain aiobotocore: VERB FOLDER ENDPOINT BUCKET PREFIX CONCURRENCY."""

from __future__ import annotations

import asyncio
import importlib
import sys
from pathlib import Path
from typing import Any

from concurrently import files_below, for_each  # type: ignore[import-not-found]  # beside this driver

AioConfig: Any = importlib.import_module("aiobotocore.config").AioConfig
get_session: Any = importlib.import_module("aiobotocore.session").get_session

CHUNK_BYTES = 1 << 20


async def listed(client: Any, bucket: str, prefix: str) -> list[str]:
    """Keys below the prefix, without it."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/")
    return [item["Key"].removeprefix(f"{prefix}/") async for page in pages for item in page.get("Contents", [])]


async def copy(verb: str, folder: str, endpoint: str, bucket: str, prefix: str, concurrency: str) -> None:
    """Run one verb. Nothing is sent in parts."""
    root = Path(folder)
    config = AioConfig(
        max_pool_connections=int(concurrency),
        s3={"addressing_style": "path"},
        # Otherwise every body is read twice, for a checksum that other clients do not send.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    async with get_session().create_client("s3", endpoint_url=endpoint, config=config) as client:

        async def push(path: str) -> None:
            with (root / path).open("rb") as body:
                await client.put_object(Bucket=bucket, Key=f"{prefix}/{path}", Body=body)

        async def pull(path: str) -> None:
            response = await client.get_object(Bucket=bucket, Key=f"{prefix}/{path}")
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("wb") as file:
                async with response["Body"] as body:
                    async for chunk in body.iter_chunks(CHUNK_BYTES):
                        file.write(chunk)

        if verb == "push":
            await for_each(files_below(root), push, int(concurrency))
        else:
            await for_each(await listed(client, bucket, prefix), pull, int(concurrency))


asyncio.run(copy(*sys.argv[1:]))
