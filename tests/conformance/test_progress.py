"""PRG: the progress line, and where there is none."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.conftest import on_terminal
from tests.conformance.harness import Shell, case, plant

COUNT = re.compile(r"(\d[\d,]*)/(\d[\d,]*) files")
MANY = 2000
AT_ONCE = """
import snapdir.cli.progress as progress
progress.FIRST_FRAME_SECONDS, progress.FRAME_SECONDS = 0, 0.001
"""
EVERY_STEP = (
    AT_ONCE
    + """
import threading
import snapdir.transfer.engine.events as events
drawn = threading.Event()
write = progress.ProgressLine._write
def telling(self, text):
    write(self, text)
    drawn.set()
progress.ProgressLine._write = telling
class Watched(events.Counters):
    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if value not in (0, "idle") and name in ("phase", "files_done"):
            drawn.clear()
            drawn.wait(5)
events.Counters = Watched
"""
)
"""Makes a run wait at each step of its counters until the line has shown it."""


@pytest.fixture
def many(place: Path) -> Path:
    """Enough files for several frames."""
    return plant(place / "many", {f"{number % 7}/{number}": f"{number}" for number in range(MANY)})


@case("PRG-01")
def test_piped_output_is_data_and_nothing_else(sh: Shell, src: Path, store: str, place: Path) -> None:
    pushed = sh.program("push", "--store", store, src)
    pull = ["pull", "--store", store, "--id", pushed.value, place / "out"]
    sync = ["sync", "--id", pushed.value, "--from", store, "--to", f"file://{place}/copy"]
    pulled, synced = sh.program(*pull), sh.program(*sync)
    assert pushed.out == synced.out == f"{sh.id(src)}\n"
    assert pulled.out == ""
    for done in (pushed, pulled, synced):
        assert not set("\x1b\r") & set(done.out + done.err)


@case("PRG-02")
@pytest.mark.parametrize("flags", [["--no-progress"], ["--quiet"], ["--color", "never"], ["--verbose", "--quiet"]])
def test_no_flag_adds_output_to_a_pipe(flags: list[str], sh: Shell, src: Path, store: str) -> None:
    done = sh.program("push", *flags, "--store", store, src)
    assert done.value == sh.id(src)
    assert "\x1b" not in done.err
    assert "transfers:" not in done.err


@case("PRG-03")
@pytest.mark.parametrize("flags", [["--no-progress"], ["-q"], ["--verbose"], ["--color", "always"]])
def test_progress_flags_do_not_change_the_data(flags: list[str], sh: Shell, src: Path, store: str) -> None:
    for args in (["id"], ["manifest"], ["push", "--store", store]):
        assert sh.ok(*args, *flags, src).stdout == sh.ok(*args, src).stdout


@case("PRG-04")
def test_a_progress_line_is_drawn_on_a_terminal(src: Path, store: str, sh: Shell) -> None:
    screen = on_terminal("push", "--store", store, str(src), patch=EVERY_STEP)
    assert screen.code == 0
    assert "\x1b[2K" in screen.drawn
    assert screen.stdout.decode() == f"{sh.id(src)}\n"


@case("PRG-05")
def test_discovery_is_shown_before_a_percentage(many: Path) -> None:
    frames = on_terminal("id", str(many), patch=EVERY_STEP).frames
    first = next(number for number, frame in enumerate(frames) if "discovering" in frame)
    shares = [number for number, frame in enumerate(frames) if COUNT.search(frame)]
    assert shares
    assert first < shares[0]


@case("PRG-06")
def test_hashing_counts_up_to_the_number_of_files(many: Path) -> None:
    drawn = on_terminal("id", str(many), patch=EVERY_STEP).drawn.replace(",", "")
    counted = [(int(done), int(total)) for done, total in COUNT.findall(drawn)]
    assert {total for _, total in counted} == {MANY}
    assert counted == sorted(counted)
    assert counted[-1][0] == MANY


@case("PRG-06")
@pytest.mark.parametrize("tree", [{}, {"one": "1"}])
def test_small_trees_draw_a_progress_line(tree: dict[str, str], sh: Shell, place: Path) -> None:
    planted = plant(place / "small", tree)
    screen = on_terminal("id", str(planted), patch=EVERY_STEP)
    assert screen.code == 0
    assert screen.stdout.decode() == f"{sh.id(planted)}\n"


@case("PRG-07")
@pytest.mark.parametrize("flag", ["--no-progress", "--quiet"])
def test_nothing_is_drawn_if_progress_is_off(flag: str, src: Path) -> None:
    screen = on_terminal("id", flag, str(src), patch=AT_ONCE)
    assert (screen.code, screen.drawn) == (0, "")
