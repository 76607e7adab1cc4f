"""Drawings of ancestors and descendants, and the shared history of a store."""

from __future__ import annotations

import json
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
    assert cli(verb, "--id", focus).code == 1
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
        (["ancestors", "--id", "ALONE"], "; --store also reads the history of a store"),
    ],
    ids=str,
)
def test_who_watches_is_told_that_there_is_nothing(args: list[str], advice: str, isolated: Path) -> None:
    (isolated / "tree").mkdir()
    alone = ok("stage", "--catalog", "none", str(isolated / "tree")).stdout.strip()
    args = [alone if word == "ALONE" else word for word in args]
    assert on_terminal(*args, "--no-progress").drawn == f"no matching records{advice}\r\n"
    assert on_terminal(*args, "-q").drawn == ""
    assert ok(*args) == Run(0, "", "")


@pytest.mark.parametrize("verb", ["ancestors", "descendants"])
def test_an_id_that_exists_nowhere_is_an_error(pushed: tuple[str, str], verb: str, isolated: Path) -> None:
    for unknown in ("ab" * 32, "0" * 64, "ab" * 5):
        for store in ([], ["--store", "./store"], ["--store", f"file://{isolated}/nowhere"]):
            run = cli(verb, "--id", unknown, *store)
            assert (run.code, run.stdout) == (1, "")

            assert "snapshot not found: " in run.stderr
            assert unknown in run.stderr
    assert json.loads(cli(verb, "--json", "--id", "0" * 64).stderr)["error"] == "STORE_ERROR"


def test_an_id_that_is_known_in_any_way_is_none(pushed: tuple[str, str], isolated: Path) -> None:
    """Stored elsewhere, staged without a history, pulled by another machine, named by a push: nothing is no error."""
    other = isolated / "other"
    other.mkdir()
    alone = ok("push", "--store", "./alone", "--catalog", "none", "--cache-dir", "away", str(other)).stdout.strip()
    assert cli("ancestors", "--id", alone).code == 1
    assert ok("ancestors", "--id", alone, "--store", "./alone").stdout == ""
    ok("pull", "--no-cache", "--store", "./alone", "--id", alone, "pulled")
    assert ok("ancestors", "--id", alone).stdout == ""
    (other / "file").touch()
    made = ok("push", "--store", "./store", "--derived-from", alone, str(other)).stdout.strip()
    assert [json.loads(line)["id"] for line in ok("descendants", "--id", alone).stdout.splitlines()] == [made]
    named = "cd" * 32
    ok("push", "--store", "./store", "--derived-from", named, "--unchecked", str(other))
    assert ok("ancestors", "--id", named).stdout == ""
    assert made in ok("descendants", "--id", named, "--store", "./store", "--cache-dir", "fresh").stdout


def test_sources_of_a_push_are_known_to_the_store(pushed: tuple[str, str], isolated: Path) -> None:
    (isolated / "tree" / "a").write_text("three")
    fresh = ("--cache-dir", "fresh", "--store", "./store")
    assert cli("stage", "--cache-dir", "fresh", "--derived-from", pushed[0], str(isolated / "tree")).code == 1
    run = cli("push", *fresh, "--derived-from", "0" * 64, str(isolated / "tree"))
    assert (run.code, run.stdout, run.stderr.count("\n")) == (1, "", 1)
    assert f"snapshot not found: {'0' * 64} is neither stored nor mentioned in the cache at " in run.stderr
    assert "--unchecked records the sources of --derived-from without looking for them" in run.stderr
    ok("push", *fresh, "--derived-from", pushed[0], str(isolated / "tree"))


def test_only_derivations_are_followed_if_asked_for(pushed: tuple[str, str], isolated: Path) -> None:
    first, second = pushed
    (isolated / "tree" / "a").write_text("three")
    third = ok("push", "--store", "./store", str(isolated / "tree")).stdout.strip()
    (isolated / "tree" / "a").write_text("four")
    fourth = ok("push", "--store", "./store", "--derived-from", second, str(isolated / "tree")).stdout.strip()

    def related(verb: str, of: str) -> list[tuple[str, str]]:
        found = map(json.loads, ok(verb, "--derived", "--id", of).stdout.splitlines())
        return [(row["id"], row["relation"]) for row in found]

    assert related("ancestors", fourth) == [(second, "derived"), (first, "derived")]
    assert related("ancestors", third) == []
    assert related("descendants", first) == [(second, "derived"), (fourth, "derived")]
    drawn = ok("ancestors", "--derived", "--id", fourth, "--format", "dot").stdout
    assert first[:12] in drawn
    assert third[:12] not in drawn
