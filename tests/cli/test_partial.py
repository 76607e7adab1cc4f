"""--include, --exclude and --shard on fetch, pull and checkout, with real stores."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .conftest import cli

FILES = ["README.md", "train/0.bin", "train/1.bin", "train/deep/2.bin", "val/0.bin"]


@pytest.fixture
def pushed(isolated: Path) -> tuple[str, str]:
    """(store, id) of a small dataset."""
    for name in FILES:
        file = isolated / "data" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(name * 3)
    store = f"file://{isolated}/store"
    return store, cli("push", "--catalog", "none", "--store", store, str(isolated / "data")).stdout.strip()


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("more", [[], ["--no-cache"]])
@pytest.mark.parametrize(
    ("options", "left"),
    [
        (["--include", "train/"], FILES[1:4]),
        (["--include", "*.md", "--include", "/val"], ["README.md", "val/0.bin"]),
        (["--exclude", "train/*.bin", "--exclude", "README.md"], FILES[3:]),
        (["--include", "train/", "--exclude", "deep"], FILES[1:3]),
    ],
)
def test_a_pull_brings_the_part_and_says_so(
    options: list[str], left: list[str], more: list[str], pushed: tuple[str, str], isolated: Path
) -> None:
    store, wanted = pushed
    run = cli("pull", "--store", store, "--id", wanted, *options, *more, str(isolated / "out"))
    assert (run.code, run.stdout) == (0, "")
    assert run.stderr == f"partial: {len(left)} of the 5 file(s) of {wanted}\n"
    assert files_in(isolated / "out") == left
    assert cli("pull", "-q", "--store", store, "--id", wanted, *options, *more, str(isolated / "out")).stderr == ""


def test_the_shards_together_are_the_snapshot(pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    for shard in ("1/3", "2/3", "3/3"):
        assert cli("pull", "--store", store, "--id", wanted, "--shard", shard, str(isolated / "out")).code == 0
        assert cli("pull", "--store", store, "--id", wanted, "--shard", shard, str(isolated / shard)).code == 0
    assert cli("id", str(isolated / "out")).stdout.strip() == wanted
    shards = [files_in(isolated / shard) for shard in ("1/3", "2/3", "3/3")]
    assert sorted(name for shard in shards for name in shard) == FILES


def test_a_part_that_was_fetched_is_checked_out_offline(pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    assert cli("fetch", "--store", store, "--id", wanted, "--include", "train/").code == 0
    (isolated / "store").rename(isolated / "gone")
    assert cli("checkout", "--id", wanted, "--include", "train/*.bin", str(isolated / "out")).code == 0
    assert files_in(isolated / "out") == FILES[1:3]
    run = cli("checkout", "--id", wanted, str(isolated / "whole"))
    advice = "`snapdir pull --id ID DIR` downloads and writes in one step"
    said = f"error: manifest {wanted} not found locally; did you forget to fetch it? {advice}\n"
    assert (run.code, run.stderr) == (1, said)
    run = cli("checkout", "--id", wanted, "--include", "val/", str(isolated / "val"))
    assert run.code == 1
    assert "for ./val/0.bin is missing from the cache" in run.stderr
    assert not (isolated / "val").exists()


def test_a_part_is_laid_beside_what_is_there(pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    (isolated / "out" / "train").mkdir(parents=True)
    (isolated / "out" / "train" / "mine").write_text("mine")
    cli("pull", "--store", store, "--id", wanted, "--include", "train/0.bin", str(isolated / "out"))
    assert files_in(isolated / "out") == ["train/0.bin", "train/mine"]


@pytest.mark.parametrize(
    ("options", "said", "code"),
    [
        (["--include", "*.jpg"], "no path in the snapshot matches --include *.jpg; nothing was written", 1),
        (["--include", "[a"], "invalid glob '[a': a [ is not closed by ]", 2),
        (["--include", "!a"], "invalid glob '!a': a glob cannot start with !; use --exclude", 2),
        (["--shard", "0/3"], "invalid --shard '0/3': expected I/N with I from 1 to N, e.g. 1/8", 2),
        (["--shard", "1/3", "--shard", "2/3"], "the argument '--shard <I/N>' cannot be used multiple times", 2),
    ],
)
def test_a_part_that_cannot_be_is_refused_before_anything_is_written(
    options: list[str], said: str, code: int, pushed: tuple[str, str], isolated: Path
) -> None:
    store, wanted = pushed
    run = cli("pull", "--store", store, "--id", wanted, *options, str(isolated / "out"))
    assert (run.code, run.stdout) == (code, "")
    assert said in run.stderr
    assert not (isolated / "out").exists()


def test_every_checkout_leaves_a_record_in_the_cache_and_nothing_in_the_destination(
    pushed: tuple[str, str], isolated: Path
) -> None:
    store, wanted = pushed
    cli("pull", "--store", store, "--id", wanted, "--include", "val/", "--no-cache", str(isolated / "out"))
    records = map(Path.read_text, (isolated / "cache" / ".checkouts").iterdir())
    (fields,) = [fields for fields in map(json.loads, records) if fields["directory"] == str(isolated / "out")]
    assert (fields["snapshot_id"], fields["store"]) == (wanted, store)
    assert (fields["include"], fields["exclude"], fields["shard"]) == (["val/"], [], None)
    assert files_in(isolated / "out") == ["val/0.bin"]


def test_a_cache_that_cannot_be_written_costs_a_warning(pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    shutil.rmtree(isolated / "cache")
    (isolated / "cache").write_text("in the way")
    run = cli("pull", "--store", store, "--id", wanted, "--no-cache", str(isolated / "out"))
    assert run.code == 0
    assert run.stderr.startswith(f"warning: this checkout is not recorded for `snapdir status {isolated}/out`: ")


def test_a_flushed_cache_keeps_its_records(pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    cli("pull", "--store", store, "--id", wanted, str(isolated / "out"))
    for _ in range(2):
        assert cli("flush-cache").code == 0
        assert [path.name for path in (isolated / "cache").iterdir()] == [".checkouts"]


class Bucket(ThreadingHTTPServer):
    """The folder of a store as a bucket that can be read, and every request for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Reader)
        self.folder = folder
        self.requests: list[str] = []

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SNAPDIR_S3_STORE_ENDPOINT_URL": f"http://127.0.0.1:{self.server_port}",
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
        }


class Reader(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Bucket

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        data = (self.server.folder / self.path.removeprefix("/bucket/")).read_bytes()
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        self.send_response(206 if wanted else 200)
        if wanted:
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
            data = data[first : last + 1]
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", '"an-object"')
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def bucket(isolated: Path) -> Iterator[Bucket]:
    with Bucket(isolated / "store") as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_ten_of_five_thousand_files_take_at_most_twelve_requests(
    bucket: Bucket, isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (isolated / "many").mkdir()
    monkeypatch.setenv("SNAPDIR_FSYNC", "off")
    for number in range(5000):
        (isolated / "many" / f"{number:04}.txt").write_text(f"content {number}")
    wanted = cli("push", "--store", f"file://{isolated}/store", str(isolated / "many")).stdout.strip()
    monkeypatch.setenv("SNAPDIR_CACHE_DIR", str(isolated / "another"))
    for name, value in bucket.environment.items():
        monkeypatch.setenv(name, value)
    run = cli("pull", "--store", "s3://bucket", "--id", wanted, "--include", "123[0-9].*", str(isolated / "out"))
    assert (run.code, run.stderr) == (0, f"partial: 10 of the 5,000 file(s) of {wanted}\n")
    assert files_in(isolated / "out") == [f"123{digit}.txt" for digit in range(10)]
    assert len(bucket.requests) <= 12


@pytest.mark.parametrize("command", ["pull", "fetch"])
def test_an_expression_given_as_a_glob_is_said(command: str, pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    into = [str(isolated / "out")] if command == "pull" else []
    warned = cli(command, "--store", store, "--id", wanted, "--exclude", r"\.bin$", *into)
    assert (warned.code, warned.stderr.count("warning:")) == (0, 1)
    assert r"take globs such as *.tmp, and '\.bin$' looks like a regular expression" in warned.stderr
    plain = cli(command, "--store", store, "--id", wanted, "--exclude", "*.bin", "--exclude", "foo.*", *into)
    assert "warning:" not in plain.stderr or "looks like" not in plain.stderr


def test_a_destination_that_is_a_file_of_the_snapshot_is_said(pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    pull = ("pull", "--store", store, "--id", wanted)
    for path in ("./README.md", "train/0.bin"):
        name = path.removeprefix("./")
        advice = f"`snapdir cat STORE@ID {name} --output FILE` writes that file alone"
        for more in (["--dry-run"], []):
            run = cli(*pull, *more, path)
            assert (run.code, run.stdout) == (0, "")
            warning = f"warning: the directory {name} has the path of a file of the snapshot: {advice}\n"
            assert run.stderr.count(warning) == 1
        assert files_in(Path(path)) == FILES
        assert cli(*pull, path).stderr == ""  # a directory that is there is meant
    for path in ("data", "val", "README", "0.bin", "a/deep", "../README.md", str(isolated / "README.md")):
        assert cli(*pull, path).stderr == ""


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--cache"], ["--force", "--delete"]], ids=" ".join)
def test_a_file_in_the_place_of_the_destination_stays(more: list[str], pushed: tuple[str, str], isolated: Path) -> None:
    store, wanted = pushed
    Path("README.md").write_text("mine")
    run = cli("pull", "--store", store, "--id", wanted, *more, "README.md")
    assert run.code == 1
    assert "README.md: not a directory" in run.stderr
    assert "it is a file of the snapshot: `snapdir cat STORE@ID README.md --output FILE` writes" in run.stderr
    assert Path("README.md").read_text() == "mine"
