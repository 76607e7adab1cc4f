"""The pages in a browser: nothing overlaps on a phone or a desk, folds open, search and sort work."""

from __future__ import annotations

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from scripts.chromium import PROGRAMS, opened
from snapdir.catalog.record import Record
from snapdir.hashing.tree import manifest_id
from snapdir.model.entry import Entry
from snapdir.model.keys import manifest_key, record_key
from snapdir.model.manifest import Manifest
from tests.needed import needed

from ..conftest import cli

WIDTHS = (420, 1280)
NOTES = (
    None,
    "export of the night",
    "near duplicates removed, and the split by language stays as it was " * 2 + "n" * 150,
)

MEASURE = """const measured = () => {
const shown = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const text = walker.currentNode;
  if (!text.data.trim() || !text.parentElement.checkVisibility() || text.parentElement.closest("script, svg")) continue;
  const range = document.createRange();
  range.selectNodeContents(text);
  const clip = text.parentElement.closest(".id, .title")?.getBoundingClientRect();
  for (const box of range.getClientRects()) {
    const right = clip ? Math.min(box.right, clip.right) : box.right;
    const bottom = clip ? Math.min(box.bottom, clip.bottom) : box.bottom;
    if (right - box.left > 1 && bottom - box.top > 1)
      shown.push({left: box.left, top: box.top, right, bottom, node: text, text: text.data.trim().slice(0, 60)});
  }
}
shown.sort((one, other) => one.top - other.top);
const overlaps = [];
shown.forEach((one, number) => {
  for (let next = number + 1; next < shown.length && shown[next].top < one.bottom - 2; next++) {
    const other = shown[next];
    if (one.node !== other.node && one.left < other.right - 2 && other.left < one.right - 2)
      overlaps.push([one.text, other.text]);
  }
});
const outside = shown.filter((one) => one.left < 0 || one.right > innerWidth + 1).map((one) => one.text);
const beside = [...document.querySelectorAll(".row")].filter((row) => row.checkVisibility()).filter((row) =>
  row.querySelector("svg").getBoundingClientRect().right > row.querySelector("div").getBoundingClientRect().left + 1);
return {width: innerWidth, page: document.documentElement.scrollWidth, count: shown.length, overlaps, outside,
  lines: beside.length};
};
const folded = measured();
document.querySelectorAll("details").forEach((each) => { each.open = true; });
return [folded, measured()];
"""


CALL = """<script>document.body.append(Object.assign(document.createElement("pre"),
  {id: "found", textContent: JSON.stringify((() => {%s})())}));</script></body>"""

FRAME = """<!doctype html><pre id="found"></pre><iframe width="%d" height="900" srcdoc="%s"></iframe><script>
document.querySelector("iframe").onload = (event) => {
  document.querySelector("#found").textContent = event.target.contentDocument.querySelector("#found").textContent;
};</script>"""
"""Chromium has no window narrower than 500 pixels; a frame may be."""


def asked(page: str, folder: Path, script: str, *, width: int = 1280) -> Any:
    """What a script returns when it runs in ``page``; for it alone the policy of the page is lifted."""
    lifted, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)
    assert count == 1
    file = folder / "asked.html"
    file.write_text(FRAME % (width, escape(lifted.replace("</body>", CALL % script))))
    found = re.search(r'<pre id="found">(.*?)</pre>', opened(file, width=width), re.DOTALL)
    assert found is not None
    return json.loads(unescape(found[1]))


def store_of(count: int, folder: Path) -> str:
    """A store whose history has ``count`` snapshots, some of them derived from others."""
    store = folder / "store"
    url, ids = f"file://{store}", list[str]()
    for number in range(count):
        paths = [f"./{'deep/' * (number % 3 * 30)}file-{each}" for each in range(number % 7 + 1)]
        entries = [Entry("F", "644", blake3(path.encode()).hexdigest(), 1000 * len(path), path) for path in paths]
        manifest = Manifest([Entry("D", "755", "00" * 32, number, "./"), *entries])
        ids.append(manifest_id(manifest))
        record = Record(
            record_id=f"{number:032x}",
            event="push",
            id=ids[-1],
            location=url,
            created_at=f"2026-{number // 500 + 1:02d}-{number % 500 // 24 + 1:02d} {number % 24:02d}:00:00.000",
            previous_id=ids[-2] if number else None,
            derived_from=(ids[number - 15],) if number % 40 == 20 else (),
            note=NOTES[number % 3],
            labels=(("run", f"a{number}"), ("pages", "1.2M"), ("l" * 90, "v" * 90)) if number % 2 else (),
        )
        for key, text in {
            manifest_key(ids[-1]): manifest.stored,
            record_key(record.created_at, record.record_id): f"{record.to_json()}\n".encode(),
        }.items():
            file = store / key
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(text)
    return url


@pytest.fixture(scope="module", params=[3, 500])
def pages(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The pages of a store and of the lineages of its newest and oldest snapshots."""
    needed(*PROGRAMS)
    folder = tmp_path_factory.mktemp("pages")
    url, cache = store_of(request.param, folder), f"--cache-dir={folder}/cache"
    assert cli("report", url, "--open-html", str(folder / "report.html"), cache).code == 0
    report = json.loads(cli("report", url, "--json", cache).stdout)
    ends = {"ancestors": report["snapshots"][0]["id"], "descendants": report["snapshots"][-1]["id"]}
    for verb, id_ in ends.items():
        page = str(folder / f"{verb}.html")
        assert cli(verb, "--id", id_, "--store", url, "--open-html", page, cache).code == 0
    return {name: (folder / f"{name}.html").read_text() for name in ("report", *ends)}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", ["report", "ancestors", "descendants"])
def test_no_text_overlaps_another_or_leaves_the_page(
    pages: dict[str, str], name: str, width: int, tmp_path: Path
) -> None:
    for found in asked(pages[name], tmp_path, MEASURE, width=width):
        assert found["width"] == width
        assert found["count"] > 5
        assert (found["overlaps"], found["outside"], found["lines"]) == ([], [], 0)
        assert found["page"] <= width


@pytest.mark.parametrize(("name", "dark"), [("report", False), ("ancestors", True)])
def test_a_page_opens_without_a_complaint(pages: dict[str, str], name: str, dark: bool, tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(pages[name])
    elements = opened(tmp_path / "page.html", dark=dark)
    if name == "report":  # its script ran under its policy
        assert re.search(r'id="shown">(\d+) of \1 shown<', elements)


@pytest.mark.parametrize("name", ["ancestors", "descendants"])
def test_the_snapshot_asked_about_is_marked_and_in_sight(pages: dict[str, str], name: str, tmp_path: Path) -> None:
    found = asked(
        pages[name],
        tmp_path,
        """const row = document.querySelector(".chosen.row"), box = row.getBoundingClientRect();
        return {id: row.id, named: document.querySelector("header code").textContent, top: box.top, bottom: box.bottom,
          height: innerHeight};""",
        width=420,
    )
    assert found["id"] == f"g-{found['named']}"
    assert 0 <= found["top"] < found["bottom"] <= found["height"]


def test_a_long_history_is_folded_until_a_click(pages: dict[str, str], tmp_path: Path) -> None:
    count = """const count = () => [...document.querySelectorAll(".lineage .row[id]")].filter(
      (row) => row.checkVisibility()).length;"""
    before, after, every = asked(
        pages["ancestors"],
        tmp_path,
        count + "const before = count(); document.querySelectorAll('summary.row').forEach((each) => each.click());"
        "return [before, count(), document.querySelectorAll('.lineage .row[id]').length];",
    )
    assert after == every
    assert before < 60
    assert before < after or every == 3


def test_search_shows_the_snapshots_whose_notes_labels_and_ids_have_every_word(
    pages: dict[str, str], tmp_path: Path
) -> None:
    script = """
    const type = (text) => {
      search.value = text;
      search.dispatchEvent(new Event("input"));
      return [rows.filter((row) => row.checkVisibility()).map((row) => row.cells[0].textContent),
        document.querySelector("#shown").textContent];
    };
    return [type("NIGHT a1"), type("no such word"), type(""), type(rows[0].querySelector(".id").textContent),
      type(rows[0].cells[1].textContent)];
    """
    (night, _), (nothing, said), (everything, _), (one, _), (dated, _) = asked(pages["report"], tmp_path, script)
    assert night
    assert all("night" in text and "a1" in text for text in night)
    assert (nothing, said) == ([], f"0 of {len(everything)} shown")
    assert len(one) == len(dated) == 1


def test_a_click_on_a_column_sorts_and_another_turns_the_order(pages: dict[str, str], tmp_path: Path) -> None:
    script = """
    const sorted = (header) => {
      header.querySelector("button").click();
      const values = [...table.tBodies[0].rows].map((row) => row.cells[header.cellIndex].dataset.value);
      return [header.dataset.text !== undefined, header.getAttribute("aria-sort"), values,
        table.querySelectorAll("[aria-sort]").length];
    };
    return [...table.tHead.rows[0].cells].slice(1).flatMap((header) => [sorted(header), sorted(header)]);
    """
    orders = []
    for is_text, order, values, marked in asked(pages["report"], tmp_path, script):
        kind = str if is_text else float
        assert list(map(kind, values)) == sorted(map(kind, values), reverse=order == "descending")
        assert marked == 1
        orders.append(order)
    assert [{*orders[first : first + 2]} for first in range(0, 10, 2)] == [{"ascending", "descending"}] * 5
