"""A destination with the path of a file of the snapshot: its user may want that file only. Blocking."""

from __future__ import annotations

import os
from pathlib import Path

from snapdir.disk.destination import Destination
from snapdir.errors import DestinationConflict
from snapdir.model.manifest import Manifest
from snapdir.transfer.engine.events import Counters


def open_destination(
    manifest: Manifest, into: Path, counters: Counters, *, create: bool = True, max_open_files: int = 0
) -> Destination:
    """``Destination.open``, with a warning or a note if ``into`` is the path of a file of the snapshot.

    Any directory may have such a name, so nothing is refused.
    """
    path = os.path.normpath(into)
    advice = f"`snapdir cat STORE@ID {path} --output FILE` writes that file alone"
    is_meant = not os.path.isdir(into) and _is_file(manifest, path)
    if is_meant and not os.path.lexists(into):
        counters.warnings.append(f"the directory {path} has the path of a file of the snapshot: {advice}")
    try:
        return Destination.open(into, create=create, max_open_files=max_open_files)
    except DestinationConflict as error:
        if is_meant:
            error.add_note(f"it is a file of the snapshot: {advice}")
        raise


def _is_file(manifest: Manifest, path: str) -> bool:
    """Whether a manifest has a file at a relative path; about 20 ms for a million lines."""
    if os.path.isabs(path):
        return False
    end = f" ./{path}\n".encode(errors="surrogateescape")
    for block in manifest.blocks():
        found = block.find(end)
        if found >= 0 and block.startswith(b"F", block.rfind(b"\n", 0, found) + 1):
            return True
    return False
