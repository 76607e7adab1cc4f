"""What the counters of a verb tell a display."""

from __future__ import annotations

from snapdir.transfer.engine.events import Counters


def test_a_push_shows_what_the_store_has_taken_once_every_file_is_hashed() -> None:
    counters = Counters(phase="hashing", files_total=2, bytes_total=9, total_is_final=True, bytes_done=9)
    counters.bytes_to_send, counters.bytes_taken = 7, 3
    counters.files_done = 1
    assert counters.stage == ("hashing", 9, 9)
    counters.files_done = 2
    assert counters.stage == ("transfer", 3, 7)
    counters.bytes_taken = 7
    assert counters.stage == ("hashing", 9, 9)
    with counters.store_at_work():
        assert counters.stage == ("transfer", 7, 7)
