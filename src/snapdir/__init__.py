"""Content-addressed directory snapshots: push, pull and verify exactly those bytes.

::

    import snapdir

    snapshot_id = await snapdir.push("dataset", "s3://bucket/datasets")
    await snapdir.pull(snapshot_id, "s3://bucket/datasets", "elsewhere")
    assert await snapdir.id("elsewhere") == snapshot_id

``snapdir.blocking`` has the same functions for programs without an event loop.

Each function opens what it needs, runs one verb, and closes it again. Paths are ``str`` or ``os.PathLike``, with ``~``
expanded; a store is a URL, a path or a StoreUri; an id is a str or a SnapshotId, whole or the first 8 or more of its
digits (see ``resolve_id``). ``config`` says how to run (see Config); ``counters`` are running totals that a display may
read meanwhile. All raise SnapdirError subclasses, and nothing else that a user can cause, except a TypeError for an
argument of a wrong type.
"""

import os
from importlib import import_module


def version() -> str:
    """The version of this package."""
    from importlib.metadata import version as installed_version

    return installed_version("snapdir")


def _listed() -> dict[str, str]:
    """The module of each public name: the lines ``from snapdir.MODULE import NAME as NAME`` of the stub."""
    stub = __spec__.loader.get_data(os.path.splitext(__file__)[0] + ".pyi").decode()  # as modules are read
    lines = map(str.split, stub.splitlines())
    return {words[3]: words[1] for words in lines if words[:1] == ["from"] and words[1] != "snapdir"}


_HOMES = _listed()
__all__ = sorted([*_HOMES, "version"])  # noqa: PLE0605  # type checkers read the list in the stub


def __getattr__(name: str) -> object:
    """Load a public name when it is first used: all of them take 80 ms, and a command needs only some."""
    if name == "blocking":
        return import_module("snapdir.blocking")
    if name not in _HOMES:
        raise AttributeError(f"module 'snapdir' has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return [*__all__, "blocking"]
