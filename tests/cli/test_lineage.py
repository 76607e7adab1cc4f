"""Drawings of ancestors and descendants, and the shared history of a store."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .conftest import Run, cli, on_terminal


@pytest.fixture
def pushed(isolated: Path) -> tuple[str, str]:
    """Two snapshots in ``./store``, the second derived from the first, with a note that would like to be more."""
    tree = isolated / "tree"
    tree.mkdir()
    (tree / "a").write_text("one")
    first = ok("push", "--store", "./store", "--note", '</script><script>alert("x")</script>', str(tree)).stdout.strip()
    (tree / "a").write_text("two")
    second = ok("push", "--store", "./store", "--derived-from", first, str(tree)).stdout.strip()
    return first, second


def ok(*args: str) -> Run:
    run = cli(*args)
    assert run.code == 0, run.stderr
    return run


def test_dot_and_mermaid_go_to_stdout(pushed: tuple[str, str]) -> None:
    first, second = pushed
    dot = ok("ancestors", "--id", second, "--format", "dot").stdout
    assert dot.startswith("digraph")
    assert first[:12] in dot
    mermaid = ok("descendants", "--id", first, "--format", "mermaid").stdout
    assert mermaid.startswith("flowchart")
    assert second[:12] in mermaid


def test_a_page_is_written_beside_what_is_printed(pushed: tuple[str, str]) -> None:
    first, second = pushed
    run = ok("ancestors", "--id", second, "--open-html", "page.html")
    assert run.stdout == ok("ancestors", "--id", second).stdout
    assert run.stderr == "wrote page.html\n"
    page = Path("page.html").read_text()
    assert first in page
    assert second in page
    assert "<script" not in page


def test_a_page_that_cannot_be_written_is_named(pushed: tuple[str, str]) -> None:
    run = cli("ancestors", "--id", pushed[1], "--open-html", "no/such/page.html")
    assert run.code == 1
    assert "no/such/page.html" in run.stderr


def test_without_a_terminal_and_a_display_no_browser_is_opened(pushed: tuple[str, str], isolated: Path) -> None:
    browser = isolated / "browser"
    browser.write_text(f"#!/bin/sh\ntouch {isolated}/opened\n")
    browser.chmod(0o755)
    asked = ("ancestors", "--id", pushed[1], "--open-html", "page.html")
    # stdout is a pipe here, so nobody is in front of it.
    assert on_terminal(*asked, env={"BROWSER": str(browser), "DISPLAY": ":99"}).code == 0
    assert not (isolated / "opened").exists()


@pytest.mark.parametrize("verb", ["ancestors", "descendants"])
def test_a_machine_that_knows_nothing_asks_the_store(pushed: tuple[str, str], verb: str, isolated: Path) -> None:
    focus, other = pushed if verb == "descendants" else pushed[::-1]
    shutil.rmtree(isolated / "cache")
    assert ok(verb, "--id", focus).stdout == ""
    assert other in ok(verb, "--id", focus, "--store", "./store").stdout
    assert other in ok(verb, "--id", focus).stdout  # remembered


def test_without_a_catalog_the_store_is_asked_and_forgotten(pushed: tuple[str, str], isolated: Path) -> None:
    shutil.rmtree(isolated / "cache")
    asked = ("ancestors", "--catalog", "none", "--id", pushed[1])
    assert pushed[0] in ok(*asked, "--store", "./store").stdout
    assert "nothing to query" in ok(*asked).stderr
    assert not (isolated / "cache").exists()


def test_a_damaged_catalog_is_no_reason_not_to_ask_the_store(pushed: tuple[str, str], isolated: Path) -> None:
    (isolated / "damaged").write_text("no database" * 1000)
    asked = ("ancestors", "--catalog", str(isolated / "damaged"), "--id", pushed[1])
    assert cli(*asked).code == 1
    run = ok(*asked, "--store", "./store")
    assert pushed[0] in run.stdout
    assert "warning:" in run.stderr


def test_a_store_that_cannot_be_read_is_a_warning(pushed: tuple[str, str]) -> None:
    run = ok("ancestors", "--id", pushed[1], "--store", "file:///no/such/store")
    assert pushed[0] in run.stdout
    assert run.stderr.count("warning:") == 1
    assert "/no/such/store" in run.stderr


@pytest.mark.parametrize(
    ("args", "advice"),
    [
        (["locations", "--location", "nowhere"], ""),
        (["revisions", "--location", "nowhere"], "; --store also reads the history of a store"),
        (["ancestors", "--id", "0" * 64], "; --store also reads the history of a store"),
    ],
    ids=str,
)
def test_who_watches_is_told_that_there_is_nothing(args: list[str], advice: str, isolated: Path) -> None:
    assert on_terminal(*args, "--no-progress").drawn == f"no matching records{advice}\r\n"
    assert on_terminal(*args, "-q").drawn == ""
    assert ok(*args) == Run(0, "", "")
