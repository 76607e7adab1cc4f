"""Push, pull or id with the reference's Python binding: VERB URL FOLDER [ID]. A push and an id print the id."""

from __future__ import annotations

import asyncio
import importlib
import os
import sys
from typing import Any

# The binding has the name of this package, and is not installed where types are checked.
reference: Any = importlib.import_module("snapdir")


async def copy(verb: str, url: str, folder: str, snapshot_id: str = "") -> None:
    """Run one verb."""
    if verb == "id":
        print(await reference.id(folder), flush=True)
        return
    store = reference.StoreUri(url)
    if verb == "push":
        print(await reference.push(folder, store), flush=True)
    else:
        await reference.pull(reference.SnapshotId(snapshot_id), store, folder)


asyncio.run(copy(*sys.argv[1:]))
os._exit(0)  # it can crash during interpreter shutdown
