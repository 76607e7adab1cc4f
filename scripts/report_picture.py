"""Draw ``docs/report.png``: the page of ``snapdir report`` for an invented store.

    .venv/bin/python scripts/report_picture.py [--html FILE]

Needs Chromium. The picture changes only with the page and the fonts.
"""

from __future__ import annotations

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

from chromium import opened
from lineage_picture import id_of

import snapdir
from snapdir.catalog.graph import Edge
from snapdir.cli.pages.report import report_page
from snapdir.model.sizes import GIB, MIB

PICTURE = Path(__file__).parents[1] / "docs" / "report.png"
WIDTH, HEIGHT = 1100, 900

STORE = "s3://lab/datasets"
WEEKLY = 12
TEXT = "./pages/shard-{:05d}.jsonl"


def pushed(number: int) -> tuple[str, int, int, int]:
    """The note of a push, its files, and its bytes: in all, and new ones."""
    if number == 0:
        return "first export", 1024, 40 * GIB, 40 * GIB
    if number == 5:
        return "near duplicates removed", 900, 35 * GIB, 21 * GIB
    files = 1024 + 16 * number if number < 5 else 820 + 16 * number
    return f"export of week {number + 9}", files, files * 40 * MIB, 16 * 40 * MIB + number * 120 * MIB


def snapshot(number: int) -> snapdir.ReportedSnapshot:
    """One push a week."""
    note, files, size, new = pushed(number)
    before = pushed(number - 1) if number else ("", 0, 0, 0)
    entry = snapdir.ManifestEntry("F", "644", id_of(str(number)), 40 * MIB, TEXT.format(files))
    changes = snapdir.SnapshotChanges(
        previous_id=id_of(f"week {number - 1}") if number else None,
        added=max(files - before[1], 0),
        removed=max(before[1] - files, 0),
        modified=3 * number,
        bytes_added=new,
        bytes_removed=max(before[2] - size, 0) + 3 * number * 38 * MIB,
        listed=(snapdir.DiffEntry("A", entry.path, None, None, entry),),
    )
    names = ("latest-good",) if number == WEEKLY - 2 else ()
    labels = (("pages", f"{files / 850:.1f}M"),)
    moment = f"2026-{3 + number // 4:02d}-{2 + number % 4 * 7:02d} 09:14:00.000"
    return snapdir.ReportedSnapshot(id_of(f"week {number}"), moment, note, labels, names, files, size, new, changes)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--html", type=Path, metavar="FILE", help="keep the page as well")
    keep = parser.parse_args().html
    snapshots = tuple(snapshot(number) for number in reversed(range(WEEKLY)))
    sizes = [[value or 0 for value in (one.size_bytes, one.new_bytes, one.files)] for one in snapshots]
    logical, physical, files = map(sum, zip(*sizes, strict=True))
    edges = tuple(Edge(earlier.id, later.id, "history") for later, earlier in pairwise(snapshots))
    total = snapdir.SizeStats(logical, physical, files, files // 4)
    report = snapdir.StoreReport(STORE, "2026-05-24 09:20:00.000", snapshots, total, edges, ())
    with tempfile.TemporaryDirectory() as folder:
        file = keep or Path(folder) / "report.html"
        file.write_text(report_page(report))
        opened(file, picture=PICTURE, width=WIDTH, height=HEIGHT)
    print(PICTURE)


if __name__ == "__main__":
    main()
