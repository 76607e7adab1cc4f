"""The document around every page: ``page.html`` with a title and a body, and the escaping of text. Pure.

Notes, labels, locations and file names may hold any text, and are escaped. In addition, the content security policy of
a page blocks every request, and every script but the page's own.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

from snapdir.catalog.graph import visible


def document(title: str, body: Iterable[str], *, script: str = "") -> str:
    """A page.

    Args:
        body: Lines of HTML.
        script: The name of the file with the script of the page; empty for none.
    """
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    element = ""
    if script:
        source = _packaged(script)
        checksum = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        policy += f"; script-src 'sha256-{checksum}'"
        element = f"<script>{source}</script>"
    page = Template(_packaged("page.html"))
    return page.substitute(title=safe(title), policy=policy, body="\n".join(body), script=element)


@cache
def _packaged(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def safe(text: str) -> str:
    """Text as HTML that says exactly that."""
    return escape(visible(text))


def code(text: str) -> str:
    """Text in the font of a terminal."""
    return f"<code>{safe(text)}</code>"


def identifier(snapshot_id: str) -> str:
    """An id: the page shows its first digits, and a click selects all of them."""
    return f'<code class="id" title="{safe(snapshot_id)}">{safe(snapshot_id)}</code>'


def shortened(text: str, max_characters: int) -> str:
    """``text``, or its beginning and an ellipsis."""
    return text if len(text) <= max_characters else f"{text[: max_characters - 1]}…"
