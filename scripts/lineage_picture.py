"""Draw ``docs/lineage.png``: the page of ``snapdir ancestors --open-html`` for an invented model.

    .venv/bin/python scripts/lineage_picture.py [--html FILE]

Needs Chromium. The picture changes only with the page and the fonts.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from blake3 import blake3
from chromium import opened

from snapdir.catalog.graph import lineage_graph
from snapdir.catalog.lineage import ancestors
from snapdir.catalog.record import Record
from snapdir.cli.pages.lineage import lineage_page

PICTURE = Path(__file__).parents[1] / "docs" / "lineage.png"
WIDTH, HEIGHT = 840, 740

SETS, MODELS, TOKENIZERS = "s3://lab/datasets", "s3://lab/models", "s3://lab/tokenizers"


def id_of(name: str) -> str:
    """An id for an invented snapshot."""
    return blake3(name.encode()).hexdigest()


def recorded(
    name: str,
    moment: str,
    location: str,
    note: str,
    *,
    after: str | None = None,
    derived_from: tuple[str, ...] = (),
    labels: tuple[tuple[str, str], ...] = (),
) -> Record:
    """The record of one push."""
    return Record(
        record_id=id_of(f"record of {name}")[:32],
        event="push",
        id=id_of(name),
        location=location,
        created_at=f"{moment}:00.000",
        previous_id=after and id_of(after),
        derived_from=tuple(map(id_of, derived_from)),
        note=note,
        labels=labels,
    )


RECORDS = [
    recorded("v1", "2026-03-02 09:14", SETS, "first export", labels=(("pages", "1.2M"),)),
    recorded("v2", "2026-03-09 17:40", SETS, "near duplicates removed", after="v1", derived_from=("v1",)),
    recorded("tokenizer", "2026-03-10 11:05", TOKENIZERS, "32k merges", derived_from=("v2",)),
    recorded("v3", "2026-04-01 08:30", SETS, "export of March added", after="v2", labels=(("pages", "1.6M"),)),
    recorded("base", "2026-04-03 22:51", MODELS, "base", derived_from=("v2", "tokenizer"), labels=(("loss", "2.31"),)),
    recorded(
        "tuned",
        "2026-04-19 06:20",
        MODELS,
        "tuned on the new export",
        after="base",
        derived_from=("base", "v3", "tokenizer"),
        labels=(("loss", "2.07"), ("run", "a41")),
    ),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--html", type=Path, metavar="FILE", help="keep the page as well")
    keep = parser.parse_args().html
    model = id_of("tuned")
    graph = lineage_graph(model, ancestors(RECORDS, model), RECORDS, backward=True)
    with tempfile.TemporaryDirectory() as folder:
        file = keep or Path(folder) / "lineage.html"
        file.write_text(lineage_page(graph, backward=True))
        opened(file, picture=PICTURE, width=WIDTH, height=HEIGHT)
    print(PICTURE)


if __name__ == "__main__":
    main()
