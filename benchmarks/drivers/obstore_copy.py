"""Copy a tree with obstore: VERB FOLDER ENDPOINT BUCKET PREFIX CONCURRENCY."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from pathlib import Path
from typing import Any

from concurrently import files_below, for_each  # type: ignore[import-not-found]  # beside this driver

obstore: Any = importlib.import_module("obstore")
stores: Any = importlib.import_module("obstore.store")


async def copy(verb: str, folder: str, endpoint: str, bucket: str, prefix: str, concurrency: str) -> None:
    """Run one verb. obstore chooses parts and chunks."""
    options: dict[str, Any] = {"allow_http": True}
    if os.environ.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = Path(os.environ["AWS_CA_BUNDLE"]).read_bytes()  # noqa: ASYNC240
    store = stores.S3Store(bucket, prefix=prefix, endpoint=endpoint, region="us-east-1", client_options=options)
    root = Path(folder)

    async def push(path: str) -> None:
        await obstore.put_async(store, path, root / path)

    async def pull(path: str) -> None:
        response = await obstore.get_async(store, path)
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:  # writing is part of the measurement
            async for chunk in response.stream():
                file.write(chunk)

    if verb == "push":
        await for_each(files_below(root), push, int(concurrency))
    else:
        listed = [item["path"] async for page in obstore.list(store) for item in page]
        await for_each(listed, pull, int(concurrency))


asyncio.run(copy(*sys.argv[1:]))
os._exit(0)  # its threads can abort the interpreter during shutdown
