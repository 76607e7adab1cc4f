"""Check every link of the built site.

python scripts/site/links.py FOLDER    exits 1 and names each bad link

A link inside the site must lead to a file and, with a ``#``, to an element with that id. A link to another host must be
an https URL; it is not opened. Scripts, styles and pictures must be files of the site: it loads nothing else.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, unquote, urlsplit

__all__ = ["bad_links"]

HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
LOADED_BY_STYLE = re.compile(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')\s]+)")


class Link(NamedTuple):
    """A reference to another file. ``opened`` by a reader; otherwise the page loads it."""

    target: str
    opened: bool


class Page(HTMLParser):
    """The links and ids of one page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[Link] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        self.links += [Link(values[name], tag == "a") for name in ("href", "src", "poster") if name in values]


def bad_links(site: Path) -> Iterator[str]:
    """One line for each link that leads nowhere or may not be loaded."""

    @cache
    def parsed(file: Path) -> Page:
        return Page(file.read_text())

    for file in sorted(site.rglob("*.html")):
        for link in parsed(file).links:
            if problem := _problem(site, file, link, parsed):
                yield f"{file.relative_to(site)}: {link.target}: {problem}"
    for file in sorted(site.rglob("*.css")):
        for found in LOADED_BY_STYLE.finditer(file.read_text()):
            yield f"{file.relative_to(site)}: {found[1]}: loaded from another host"


def _problem(site: Path, file: Path, link: Link, parsed: Callable[[Path], Page]) -> str | None:
    try:
        url = urlsplit(link.target)
    except ValueError:
        return "not a URL"
    if url.scheme or url.netloc:
        return _problem_outside(url, link)
    target = _file(site, file, unquote(url.path))
    if not target.is_file():
        return "leads to no file"
    if url.fragment and target.suffix == ".html" and unquote(url.fragment) not in parsed(target).ids:
        return "leads to no heading"
    return None


def _problem_outside(url: SplitResult, link: Link) -> str | None:
    if not link.opened:
        return None if url.scheme == "data" else "loaded from another host"
    return None if url.scheme == "https" and HOST.fullmatch(url.hostname or "") else "not an https URL of a host"


def _file(site: Path, file: Path, path: str) -> Path:
    target = site / path.lstrip("/") if path.startswith("/") else file.parent / path if path else file
    return (target / "index.html" if target.is_dir() else target).resolve()


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "index.html").is_file():
        sys.exit(f"usage: {sys.argv[0]} FOLDER, with the built site")
    problems = [*bad_links(Path(sys.argv[1]))]
    if problems:
        sys.exit("\n".join(problems))
