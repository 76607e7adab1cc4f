"""The progress line: its content, when it is drawn, and that it is erased."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from snapdir.cli import render
from snapdir.cli.figures import Field, Glyphs, Speed, fields, fit, status_line
from snapdir.model.sizes import MIB
from snapdir.transfer.engine.estimate import Reading
from snapdir.transfer.engine.events import Counters

from .conftest import ID, on_terminal, program

UTF8 = Glyphs.of("utf-8")
ASCII = Glyphs.of("ANSI_X3.4-1968")

SLOW = f"""
import anyio, snapdir
async def busy(*args, counters, **options):
    counters.phase = "discovering"
    for _ in range(5):
        counters.files_total += 10
        counters.bytes_total += 10_000_000
        await anyio.sleep(0.05)
    counters.phase = "transfer"
    counters.total_is_final = True
    for _ in range(10):
        counters.files_done += 5
        counters.bytes_done += 5_000_000
        counters.bytes_sent += 5_000_000
        counters.objects_sent += 5
        await anyio.sleep(0.05)
    counters.warnings.append("careful")
    if "announce" in options:
        await anyio.to_thread.run_sync(options["announce"], "{ID}")
    return "{ID}"
snapdir.push = snapdir.id = busy
"""
QUICK = f"""
import snapdir
async def quick(*args, counters, announce, **options):
    counters.files_total = counters.files_done = counters.objects_sent = 1
    announce("{ID}")
    return "{ID}"
snapdir.push = quick
"""
PUSH = ("push", "--store", "./s", "x")
DRAWS = re.compile("[\x1b\r](?!\n)")


UNKNOWN = Reading(None, None)


def texts(counters: Counters, reading: Reading = UNKNOWN, *, speed: float = 0.0, glyphs: Glyphs = UTF8) -> list[str]:
    return [field.text for field in fields(counters, reading, speed, glyphs, bar_cells=10)]


def test_while_discovering_there_is_no_total() -> None:
    counters = Counters(phase="discovering", files_total=1234, bytes_total=3 * MIB)
    assert texts(counters) == ["discovering", "1,234 files", "3.00 MiB"]


def test_with_a_final_total_there_are_part_bar_rate_and_time_left() -> None:
    counters = Counters("transfer", 40, 10 * MIB, True, 10, 4 * MIB, bytes_sent=4 * MIB)
    shown = texts(counters, Reading(0.4, 3.2), speed=2 * MIB)
    assert shown == [
        "sending",
        " 40%",
        "━━━━──────",
        "10/40 files",
        "4.00 MiB/10.0 MiB",
        "↑2.00 MiB/s",
        "eta 0:03",
    ]
    plain = texts(counters, Reading(0.4, 3.2), speed=2 * MIB, glyphs=ASCII)
    assert (plain[2], plain[5]) == ("####------", "up 2.00 MiB/s")
    assert status_line(counters, Reading(0.4, 3.2), 2 * MIB) == (
        "sending 40%, 10/40 files, 4.00 MiB/10.0 MiB, 2.00 MiB/s, eta 0:03"
    )


def test_there_is_no_eta_while_it_is_not_known() -> None:
    counters = Counters("hashing", 40, 10 * MIB, True, 10, 4 * MIB)
    assert texts(counters, Reading(0.4, None), speed=MIB)[-1] == "1.00 MiB/s"
    assert "eta" not in status_line(counters, Reading(0.4, None), MIB)


def test_downloads_point_down_and_files_count_where_there_are_no_bytes() -> None:
    assert "↓1.00 MiB/s" in texts(Counters("transfer", bytes_done=1, bytes_received=1), speed=MIB)
    assert texts(Counters("hashing", 40, 0, True, 10), Reading(0.25, 15))[1:] == [
        " 25%",
        "━━────────",
        "10/40 files",
        "eta 0:15",
    ]


@pytest.mark.parametrize(
    ("counters", "activity"),
    [
        (Counters(), "starting"),
        (Counters("discovering", 9), "discovering"),
        (Counters("discovering", 9, files_done=1), "hashing"),
        (Counters("hashing", 9), "hashing"),
        (Counters("transfer", 9, 9, True), "fetching"),
        (Counters("transfer", 9, 9, True, bytes_sent=1), "sending"),
        (Counters("checkout", 9, 9, True), "writing"),
        (Counters("checkout", 9, 9, True, bytes_received=1), "fetching"),
        (Counters("verify", 9, 9, True), "verifying"),
        (Counters("discovering", 9, pushes=True), "discovering"),
        (Counters("discovering", 9, files_done=1, pushes=True), "hashing"),
        (Counters("hashing", 9, 9, True, 3, bytes_to_send=5, pushes=True), "hashing and sending"),
        (Counters("hashing", 9, 9, True, 9, 9, bytes_to_send=5, pushes=True), "sending"),
        (Counters("hashing", 9, 9, True, 9, 9, bytes_to_send=5, pushes=True, settled_files=9), "finishing"),
        (Counters("hashing", 9, 9, True, 9, 9, bytes_to_send=5, pushes=True, settled_files=9, at_work=1), "sending"),
    ],
)
def test_the_activity_is_what_is_going_on(counters: Counters, activity: str) -> None:
    assert counters.activity == activity
    assert texts(counters)[0] == activity


def test_a_push_counts_what_the_store_has() -> None:
    counters = Counters("hashing", 6, 10 * MIB, True, 6, 10 * MIB, bytes_to_send=4 * MIB, pushes=True)
    counters.settled_files, counters.settled_bytes = 4, 7 * MIB
    assert texts(counters, Reading(0.7, None))[3:] == ["4/6 files", "7.00 MiB/10.0 MiB"]


def test_before_anything_is_known_the_line_says_no_more_than_that() -> None:
    assert texts(Counters()) == ["starting"]
    assert status_line(Counters(), UNKNOWN, 0.0) == "starting"


@pytest.mark.parametrize(
    "counters",
    [
        Counters("hashing"),
        Counters("transfer", total_is_final=True),
        Counters("verify", 3, 0, True),
        Counters("verify", 1, 0, True, 1),
        Counters("transfer", 1, 10, True, 2, 50),
        Counters("transfer", 1, 10, True, 0, -5),
    ],
)
def test_odd_counts_are_shown_too(counters: Counters) -> None:
    assert 0 < len(" ".join(texts(counters, Reading(1.0, 0.0), speed=1.0))) < 100


def test_a_narrow_terminal_drops_the_least_needed_first() -> None:
    pieces = [Field("phase"), Field("files"), Field("bar", sacrifice=1), Field("bytes", sacrifice=2)]
    assert [piece.text for piece in fit(pieces, 20)] == ["phase", "files", "bar"]
    assert [piece.text for piece in fit(pieces, 12)] == ["phase", "files"]
    assert [piece.text for piece in fit(pieces, 3)] == ["phase", "files"]


def test_speed_looks_back_five_seconds() -> None:
    speed = Speed()
    assert speed.per_second(0.0, 0) == 0.0
    assert speed.per_second(2.0, 100) == 50.0
    assert speed.per_second(100.0, 100) == 0.0
    assert speed.per_second(101.0, 60) == 0.0  # bytes are taken back when a part is sent again


def test_speed_starts_again_with_a_new_phase() -> None:
    speed = Speed()
    speed.per_second(0.0, 1000)
    assert speed.per_second(1.0, 0) == 0.0
    assert speed.per_second(2.0, 100) == 100.0


@pytest.mark.parametrize(
    ("counters", "line"),
    [
        (Counters(objects_sent=3, bytes_sent=2 * MIB), "sent 3 object(s), 2.00 MiB, 2.0 s (1.00 MiB/s)"),
        (Counters(objects_skipped=1000), "sent 0 object(s), 0 B, 1,000 already there, 2.0 s"),
        (Counters(objects_received=1, bytes_received=MIB), "received 1 object(s), 1.00 MiB, 2.0 s (512 KiB/s)"),
        (Counters(files_done=5, bytes_done=MIB), "5 file(s), 1.00 MiB, 2.0 s (512 KiB/s)"),
    ],
)
def test_the_summary_is_one_line_of_figures(counters: Counters, line: str) -> None:
    assert render.summary(counters, 2.0) == line


def test_a_verb_that_did_nothing_has_no_figures() -> None:
    assert render.summary(Counters(), 2.0) == ""


def test_a_check_says_how_much_it_has_read() -> None:
    counters = Counters("verify", 1000, MIB, True, 1000, MIB, bytes_received=MIB)
    assert render.verified(counters, 2.0) == "verified 1,000 object(s), 1.00 MiB, 2.0 s (512 KiB/s)"


def test_verify_says_so_on_a_terminal_and_nothing_elsewhere(isolated: Path) -> None:
    (isolated / "current" / "tree").mkdir()
    (isolated / "current" / "tree" / "a").write_bytes(b"a")
    pushed = program("push", "--store", "./s", "tree").stdout.strip()
    asked = ("verify", "--store", "./s", "--id", pushed)
    screen = on_terminal(*asked, "--no-progress")
    assert re.fullmatch(r"verified 1 object\(s\), 1 B, \d\.\d s( \(.*/s\))?\r\n", screen.drawn)
    assert (program(*asked).stdout, program(*asked).stderr) == ("", "")
    assert on_terminal(*asked, "-q").drawn == ""


def test_a_terminal_sees_discovery_then_the_true_total_and_then_nothing_of_it() -> None:  # PRG-04, PRG-05, PRG-06
    screen = on_terminal(*PUSH, patch=SLOW)
    assert (screen.code, screen.stdout) == (0, f"{ID}\n".encode())
    frames = screen.frames
    phases = [word for frame in frames for word in ("discovering", "sending", "fetching") if word in frame]
    assert phases == sorted(phases, key=["discovering", "fetching", "sending"].index)
    assert {"discovering", "sending"} <= set(phases)
    counted = [int(found[1]) for frame in frames if (found := re.search(r"(\d+)/50 files", frame))]
    assert counted
    assert counted == sorted(counted)
    left = re.sub(r"\x1b\[[0-9;]*m", "", frames[-1]).replace("\r", "")
    assert re.fullmatch(r"warning: careful\nsent 50 object\(s\), 47\.7 MiB, \d\.\d s \(.* MiB/s\)\n", left)


def test_frames_fit_the_terminal() -> None:
    for columns in (20, 60):
        for frame in on_terminal("id", "x", patch=SLOW, columns=columns).frames[:-1]:
            assert len(re.sub(r"\x1b\[[0-9;]*m", "", frame)) < columns


def test_without_color_and_without_unicode_a_frame_is_plain_ascii() -> None:
    screen = on_terminal(*PUSH, patch=SLOW, env={"NO_COLOR": "1", "PYTHONIOENCODING": "ascii"})
    assert screen.frames
    assert "\x1b" not in "".join(screen.frames)
    assert screen.drawn.isascii()


@pytest.mark.parametrize("args", [["--no-progress"], ["-q"], ["--quiet", "--verbose"]], ids=" ".join)
def test_flags_draw_nothing_even_on_a_terminal(args: list[str]) -> None:  # PRG-07
    screen = on_terminal(*PUSH, *args, patch=SLOW)
    assert screen.stdout == f"{ID}\n".encode()
    assert "\x1b[2K" not in screen.drawn
    assert ("sent 50" in screen.drawn) == (args == ["--no-progress"])


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"SNAPDIR_NO_PROGRESS": "yes"}], ids=str)
def test_the_surroundings_can_forbid_drawing(env: dict[str, str]) -> None:
    assert "\x1b[2K" not in on_terminal(*PUSH, patch=SLOW, env=env).drawn


def test_a_verb_that_is_over_at_once_never_loads_rich() -> None:
    report = "import atexit, sys; atexit.register(lambda: print('rich' in sys.modules, file=sys.stderr))"
    patient = "import snapdir.cli.progress; snapdir.cli.progress.FIRST_FRAME_SECONDS = 30\n"  # a busy machine is slow
    screen = on_terminal(*PUSH, patch=QUICK + patient + report)
    assert re.fullmatch(r"sent 1 object\(s\), 0 B, \d\.\d s\r\nFalse\r\n", screen.drawn)


@pytest.mark.parametrize("args", [[], ["--verbose"], ["--no-progress"], ["--color", "auto"]], ids=" ".join)
def test_piped_output_has_no_control_characters(args: list[str]) -> None:  # PRG-01, PRG-02, PRG-03
    run = program(*PUSH, *args, patch=SLOW)
    assert run.stdout == f"{ID}\n"
    assert not DRAWS.search(run.stderr)


def test_a_store_that_is_at_work_is_named_while_nothing_moves() -> None:
    counters = Counters("hashing", 2, 5 * MIB, True, 2, 5 * MIB, bytes_to_send=5 * MIB, pushes=True)
    counters.settled_files, counters.settled_bytes = 1, 5 * MIB
    with counters.store_at_work():
        assert texts(counters, Reading(0.99, None)) == [
            "sending",
            " 99%",
            "━" * 9 + "─",
            "1/2 files",
            "5.00 MiB/5.00 MiB",
            "the store is processing 1 object",
        ]
        with counters.store_at_work():
            assert texts(counters)[-1] == "the store is processing 2 objects"
            assert status_line(counters, UNKNOWN, 0.0).endswith("the store is processing 2 objects")
        assert "at work" not in " ".join(texts(counters, speed=9.0))
    assert "at work" not in " ".join(texts(counters))
