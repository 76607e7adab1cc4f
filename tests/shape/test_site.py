"""What `scripts/docs` builds from: every page has a place in the site, and every link is checked."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.site.links import bad_links

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that mkdocs builds from."""
    folder = tmp_path_factory.mktemp("site") / "pages"
    subprocess.run([sys.executable, PROJECT / "scripts/site/pages.py", folder], check=True, timeout=60)
    return folder


def test_a_folder_with_something_else_in_it_is_kept(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    run = subprocess.run([sys.executable, PROJECT / "scripts/site/pages.py", tmp_path], check=False, timeout=60)
    assert run.returncode == 1
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_the_navigation_names_every_page_once(pages: Path) -> None:
    navigation = (PROJECT / "mkdocs.yml").read_text().partition("\nnav:\n")[2]
    written = {str(page.relative_to(pages)) for page in pages.rglob("*.md")}
    decisions = {page for page in written if re.match(r"decisions/\d{4}-", page)}  # listed by decisions/index.md
    assert sorted(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE)) == sorted(written - decisions)


def test_links_lead_to_the_new_places(pages: Path) -> None:
    assert "](errors.md)" in (pages / "index.md").read_text()
    assert "](index.md#from-python)" in (pages / "python.md").read_text()
    assert "](../format.md#temporary-names)" in (pages / "decisions/0003-pull-and-the-cache.md").read_text()
    assert (pages / "lineage.png").stat().st_size > 0


def test_a_bar_in_the_code_of_a_table_is_not_escaped(pages: Path) -> None:
    assert "`snapdir log [STORE|DIR]`" in (pages / "index.md").read_text()


def test_every_public_name_has_an_entry(pages: Path) -> None:
    import snapdir

    entries = {
        found[1]
        for page in pages.glob("api/*.md")
        for found in re.finditer(r"^::: snapdir\.(\w+)$", page.read_text(), re.M)
    }
    assert entries == set(snapdir.__all__)


def test_every_command_has_its_help(pages: Path) -> None:
    text = (pages / "commands.md").read_text()
    assert "## snapdir push\n" in text
    assert "Usage: snapdir push [OPTIONS] [PATH]" in text


GOOD = '<h1 id="top">T</h1><a href="#top">1</a><a href="b/">2</a><a href="b/#b%20c">3</a><a href="https://pre-commit.com">4</a>'


@pytest.mark.parametrize(
    ("element", "problem"),
    [
        ("", None),
        ('<img src="data:image/png;base64,AA==">', None),
        ('<a href="c/">', "index.html: c/: leads to no file"),
        ('<a href="b/#d">', "index.html: b/#d: leads to no heading"),
        ('<a href="#d">', "index.html: #d: leads to no heading"),
        ('<img src="b/p.png">', "index.html: b/p.png: leads to no file"),
        ('<a href="http://pre-commit.com">', "index.html: http://pre-commit.com: not an https URL of a host"),
        ('<a href="https://pre commit">', "index.html: https://pre commit: not an https URL of a host"),
        ('<a href="https:///page">', "index.html: https:///page: not an https URL of a host"),
        ('<a href="https://[::1">', "index.html: https://[::1: not a URL"),
        (
            '<script src="https://cdn.example.org/a.js">',
            "index.html: https://cdn.example.org/a.js: loaded from another host",
        ),
        ('<link href="//fonts.example.org/a.css">', "index.html: //fonts.example.org/a.css: loaded from another host"),
    ],
)
def test_a_bad_link_is_named(element: str, problem: str | None, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b/index.html").write_text('<h1 id="b c">B</h1><a href="../#top">up</a>')
    (tmp_path / "index.html").write_text(GOOD + element)
    assert [*bad_links(tmp_path)] == ([problem] if problem else [])


def test_a_style_that_loads_from_another_host_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.css").write_text("@import 'https://fonts.example.org/f'; a { background: url(data:x) url(b.png) }")
    assert [*bad_links(tmp_path)] == ["a.css: https://fonts.example.org/f: loaded from another host"]
