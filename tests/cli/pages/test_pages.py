"""The pages as text: text from users is escaped, nothing is loaded, and only the page's own script runs."""

from __future__ import annotations

import base64
import hashlib
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

import snapdir
from snapdir.catalog.graph import Edge, Graph, Node
from snapdir.cli.pages import report as report_module
from snapdir.cli.pages.lineage import lineage_page
from snapdir.cli.pages.report import MAX_NOTE_CHARACTERS, MAX_PATH_CHARACTERS, MAX_SNAPSHOTS, report_page
from snapdir.errors import InvalidManifest
from snapdir.model.entry import Entry

HOSTILE = (
    "</title></style></script></svg></td></details><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "<!--",
    "]]> -->",
    "$title ${body} $",
    "&lt;b&gt; &amp; &#0;",
    "javascript:alert(1)",
    "two\nlines\r\x1b[31m\x00",
    "right\N{RIGHT-TO-LEFT OVERRIDE}left \udcff",
)
VOID = ("meta", "br", "input", "circle", "line", "path")


def id_of(number: int) -> str:
    return f"{number:064x}"


def graph_with(text: str) -> Graph:
    return Graph(
        id_of(1),
        (Node(id_of(1), "2026-11-01 10:00:00.000", (text, text), text, ((text, text),)), Node(id_of(2))),
        (Edge(id_of(2), id_of(1), "derived"),),
    )


def report_with(text: str, *, count: int = 2, changes: int = 1) -> snapdir.StoreReport:
    entry = Entry("F", "644", "ab" * 32, 5, f"./{text}")
    listed = (
        snapdir.DiffEntry("A", entry.path, None, None, entry),
        snapdir.DiffEntry("M", entry.path, None, entry, entry),
    )
    snapshots = [
        snapdir.ReportedSnapshot(
            id_of(number),
            "2026-11-01 10:00:00.000",
            text,
            ((text, text),),
            (text,),
            files=3,
            size_bytes=10,
            new_bytes=5,
            changes=snapdir.SnapshotChanges(id_of(number + 1), changes, 0, 1, 10, 5, listed),
        )
        for number in range(count)
    ]
    snapshots.append(snapdir.ReportedSnapshot(id_of(count), "", text, (), ()))
    edges = (Edge(id_of(1), id_of(0), "history"), Edge(id_of(999_999), id_of(0), "derived"))
    damaged = ((id_of(count), InvalidManifest(text)),)
    total = snapdir.SizeStats(20, 10, 6, 2)
    return snapdir.StoreReport(f"s3://{text}", "2026-11-02 10:00:00.000", tuple(snapshots), total, edges, damaged)


class Reader(HTMLParser):
    """What a browser would see: elements with their attributes, and the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        else:
            self.text += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


ELEMENTS = {
    "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "code", "ul", "li", "svg", "g", "line",
    "path", "circle", "div", "span", "a", "details", "summary", "small", "dl", "dt", "dd", "figure", "figcaption", "i",
    "input", "table", "thead", "tbody", "tr", "th", "td", "button", "script",
}  # fmt: skip


def pages_with(text: str) -> tuple[str, str]:
    return lineage_page(graph_with(text), backward=True), report_page(report_with(text))


def shape(page: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(attributes)) for tag, attributes in read(page).elements]


@given(st.sampled_from(HOSTILE) | st.text(max_size=40))
def test_a_page_holds_no_element_attribute_or_address_but_its_own(text: str) -> None:
    for page, plain in zip(pages_with(text or "x"), pages_with("x"), strict=True):
        assert shape(page) == shape(plain)
        for tag, attributes in read(page).elements:
            assert tag in ELEMENTS
            assert not any(name.startswith("on") for name in attributes)
            assert (attributes.get("href") or "#").startswith("#")
            assert not {"src", "srcset", "action", "data", "xlink:href"} & set(attributes)


def policy(page: str) -> str | None:
    (found,) = [values["content"] for tag, values in read(page).elements if values.get("http-equiv")]
    return found


@pytest.mark.parametrize("backward", [True, False])
def test_the_page_of_a_lineage_forbids_itself_to_load_or_run_anything(backward: bool) -> None:
    page = lineage_page(graph_with(""), backward=backward)
    assert policy(page) == "default-src 'none'; style-src 'unsafe-inline'"
    assert read(page).scripts == []


def test_the_page_of_a_store_runs_its_own_script_alone() -> None:
    page = report_page(report_with("</script><script>alert(1)</script>"))
    (script,) = read(page).scripts
    checksum = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy(page) == f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{checksum}'"
    assert "alert" not in script


def test_no_page_names_another_address() -> None:
    for page in pages_with("plain"):
        assert "http:" not in page
        assert "https:" not in page
        assert "@import" not in page
        assert "url(" not in page


def test_the_page_of_a_lineage_has_long_notes_and_all_ids_whole() -> None:
    note = "a very long note " * 20
    text = read(lineage_page(graph_with(note), backward=True)).text
    assert note in text
    assert id_of(1) in text
    assert id_of(2) in text


def test_a_report_names_what_is_damaged() -> None:
    text = read(report_page(report_with("bad line"))).text
    assert f"1 damaged snapshot\n{id_of(2)}: {InvalidManifest('bad line')}" in text


def test_a_report_of_an_empty_store_says_so_and_runs_nothing() -> None:
    empty = snapdir.StoreReport("s3://b", "2026-11-02 10:00:00.000", (), snapdir.SizeStats(0, 0, 0, 0), (), ())
    page = report_page(empty)
    assert "No snapshots" in read(page).text
    assert read(page).scripts == []


def test_a_page_says_how_many_changes_it_leaves_out_and_how_to_see_them() -> None:
    text = read(report_page(report_with("file", changes=1234))).text
    assert "+1,234 ~1 files" in text
    assert f"and 1,233 more: snapdir diff s3://file@{id_of(1)[:12]} s3://file@{id_of(0)[:12]}" in text


def test_what_a_page_embeds_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    longest = "n" * 4000
    page = report_page(report_with(longest, count=MAX_SNAPSHOTS + 500, changes=50))
    assert f"The newest {MAX_SNAPSHOTS:,} are listed, and drawn below; 501 older ones are left out." in page
    assert "Relations to snapshots that are left out" not in page
    assert page.count(longest) == 2  # the store, as title and as heading
    assert "n" * (MAX_NOTE_CHARACTERS + 1) not in page.replace(longest, "")
    assert f"./{'n' * MAX_PATH_CHARACTERS}" not in page
    assert len(page) < 4_000_000
    monkeypatch.setattr(report_module, "MAX_SNAPSHOTS", 1)
    page = report_page(report_with("x", count=100))
    assert "Relations to snapshots that are left out: 1<" in page
    assert len(page) < 20_000
