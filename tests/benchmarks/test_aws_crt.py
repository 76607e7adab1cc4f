"""The runner of AWS's workloads: real transfers with a real server, and what it refuses."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.aws_crt.__main__ import FAILED, SKIPPED, main
from benchmarks.aws_crt.figures import overall_lines, run_line
from tests.rclone_server import RcloneServer, s3_server

__all__ = ["s3_server"]

BUCKET = "workloads"
Write = Callable[..., str]


@pytest.fixture
def server(s3_server: RcloneServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> RcloneServer:
    """The server with an empty bucket, reached by the environment; the current directory is one for files."""
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("SNAPDIR_S3_STORE_ENDPOINT_URL", s3_server.endpoint)
    (s3_server.folder / BUCKET).mkdir(exist_ok=True)
    folder = tmp_path / "files"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return s3_server


@pytest.fixture
def workload(tmp_path: Path) -> Write:
    """Writes a workload file."""

    def write(name: str, *tasks: tuple[str, str, int], **changed: object) -> str:
        file = tmp_path / f"{name}.run.json"
        fields: dict[str, object] = {
            "version": 2,
            "comment": "",
            "filesOnDisk": True,
            "checksum": None,
            "maxRepeatCount": 2,
            "maxRepeatSecs": 60,
            "tasks": [{"action": action, "key": key, "size": size} for action, key, size in tasks],
        }
        file.write_text(json.dumps(fields | changed))
        return str(file)

    return write


def run(file: str) -> int:
    return main(["snapdir", file, BUCKET, "us-east-1", "10.0"])


def test_uploads_and_downloads_print_the_figures_of_every_run(
    server: RcloneServer, workload: Write, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for index in range(3):
        file = Path(f"upload/small/{index}")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(bytes([index]) * 5000)
    tasks = [("upload", f"upload/small/{index}", 5000) for index in range(3)]
    tasks += [("download", f"download/small/{index}", 7000) for index in range(3)]
    before = sorted(Path.cwd().rglob("*"))
    assert run(workload("small", *tasks)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.sub(r"\d+\.\d+", "N", line) for line in lines] == [
        "Run:1 Secs:N Gb/s:N",
        "Run:2 Secs:N Gb/s:N",
        "Overall Throughput (Gb/s) Median:N Mean:N Min:N Max:N Variance:N StdDev:N",
        "Overall Duration (Secs) Median:N Mean:N Min:N Max:N Variance:N StdDev:N",
        "Peak RSS:N MiB",
    ]
    uploads = server.folder / BUCKET / "upload" / "snapdir" / "small"
    assert len(list(uploads.glob("*/*/.manifests/**/*"))) >= 2
    assert sorted(Path.cwd().rglob("*")) == before


def test_downloads_are_prepared_once(server: RcloneServer, workload: Write, capsys: pytest.CaptureFixture[str]) -> None:
    file = workload("once", ("download", "download/once/1", 3000), filesOnDisk=False, maxRepeatCount=1)
    assert run(file) == 0
    assert "preparing 1 files of 3000 bytes" in capsys.readouterr().err
    assert run(file) == 0
    assert capsys.readouterr().err == ""


def test_repetition_ends_with_the_time_of_the_workload(
    server: RcloneServer, workload: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    file = workload("brief", ("download", "download/brief/1", 10), maxRepeatCount=50, maxRepeatSecs=0)
    assert run(file) == 0
    assert capsys.readouterr().out.count("Run:") == 1


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"version": 3}, "version 3"),
        ({"checksum": "SHA256"}, "checksum SHA256"),
        ({"filesOnDisk": False, "tasks": [{"action": "upload", "key": "a", "size": 1 << 60}]}, "bytes of memory"),
    ],
)
def test_what_it_cannot_run_is_skipped(
    workload: Write, capsys: pytest.CaptureFixture[str], changed: dict[str, object], what: str
) -> None:
    assert run(workload("strange", ("download", "a", 1), **changed)) == SKIPPED
    assert what in capsys.readouterr().err


def test_another_client_is_skipped(workload: Write, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["crt-c", workload("small", ("download", "a", 1)), BUCKET, "us-east-1", "1"]) == SKIPPED
    assert "snapdir" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        ({"tasks": []}, "no tasks"),
        ({"tasks": [{"action": "copy", "key": "a", "size": 1}]}, "neither upload nor download"),
        ({"tasks": [{"action": "upload", "key": "../a", "size": 1}]}, "not a path below"),
        ({"tasks": [{"action": "upload", "key": "a", "size": -1}]}, "negative"),
        ({"tasks": [{"action": "upload", "key": "a"}]}, "size is missing"),
        ({"tasks": [{"action": "upload", "key": "a", "size": 1}] * 2}, "twice"),
    ],
)
def test_a_file_that_is_no_workload_fails(
    workload: Write, capsys: pytest.CaptureFixture[str], changed: dict[str, object], what: str
) -> None:
    assert run(workload("wrong", **changed)) == FAILED
    error = capsys.readouterr().err
    assert error.startswith("FAIL - ")
    assert what in error


@pytest.mark.parametrize("text", [None, "{", "[]"])
def test_a_file_that_cannot_be_read_fails(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    file = tmp_path / "unreadable.run.json"
    if text is not None:
        file.write_text(text)
    assert run(str(file)) == FAILED
    assert str(file) in capsys.readouterr().err


def test_files_of_equal_content_are_no_measurement(
    server: RcloneServer, workload: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("upload").mkdir()
    for name in ("a", "b"):
        Path("upload", name).write_bytes(b"same")
    assert run(workload("equal", ("upload", "upload/a", 4), ("upload", "upload/b", 4))) == FAILED
    assert "equal content" in capsys.readouterr().err


@pytest.mark.parametrize(("size", "what"), [(5, "4 bytes instead of 5"), (4, "does not exist")])
def test_missing_or_different_files_fail(
    server: RcloneServer, workload: Write, capsys: pytest.CaptureFixture[str], size: int, what: str
) -> None:
    Path("upload").mkdir()
    Path("upload", "a").write_bytes(b"four")
    assert run(workload("files", ("upload", "upload/a", size), ("upload", "upload/b", 4))) == FAILED
    assert what in capsys.readouterr().err


def test_the_figures_of_one_run() -> None:
    assert run_line(3, 2.0, 1_000_000_000) == "Run:3 Secs:2.000000 Gb/s:4.000000"


def test_the_figures_of_all_runs() -> None:
    throughput, duration, memory = overall_lines([1.0, 3.0], 1_000_000_000)
    assert duration == (
        "Overall Duration (Secs) Median:2.000000 Mean:2.000000 Min:1.000000 Max:3.000000 Variance:1.000000 "
        "StdDev:1.000000"
    )
    assert throughput.startswith("Overall Throughput (Gb/s) Median:5.333333 ")
    assert memory.startswith("Peak RSS:")
