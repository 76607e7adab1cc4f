"""Content-addressed directory snapshots: push, pull and verify exactly those bytes.

::

    import snapdir

    snapshot_id = await snapdir.push("dataset", "s3://bucket/datasets")
    await snapdir.pull(snapshot_id, "s3://bucket/datasets", "elsewhere")
    assert await snapdir.id("elsewhere") == snapshot_id

``snapdir.blocking`` has the same functions for programs without an event loop.

Each function opens what it needs, runs one verb, and closes it again. Paths are ``str`` or ``os.PathLike``, with ``~``
expanded; a store is a URL, a bare path or a StoreUri; an id is a str or a SnapshotId, whole or the first 8 or more of
its digits (see ``resolve_id``). ``config`` says how to run (see Config); ``counters`` are running totals that a display
may read meanwhile. All raise SnapdirError subclasses, and nothing else that a user can cause.
"""

from functools import cache
from importlib import import_module


def version() -> str:
    """The version of this package."""
    from importlib.metadata import version as installed_version

    return installed_version("snapdir")


@cache
def _homes() -> dict[str, str]:
    """The module of each public name, read from ``__init__.pyi``: the one list for type checkers and for Python."""
    import re
    from pkgutil import get_data

    stub = (get_data("snapdir", "__init__.pyi") or b"").decode()
    return {name: home for home, name in re.findall(r"^from (\S+) import (\w+) as \2$", stub, re.MULTILINE)}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: all of them take 80 ms, and a command needs only some."""
    if name == "__all__":
        return sorted([*_homes(), "version"])
    if name.startswith("_") or name not in _homes():
        raise AttributeError(f"module 'snapdir' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_homes()[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted([*_homes(), "version"])
