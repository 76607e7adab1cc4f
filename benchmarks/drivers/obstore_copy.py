"""Copy a tree with obstore: VERB FOLDER ENDPOINT BUCKET PREFIX CONCURRENCY."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

obstore: Any = importlib.import_module("obstore")
stores: Any = importlib.import_module("obstore.store")


async def for_each(items: Iterable[str], work: Callable[[str], Awaitable[None]], concurrency: int) -> None:
    """``concurrency`` tasks take the items in turn."""
    left = iter(items)

    async def worker() -> None:
        for item in left:
            await work(item)

    await asyncio.gather(*[worker() for _ in range(concurrency)])


async def copy(verb: str, folder: str, endpoint: str, bucket: str, prefix: str, concurrency: str) -> None:
    """Run one verb. Large files go up in parts, by obstore's own rule; bodies come down in its chunks."""
    options: dict[str, Any] = {"allow_http": True}
    if os.environ.get("AWS_CA_BUNDLE"):
        options["root_certificate"] = Path(os.environ["AWS_CA_BUNDLE"]).read_bytes()  # noqa: ASYNC240
    store = stores.S3Store(bucket, prefix=prefix, endpoint=endpoint, region="us-east-1", client_options=options)
    root = Path(folder)

    async def push(path: str) -> None:
        await obstore.put_async(store, path, root / path)

    async def pull(path: str) -> None:
        answer = await obstore.get_async(store, path)
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("wb") as file:  # what it costs is part of what is measured
            async for chunk in answer.stream():
                file.write(chunk)

    if verb == "push":
        files = [str(file.relative_to(root)) for file in root.rglob("*") if file.is_file()]  # noqa: ASYNC240
        await for_each(files, push, int(concurrency))
    else:
        listed = [item["path"] async for page in obstore.list(store) for item in page]
        await for_each(listed, pull, int(concurrency))


asyncio.run(copy(*sys.argv[1:]))
os._exit(0)  # its threads can abort the interpreter while that shuts down
