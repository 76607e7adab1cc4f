"""The scale table: its trees, bars, pages, and the limits of the short run."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.measuring import run
from benchmarks.page_cache import dropper
from benchmarks.peers import Command
from benchmarks.places import filesystem
from benchmarks.results import Record, Run
from benchmarks.scale import traced_opens, trees
from benchmarks.scale.arithmetic import scaling_page
from benchmarks.scale.bars import BARS, BLAKE3, COMMANDS, Bar, Quantity, standings
from benchmarks.scale.lines import NO_SERVER
from benchmarks.scale.section import scale_pages, scale_section
from benchmarks.scale.short import FILES, LIMITS, complaints
from benchmarks.scale.trees import ManyFiles, OneFile
from tests.benchmarks.conftest import MakeRecord, timed
from tests.needed import needed

MiB = 1 << 20
TREE = ManyFiles("many", 25, 3)


def quiet(_: str) -> None:
    """Say nothing."""


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_tree_has_its_files_and_is_the_same_each_time(tmp_path: Path) -> None:
    one, other = (contents(trees.make(TREE, tmp_path / name, quiet)) for name in ("one", "other"))
    assert one == other
    assert sorted(one) == sorted(TREE.path(index) for index in range(25))
    assert len(set(one.values())) == 25
    assert {len(content) for content in one.values()} == {1024}


def test_a_sparse_tree_takes_no_room(tmp_path: Path) -> None:
    tree = ManyFiles("sparse", 10, 2, sparse=True)
    folder = trees.make(tree, tmp_path, quiet)
    files = [file for file in folder.rglob("*") if file.is_file()]
    assert [(file.stat().st_size, file.stat().st_blocks) for file in files] == [(1024, 0)] * 10


def test_one_file_of_holes_has_its_size(tmp_path: Path) -> None:
    (file,) = trees.make(OneFile("large", 256 * MiB), tmp_path, quiet).iterdir()
    assert file.stat().st_size == 256 * MiB
    assert file.stat().st_blocks * 512 < 8 * MiB


def test_exactly_the_named_files_change_and_the_tree_is_made_again(tmp_path: Path) -> None:
    before = contents(trees.make(TREE, tmp_path, quiet))
    changed = trees.change(TREE, tmp_path, 5, 1)
    after = contents(tmp_path / "many")
    assert len(changed) == 5
    assert {path for path in before if before[path] != after[path]} == set(changed)
    assert contents(trees.make(TREE, tmp_path, quiet)) == before


def test_opened_files_are_counted_in_a_trace() -> None:
    lines = [
        '7 openat(AT_FDCWD, "/t/d000001/00000001.bin", O_RDONLY|O_CLOEXEC) = 5\n',
        '7 openat(9, "00000002.bin", O_RDONLY|O_CLOEXEC <unfinished ...>\n',
        "7 <... openat resumed>)              = 5\n",
        '8 openat(AT_FDCWD, "/t/d000001", O_RDONLY|O_DIRECTORY) = 5\n',
        '8 openat(AT_FDCWD, "/t/gone.bin", O_RDONLY) = -1 ENOENT (No such file or directory)\n',
        '8 openat(AT_FDCWD, "/usr/lib/libz.so", O_RDONLY) = 5\n',
    ]
    assert traced_opens.opens_in(lines) == 2


def test_opens_of_threads_and_children_are_counted(tmp_path: Path) -> None:
    needed("strace")
    folder = trees.make(TREE, tmp_path, quiet)
    files = " ".join(f"'{folder / TREE.path(index)}'" for index in range(7))
    command = Command(("sh", "-c", f"cat {files} > /dev/null; (cat '{folder / TREE.path(8)}' > /dev/null)"))
    log = tmp_path / "log"
    outcome = run(traced_opens.traced(command, log), {"PATH": "/usr/bin:/bin"})
    assert outcome.returncode == 0, outcome.stderr
    assert traced_opens.count_opens(log) == 8


def test_every_bar_has_a_command() -> None:
    assert {bar.scenario for bar in BARS} == COMMANDS.keys()


def session(make_record: MakeRecord) -> Record:
    runs = [
        *timed("id", "ours", 9.0, peak_rss_bytes=300 * MiB, files=1_000_000),
        *timed("id", "reference", 10.0, files=1_000_000),
        *timed("id-again", "ours", 5.0, peak_rss_bytes=100 * MiB, files=1_000_000),
        *timed("id-100-changed", "ours", 3.0, opens=101, files=1_000_000),
        *timed("push", "ours", 80.0, cpu=60.0, peak_rss_bytes=410 * MiB, files=1_000_000),
        *timed("push-again", "ours", 6.0, requests={"HeadObject": 2}, files=1_000_000),
        Run("pull", "ours", 0, error="timed out after 900 s"),
    ]
    return make_record(*runs, profile="scale")


def verdicts(record: Record) -> dict[tuple[str, Quantity], str]:
    found = standings({run.scenario: record for run in record.runs})
    return {(each.bar.scenario, each.bar.quantity): each.verdict for each in found}


def test_bars_are_met_missed_failed_or_not_measured(make_record: MakeRecord) -> None:
    found = verdicts(session(make_record))
    assert found["id", Quantity.WALL] == "met"
    assert found["id-again", Quantity.WALL] == "missed"
    assert found["id-again", Quantity.RSS] == "met"
    assert found["id-100-changed", Quantity.OPENS] == "missed"
    assert found["push", Quantity.CPU_PER_FILE] == "met"
    assert found["push", Quantity.RSS] == "missed"
    assert found["push-again", Quantity.WALL] == "met"
    assert found["push-again", Quantity.REQUESTS] == "met"
    assert found["pull", Quantity.RSS] == "failed"
    assert found["id-5x", Quantity.RSS] == "not measured"


def test_a_ratio_needs_both_runs_in_one_session(make_record: MakeRecord) -> None:
    alone = make_record(*timed("id-again", "ours", 1.0, files=10), profile="scale")
    assert verdicts(alone)["id-again", Quantity.WALL] == "not measured"


def test_a_bar_says_its_limit() -> None:
    assert Bar("id", Quantity.RSS, 400 * MiB).limit == "RSS ≤ 400 MiB"
    assert Bar("id-again", Quantity.WALL, 0.35, ("id", "reference")).limit == "wall ≤ 0.35 × reference, id"


def test_the_section_shows_bars_runs_commands_and_failures(make_record: MakeRecord) -> None:
    record = session(make_record)
    text = scale_section({run.scenario: record for run in record.runs})
    for part in (
        "`snapdir id TREE`, an empty cache",
        "| id-again ",
        "**missed**",
        "- ours in pull: timed out after 900 s",
        "2 cores",
    ):
        assert part in text


def test_the_section_is_left_out_without_a_record(make_record: MakeRecord) -> None:
    record = session(make_record)
    assert scale_pages({}) == []
    parts = scale_pages({"scale": {"id": record}, "scale-disk": {"id": record}})
    assert parts[0::2] == ["## Scale", "### Scale, on a disk"]


def test_the_arithmetic_names_its_records_and_says_what_is_missing(make_record: MakeRecord) -> None:
    text = scaling_page([session(make_record)])
    assert "0.5 µs" in text
    assert "`id`, results/20260102T030405-scale.json, 1,000,000 files" in text
    assert "not measured" in text
    assert "2.2 h" in text  # 100 TB by 100 Gb/s


def test_the_arithmetic_follows_the_records(make_record: MakeRecord) -> None:
    runs = timed("id-sparse-64g", BLAKE3, 32.0, cpu=64.0) + timed("id-sparse-64g", "ours", 32.0)
    runs += timed("id", "ours", 10.0, cpu=320.0, files=10_000_000)
    text = scaling_page([make_record(*runs, profile="scale")])
    assert "BLAKE3" in text
    # 10,000,000 x 32 µs, and 93,132 GiB x 1 s, on 32 cores
    assert "49 min" in text


def test_no_limit_of_the_short_run_is_a_time() -> None:
    runs = [Run(name, "ours", 0, wall_seconds=1e6) for name in LIMITS]
    assert complaints(runs) == []


@pytest.mark.parametrize(
    ("run", "what"),
    [
        (Run("id", "ours", 0, peak_rss_bytes=LIMITS["id"].rss_bytes + MiB), "MiB resident"),
        (Run("id-100-changed", "ours", 0, opens=FILES + 1), "100,001 opened files, 100,000 allowed"),
        (Run("push-again", "ours", 0, requests={"PutObject": 4}), "4 requests, 3 allowed"),
        (Run("pull", "ours", 0, error="exit 1: no"), "pull: exit 1: no"),
    ],
)
def test_too_much_of_anything_is_a_complaint(run: Run, what: str) -> None:
    runs = [run if name == run.scenario else Run(name, "ours", 0) for name in LIMITS]
    (found,) = complaints(runs)
    assert what in found


def test_what_was_not_measured_is_a_complaint_unless_there_is_no_server() -> None:
    ids = [Run(name, "ours", 0) for name in LIMITS if name.startswith("id")]
    assert complaints(ids[1:])[0] == "id: not measured"
    assert complaints([*ids, Run("push", "ours", 0, error=NO_SERVER)]) == []


def test_caches_are_dropped_by_the_kernel_where_that_is_allowed(tmp_path: Path) -> None:
    control = tmp_path / "drop_caches"
    control.write_text("")
    drop, how = dropper(control)
    drop(tmp_path)
    assert control.read_text() == "3\n"
    assert how == "page cache dropped before each run"


def test_else_pages_of_the_trees_are_given_up_and_that_is_said(tmp_path: Path) -> None:
    folder = trees.make(TREE, tmp_path, quiet)
    before = contents(folder)
    drop, how = dropper(tmp_path / "missing")
    drop(tmp_path)
    assert contents(folder) == before
    assert "posix_fadvise" in how


def test_a_folder_is_on_a_filesystem(tmp_path: Path) -> None:
    assert filesystem(Path("/proc/self")) == "proc"
    assert filesystem(tmp_path) != "unknown"
