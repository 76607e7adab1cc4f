"""The order of runs, and the comparison of a pulled tree with the original."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.peers import PEERS, Job
from benchmarks.places import sole_use
from benchmarks.results import Run
from benchmarks.rounds import order, run_line
from benchmarks.tree_comparison import first_difference

JOB = Job(
    endpoint="http://127.0.0.1:9100",
    bucket="bench",
    prefix="some/where",
    tree=Path("/tree"),
    destination=Path("/destination"),
    cache=Path("/cache"),
    snapshot_id="ab" * 32,
)


def test_rounds_go_forwards_and_backwards_in_turn() -> None:
    peers = [PEERS["ours"], PEERS["s5cmd"], PEERS["rclone"]]
    assert [[peer.name for peer in order(peers, number)] for number in range(3)] == [
        ["ours", "s5cmd", "rclone"],
        ["rclone", "s5cmd", "ours"],
        ["ours", "s5cmd", "rclone"],
    ]


def test_a_run_in_one_line() -> None:
    run = Run(
        "push-a", "ours", 0, wall_seconds=1.5, user_seconds=0.5, peak_rss_bytes=42 << 20, requests={"PutObject": 7}
    )
    assert " ".join(run_line(run).split()) == "push-a round 1 ours 1.50 s wall 0.50 s CPU 42 MiB 7 requests"
    assert "does not count: exit 1" in run_line(Run("push-a", "ours", 0, error="exit 1"))


def test_ours_is_this_checkout_by_its_command_line() -> None:
    command = PEERS["ours"].pull(JOB)
    assert command.argv[1:] == ("-m", "snapdir", "pull", "--id", "ab" * 32, str(JOB.destination))
    assert command.environment["SNAPDIR_STORE"] == "s3://bench/some/where"
    assert command.environment["SNAPDIR_S3_STORE_ENDPOINT_URL"] == "http://127.0.0.1:9100"
    assert Path(command.environment["PYTHONPATH"], "snapdir", "__init__.py").is_file()


def test_a_push_names_the_store_and_the_tree() -> None:
    command = PEERS["ours"].push(JOB)
    assert command.argv[1:] == ("-m", "snapdir", "push", "/tree")
    assert command.environment["SNAPDIR_STORE"] == "s3://bench/some/where"


@pytest.mark.parametrize("driver", ["reference", "obstore", "aiobotocore", "awscrt", "head_rate"])
def test_drivers_are_there_and_compile(driver: str) -> None:
    name = driver if driver == "head_rate" else f"{driver}_copy"
    file = Path(__file__).parents[2] / "benchmarks" / "drivers" / f"{name}.py"
    compile(file.read_text(), str(file), "exec")


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal trees."""
    for name in ("expected", "actual"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "sub" / "a").write_bytes(b"aaa")
        (tmp_path / name / "b").write_bytes(b"b" * (3 << 20))
    return tmp_path / "expected", tmp_path / "actual"


def test_equal_trees_have_no_difference(pair: tuple[Path, Path]) -> None:
    assert first_difference(*pair) == ""


def test_differences_are_named(pair: tuple[Path, Path]) -> None:
    expected, actual = pair
    (actual / "b").write_bytes(b"b" * ((3 << 20) - 1) + b"c")
    assert first_difference(expected, actual) == "b differs"
    (actual / "b").unlink()
    assert first_difference(expected, actual) == "b was not pulled"
    (actual / "a").write_bytes(b"")
    assert first_difference(expected, actual) == "a was never pushed"


def test_two_sessions_never_share_a_folder(tmp_path: Path) -> None:
    with sole_use(tmp_path), pytest.raises(BlockingIOError, match="another session"), sole_use(tmp_path):
        pass
    with sole_use(tmp_path):
        pass
