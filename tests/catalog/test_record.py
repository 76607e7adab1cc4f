"""Records are read back as written, and nothing else is accepted as a record."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snapdir.catalog.record import Provenance, Record, new_record, timestamp
from snapdir.errors import CatalogError

A, B, C = ("a" * 64, "b" * 64, "c" * 64)
MOMENT = "2026-06-01 10:00:02.250"
PLAIN = Record("0" * 32, "push", B, "file:///st", MOMENT, A)

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
provenances = st.builds(
    Provenance,
    derived_from=st.lists(st.sampled_from([A, B, C]), max_size=3).map(tuple),
    note=st.none() | texts,
    labels=st.dictionaries(texts.filter(bool), texts, max_size=3).map(lambda labels: tuple(labels.items())),
)


def changed(**fields: object) -> str:
    return json.dumps({**json.loads(PLAIN.to_json()), **fields})


@given(provenances, st.none() | st.just(A))
def test_a_record_is_what_is_read_from_its_text(provenance: Provenance, previous: str | None) -> None:
    record = new_record("stage", B, "/data/sets", previous_id=previous, provenance=provenance)
    assert Record.from_json(record.to_json()) == record
    assert Record.from_json(record.to_json().encode()) == record
    assert "\n" not in record.to_json()


def test_the_text_has_its_fields_in_order_and_nothing_empty() -> None:
    assert PLAIN.to_json() == (
        f'{{"record_id":"{"0" * 32}","event":"push","id":"{B}","location":"file:///st",'
        f'"created_at":"{MOMENT}","previous_id":"{A}"}}'
    )


def test_records_of_one_moment_differ() -> None:
    assert new_record("push", A, "/x").record_id != new_record("push", A, "/x").record_id


def test_times_are_utc_and_sorted_like_text() -> None:
    assert timestamp(datetime(2026, 6, 1, 10, 0, 2, 250_999, tzinfo=UTC)) == MOMENT


def test_unknown_fields_are_dropped() -> None:
    assert Record.from_json(changed(later="x")) == PLAIN


@pytest.mark.parametrize(
    "text",
    [
        "", "null", "[]", "{}", "[" * 100_000, b"\xff", changed(id="x"), changed(id=1), changed(id=None),
        changed(record_id="../../x"), changed(record_id="0" * 65), changed(event="drop"), changed(location=""),
        changed(location="x" * 9000), changed(created_at="2026-02-31 10:00:00.000"),
        changed(created_at="9999-12-31 10:00:00.000"), changed(created_at=MOMENT + "\n"), changed(previous_id="x"),
        changed(derived_from=A), changed(derived_from=[1]), changed(derived_from=[A] * 1001), changed(note=1),
        changed(note="x" * 4001), changed(note="\ud800"), changed(labels=[]), changed(labels={"k": 1}),
        changed(labels={"": "v"}), changed(labels={"k" * 101: "v"}), changed(labels={"k": "v" * 1001}),
        changed(labels={str(n): "" for n in range(65)}),
    ],
    ids=lambda text: str(text[:40]),
)  # fmt: skip
def test_what_is_no_record_is_refused_with_our_error(text: str | bytes) -> None:
    with pytest.raises(CatalogError, match="not a history record") as refused:
        Record.from_json(text)
    assert len(str(refused.value)) < 300


def test_a_label_has_one_value() -> None:
    with pytest.raises(CatalogError, match="twice"):
        Provenance(labels=(("k", "1"), ("k", "2")))
