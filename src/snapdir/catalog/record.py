"""One event of the history: a snapshot, its location and time, its predecessor and its sources."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, get_args

from snapdir.errors import CatalogError, InvalidId, InvalidOption
from snapdir.model.digest import SnapshotId

Event = Literal["push", "stage", "manifest"]

MAX_SOURCES = 1000
MAX_NOTE_CHARACTERS = 4000
MAX_LABELS = 64
MAX_LABEL_KEY_CHARACTERS = 100
MAX_LABEL_VALUE_CHARACTERS = 1000
MAX_LOCATION_CHARACTERS = 8192

AGES = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

_AGE = re.compile(r"([0-9]{1,6})([smhdw])", re.ASCII).fullmatch
_RECORD_ID = re.compile(r"[0-9a-f]{8,64}").fullmatch
_TIMESTAMP = "%Y-%m-%d %H:%M:%S.%f"
_TIMESTAMP_SHAPE = re.compile(
    r"(19[7-9]|2[0-9]{2})[0-9]-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}"
).fullmatch


@dataclass(frozen=True, slots=True)
class Provenance:
    """The origin of a snapshot, as described by its user. Not part of its id.

    Attributes:
        derived_from: Ids of the snapshots it was derived from, up to 1,000.
        note: Free text, up to 4,000 characters.
        labels: Pairs of key and value, each key once; up to 64, of 100 and 1,000 characters.

    Raises:
        CatalogError: more or longer than that, or text that is not Unicode.
    """

    derived_from: tuple[str, ...] = ()
    note: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        if len(self.derived_from) > MAX_SOURCES:
            raise CatalogError(f"derived_from has {len(self.derived_from)} ids; at most {MAX_SOURCES} are allowed")
        if self.note is not None:
            _check_text("the note", self.note, MAX_NOTE_CHARACTERS)
        if len(self.labels) > MAX_LABELS:
            raise CatalogError(f"a snapshot has {len(self.labels)} labels; at most {MAX_LABELS} are allowed")
        for key, value in self.labels:
            _check_label(key, value)
        if len(dict(self.labels)) < len(self.labels):
            raise CatalogError("a label is given twice")

    def __bool__(self) -> bool:
        return bool(self.derived_from or self.note is not None or self.labels)


@dataclass(frozen=True, slots=True)
class Record:
    """One event. ``record_id`` makes it unique, wherever it is copied to.

    Attributes:
        record_id: Hex digits.
        id: The snapshot.
        location: A store's URL in its normal form, or an absolute directory.
        created_at: ``YYYY-MM-DD HH:MM:SS.mmm``, UTC.
        previous_id: The latest snapshot at ``location`` before; None without one. Equal to ``id`` if only the
            provenance is new.
        derived_from, note, labels: See ``Provenance``.
    """

    record_id: str
    event: str
    id: str
    location: str
    created_at: str
    previous_id: str | None
    derived_from: tuple[str, ...] = ()
    note: str | None = None
    labels: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """Compact JSON of all fields in their order, on one line; empty ones are left out."""
        fields: dict[str, Any] = {
            "record_id": self.record_id,
            "event": self.event,
            "id": self.id,
            "location": self.location,
            "created_at": self.created_at,
            "previous_id": self.previous_id,
        }
        return compact_json(fields | self.provenance_fields())

    def provenance_fields(self) -> dict[str, Any]:
        """``derived_from``, ``note`` and ``labels`` as JSON values, without empty ones."""
        given = {"derived_from": list(self.derived_from), "note": self.note, "labels": dict(self.labels)}
        return {name: value for name, value in given.items() if value not in (None, [], {})}

    @classmethod
    def from_json(cls, text: str | bytes) -> Record:
        """The record in ``text``, which is not trusted. Unknown fields are dropped.

        Raises:
            CatalogError: not a valid record.
        """
        try:
            return _checked(json.loads(text))
        except (CatalogError, InvalidId, ValueError, RecursionError) as error:
            raise CatalogError(f"not a history record: {error}") from error


def new_record(
    event: Event,
    snapshot_id: str,
    location: str,
    *,
    previous_id: str | None = None,
    provenance: Provenance | None = None,
    created_at: str | None = None,
) -> Record:
    """A record of an event, with a new id."""
    provenance = provenance or Provenance()
    return Record(
        record_id=os.urandom(16).hex(),
        event=event,
        id=str(snapshot_id),
        location=location,
        created_at=created_at or timestamp(datetime.now(UTC)),
        previous_id=previous_id,
        derived_from=tuple(map(str, provenance.derived_from)),
        note=provenance.note,
        labels=provenance.labels,
    )


def timestamp(moment: datetime) -> str:
    """``moment`` in the form of the history: UTC, with milliseconds; texts sort like times."""
    return moment.astimezone(UTC).strftime(_TIMESTAMP)[:-3]


def parse_moment(text: str, *, now: datetime) -> datetime:
    """The moment that ``--since`` means, in UTC: an age (``7d``; s, m, h, d, w), or an ISO 8601 date, also with a time.

    Raises:
        InvalidOption: neither.
    """
    age = _AGE(text.strip())
    try:
        if age:
            return now - timedelta(**{AGES[age[2]]: int(age[1])})
        moment = datetime.fromisoformat(text.strip())
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise InvalidOption(
            f"invalid --since '{text}': expected a date (2026-11-30, 2026-11-30T12:00) or an age (7d, 12h)"
        ) from None


def compact_json(value: Any) -> str:
    """JSON without blanks, as text of any language: only quotes, backslashes and control characters are escaped."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _checked(fields: Any) -> Record:
    """The record of decoded fields, after every check."""
    if not isinstance(fields, dict):
        raise CatalogError("not a JSON object")
    previous = fields.get("previous_id")
    provenance = Provenance(
        derived_from=tuple(_snapshot_id(source) for source in _typed(fields, "derived_from", list, [])),
        note=_typed(fields, "note", str, None),
        labels=tuple(_typed(fields, "labels", dict, {}).items()),
    )
    event = _typed(fields, "event", str, "")
    if event not in get_args(Event):
        raise CatalogError(f"unknown event: {event[:80]!r}")
    location = _typed(fields, "location", str, "")
    if not location:
        raise CatalogError("it has no location")
    _check_text("the location", location, MAX_LOCATION_CHARACTERS)
    return Record(
        record_id=_matching(fields, "record_id", _RECORD_ID),
        event=event,
        id=_snapshot_id(fields.get("id")),
        location=location,
        created_at=_moment(fields),
        previous_id=None if previous is None else _snapshot_id(previous),
        derived_from=provenance.derived_from,
        note=provenance.note,
        labels=provenance.labels,
    )


def _typed(fields: Mapping[str, Any], name: str, kind: type, default: Any) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise CatalogError(f"{name} is of the wrong type")
    return value


def _matching(fields: Mapping[str, Any], name: str, matches: Any) -> str:
    value: str = _typed(fields, name, str, "")
    if not matches(value):
        raise CatalogError(f"{name} is invalid: {value[:80]!r}")
    return value


def _moment(fields: Mapping[str, Any]) -> str:
    value = _matching(fields, "created_at", _TIMESTAMP_SHAPE)
    datetime.strptime(value, _TIMESTAMP)  # noqa: DTZ007  # only whether there is such a day and hour
    return value


def _snapshot_id(value: Any) -> str:
    if not isinstance(value, str):
        raise CatalogError("an id is of the wrong type")
    return str(SnapshotId(value))


def _check_label(key: Any, value: Any) -> None:
    if not isinstance(key, str) or not isinstance(value, str):
        raise CatalogError("keys and values of labels are text")
    if not key:
        raise CatalogError("a label has no key")
    _check_text(f"the key of the label {key[:80]!r}", key, MAX_LABEL_KEY_CHARACTERS)
    _check_text(f"the label {key!r}", value, MAX_LABEL_VALUE_CHARACTERS)


def _check_text(name: str, text: str, max_characters: int) -> None:
    if len(text) > max_characters:
        raise CatalogError(f"{name} has {len(text):,} characters; {max_characters:,} are allowed")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CatalogError(f"{name} is not Unicode text") from error
