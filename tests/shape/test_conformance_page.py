"""Every case of the checklist is tested, and docs/conformance.md says so."""

from __future__ import annotations

from scripts.conformance_page import PAGE, claims, known_cases, page, problems

CASES = 293


def test_every_case_has_a_test_and_every_test_a_case() -> None:
    assert problems() == []
    assert {claim.case for claim in claims()} == set(known_cases())
    assert len(known_cases()) == CASES


def test_the_page_is_what_would_be_generated() -> None:
    assert PAGE.read_text() == page(), "run scripts/conformance_page.py"
