"""What mkdocstrings must know about our docstrings: an extension of griffe, which reads them.

- ``include, exclude: Globs.`` describes two arguments with one text.
- A line ``::`` announces code, as in reStructuredText; Markdown needs only the indentation.
"""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension

SEVERAL = re.compile(r"^( +)(\w+(?:, \w+)+):(.*(?:\n\1 +.*)*)", re.MULTILINE)
ANNOUNCED = re.compile(r"^ *::\n", re.MULTILINE)


def in_google_style(text: str) -> str:
    """One name a line, each with the whole text."""

    def one_by_one(found: re.Match[str]) -> str:
        return "\n".join(f"{found[1]}{name}:{found[3]}" for name in found[2].split(", "))

    return SEVERAL.sub(one_by_one, ANNOUNCED.sub("", text))


class Docstrings(Extension):  # type: ignore[misc]  # griffe is installed where the site is built, not for mypy
    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring:
            obj.docstring.value = in_google_style(obj.docstring.value)
