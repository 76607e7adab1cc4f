"""Names of files in a manifest, in UTF-8, and on this system, in the encoding of its locale."""

from __future__ import annotations

import os
import sys

NAMES_ARE_UTF8 = sys.getfilesystemencoding() == "utf-8"
"""Python decodes names by the locale. Manifests hold UTF-8: under other locales names are translated."""


def name_in_utf8(name: str) -> str:
    """A name or path from this system for a manifest, a pattern or a message. Invalid bytes become surrogates."""
    return name if NAMES_ARE_UTF8 else os.fsencode(name).decode("utf-8", "surrogateescape")


def name_on_system(name: str) -> str:
    """A name from a manifest for the calls of this system."""
    return name if NAMES_ARE_UTF8 else os.fsdecode(name.encode("utf-8", "surrogateescape"))


def name_for_pattern(name: str) -> str:
    """A name or path for a pattern: bytes that are not UTF-8 become question marks."""
    return name if name.isascii() else name.encode(errors="replace").decode()
