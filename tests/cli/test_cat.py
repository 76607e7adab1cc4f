"""cat: files of a snapshot on stdout, verified."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import aiofiles  # noqa: F401  # its import reads files; verbs import it in their loop, where `free_loop` counts that
import pytest

import snapdir
from snapdir import blocking
from snapdir.api.cat import send_files
from snapdir.model.keys import object_key
from snapdir.model.paths import is_temporary_beside
from snapdir.model.sizes import MIB

from .conftest import CAPTURED, ID, cli, command_line

LARGE = os.urandom(17 * MIB)
SMALL = b"\x00first\nsecond\xff\n"


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


@pytest.fixture
def pushed(tmp_path: Path, store: str) -> str:
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "sub" / "small").write_bytes(SMALL)
    (tree / "large.bin").write_bytes(LARGE)
    (tree / "empty").touch()
    (tree / "link").symlink_to("large.bin")
    return cli("push", "--store", store, str(tree)).stdout.strip()


def cat(*args: str) -> tuple[int, bytes, str]:
    done = subprocess.run(command_line("cat", *args), check=False, **CAPTURED)
    return done.returncode, done.stdout, done.stderr.decode()


def damage(tmp_path: Path, pushed: str, store: str, path: str, at: int) -> None:
    with blocking.open_snapshot(pushed, store) as snapshot:
        file = tmp_path / "store" / object_key(snapshot.files[path].checksum)
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.seek(at)
        opened.write(b"?!")


def test_files_are_printed_in_their_order(store: str, pushed: str) -> None:
    assert cat(f"{store}@{pushed}", "sub/small", "./empty", "sub/small") == (0, SMALL + SMALL, "")
    assert cat("--store", store, "--id", pushed[:10], "large.bin") == (0, LARGE, "")
    assert cat("--store", store, pushed, "link", "./sub/small") == (0, LARGE + SMALL, "")


def test_a_snapshot_of_the_cache_needs_no_store(store: str, pushed: str) -> None:
    assert cli("fetch", "--store", store, "--id", pushed).code == 0
    assert cat(pushed, "sub/small") == cat("--id", pushed, "sub/small") == (0, SMALL, "")


def test_a_bucket_is_read_like_a_directory(bucket, tmp_path: Path, pushed: str) -> None:
    assert cli("push", "--store", "s3://bucket/sets", str(tmp_path / "tree")).code == 0
    ref = f"s3://bucket/sets@{pushed}"
    assert cat(ref, "sub/small", "large.bin") == (0, SMALL + LARGE, "")
    assert cat("--verify", "never", "--range", "-5", ref, "large.bin") == (0, LARGE[-5:], "")
    code, out, err = cat("--verify", "after", "--range", f"{MIB}-{MIB + 9}", ref, "large.bin")
    assert (code, out) == (0, LARGE[MIB : MIB + 10])
    assert "right only if the exit code is 0" in err


@pytest.mark.parametrize("verify", ["before", "after", "never"])
@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("0-99", slice(0, 100)),
        ("0-0", slice(0, 1)),
        ("100-", slice(100, None)),
        ("-100", slice(-100, None)),
        ("-99999999999", slice(0, None)),
        ("0-99999999999", slice(0, None)),
        (f"{len(LARGE)}-", slice(0, 0)),
    ],
)
def test_a_range_is_that_of_curl(verify: str, part: str, wanted: slice, store: str, pushed: str) -> None:
    for path, content in (("large.bin", LARGE), ("link", LARGE)):
        got = blocking.cat(f"{store}@{pushed}", path, range=part, verify=verify)  # type: ignore[arg-type]
        assert got == content[wanted]
    assert blocking.cat(pushed, "empty", store=store, range="-5", verify=verify) == b""  # type: ignore[arg-type]


@pytest.mark.parametrize("part", ["", "-", "5-3", "-0", "a-b", "1", "0-1,4-5", "0 - 1", "-1-2", "9" * 30 + "-"])
def test_a_bad_range_is_a_mistake(part: str, store: str, pushed: str) -> None:
    run = cli("cat", f"--range={part}", f"{store}@{pushed}", "empty")
    assert (run.code, run.stdout, run.stderr.count("\n")) == (2, "", 1), run
    assert f"invalid range '{part}': expected FIRST-LAST" in run.stderr


def test_a_range_after_the_end_is_an_error(store: str, pushed: str) -> None:
    run = cli("cat", "--range", "100-", f"{store}@{pushed}", "sub/small")
    assert (run.code, run.stdout) == (1, "")
    assert run.stderr == "error: the range begins at byte 100, and sub/small has 15 bytes\n"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("sub", "has no file 'sub': it is a directory (list it with `snapdir ls`"),
        ("sub/", "has no file 'sub/': it is a directory"),
        ("./", "it is a directory"),
        ("", "has no file ''"),
        ("small", "has no file 'small'; did you mean './sub/small'?"),
        ("sub/smal", "has no file 'sub/smal'; did you mean './sub/small'?"),
        ("LARGE.BIN", "did you mean './large.bin'?"),
        ("nothing like it", "(list its paths with `snapdir ls -R STORE@ID`)"),
        ("/etc/passwd", "has no file '/etc/passwd'"),
        ("../tree/empty", "has no file '../tree/empty'; did you mean './empty'?"),
    ],
)
def test_what_is_no_file_is_told_before_anything_is_printed(path: str, said: str, store: str, pushed: str) -> None:
    run = cli("cat", f"{store}@{pushed}", "sub/small", path)
    assert (run.code, run.stdout, run.stderr.count("\n")) == (1, "", 1), run
    assert said in run.stderr


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ([], 2, "expected STORE@ID and one or more files"),
        (["STORE@ID"], 2, "snapdir cat STORE@ID PATH..."),
        (["--id", ID], 2, "snapdir cat STORE@ID PATH..."),
        (["STORE", "empty"], 1, "is a store: name one of its snapshots, "),
        (["TREE", "empty"], 1, "is a directory: cat reads files of a snapshot"),
        (["--store", "STORE", "--id", ID, "empty"], 1, f"manifest not found: {ID}"),
        (["mock://place@" + ID, "empty"], 1, "requires in-process stores"),
        (["--verify", "later", "STORE@ID", "empty"], 2, "expected before, after or never"),
    ],
)
def test_a_bad_line_says_what_is_expected(
    line: list[str], code: int, said: str, store: str, pushed: str, tmp_path: Path
) -> None:
    words = {"STORE": store, "STORE@ID": f"{store}@{pushed}", "TREE": str(tmp_path / "tree")}
    run = cli("cat", *[words.get(word, word) for word in line])
    assert (run.code, run.stdout) == (code, "")
    assert said in run.stderr


@pytest.mark.parametrize(("path", "at"), [("sub/small", 3), ("large.bin", 16 * MIB)])
def test_no_byte_of_a_damaged_object_is_printed(path: str, at: int, store: str, pushed: str, tmp_path: Path) -> None:
    damage(tmp_path, pushed, store, path, at)
    for more in ([], ["--range", "0-1"], ["--verify", "before"]):
        code, out, err = cat(*more, f"{store}@{pushed}", "empty", path)
        assert (code, out, err.count("\n")) == (1, b"", 1)
        assert "hash mismatch" in err


@pytest.mark.parametrize("part", [[], ["--range", "50-199"], ["--range", "0-9"]])
def test_an_object_that_was_cut_is_an_error_without_verification_too(
    part: list[str], store: str, pushed: str, tmp_path: Path
) -> None:
    damage(tmp_path, pushed, store, "large.bin", 16 * MIB)
    with blocking.open_snapshot(pushed, store) as snapshot:
        os.truncate(tmp_path / "store" / object_key(snapshot.files["large.bin"].checksum), 100)
    code, out, err = cat("--verify", "never", *part, f"{store}@{pushed}", "large.bin")
    assert (code, out, err.count("\n")) == (1, b"", 1)
    assert "an object of 100 bytes" in err


def test_bytes_that_are_verified_after_are_said_to_be_so(store: str, pushed: str, tmp_path: Path) -> None:
    damage(tmp_path, pushed, store, "large.bin", 16 * MIB)
    code, out, err = cat("--verify", "after", f"{store}@{pushed}", "large.bin")
    assert code == 1
    assert len(out) < len(LARGE)
    assert LARGE.startswith(out)
    assert "may have been given out before they proved wrong" in err
    code, out, err = cat("--verify", "after", "--range", "0-9", f"{store}@{pushed}", "large.bin")
    assert (code, out) in ((1, LARGE[:10]), (1, b""))


def test_a_reader_that_leaves_ends_it_quietly(store: str, pushed: str) -> None:
    line = " ".join(command_line("cat", f"{store}@{pushed}", "large.bin", "large.bin"))
    done = subprocess.run(["bash", "-o", "pipefail", "-c", f"{line} | head -c 5"], check=False, **CAPTURED)
    assert (done.returncode, done.stdout, done.stderr) == (141, LARGE[:5], b"")


class TestOutput:
    def test_a_file_is_written_when_all_is_there(self, store: str, pushed: str, tmp_path: Path) -> None:
        out = tmp_path / "out"
        out.write_text("before")
        out.chmod(0o640)
        (tmp_path / "link-to-out").symlink_to("out")
        run = cli("cat", "--output", str(tmp_path / "link-to-out"), f"{store}@{pushed}", "large.bin", "sub/small")
        assert (run.code, run.stdout, run.stderr) == (0, "", "")
        assert out.read_bytes() == LARGE + SMALL
        assert out.stat().st_mode & 0o777 == 0o640
        assert (tmp_path / "link-to-out").is_symlink()
        assert blocking.cat(pushed, "sub/small", store=store, output=tmp_path / "new") == b""
        assert (tmp_path / "new").read_bytes() == SMALL

    @pytest.mark.parametrize("path", ["nowhere", "large.bin"])
    def test_a_failure_leaves_what_was_there(self, path: str, store: str, pushed: str, tmp_path: Path) -> None:
        damage(tmp_path, pushed, store, "large.bin", 16 * MIB)
        folder = tmp_path / "folder"
        folder.mkdir()
        (folder / "out").write_text("before")
        for more in ([], ["--verify", "after"]):
            run = cli("cat", *more, "--output", str(folder / "out"), f"{store}@{pushed}", "sub/small", path)
            assert run.code == 1
            assert [file.name for file in folder.iterdir()] == ["out"]
            assert (folder / "out").read_text() == "before"

    def test_what_is_no_file_is_written_to_as_it_is(self, store: str, pushed: str, tmp_path: Path) -> None:
        assert cli("cat", "--output", "/dev/null", f"{store}@{pushed}", "large.bin").code == 0
        assert Path("/dev/null").is_char_device()
        assert cat("--output", "-", f"{store}@{pushed}", "sub/small") == (0, SMALL, "")

    @pytest.mark.parametrize(("place", "opened"), [("/dev/stdout", ">>"), ("/dev/stderr", "2>>"), ("/dev/fd/7", "7>>")])
    def test_a_log_that_is_open_keeps_its_other_lines(
        self, place: str, opened: str, store: str, pushed: str, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        line = " ".join(command_line("cat", "-q", f"{store}@{pushed}", "sub/small", "--output", place))
        script = f"echo first >> {log}; {line} {opened} {log}; echo last >> {log}"
        before = log.touch() or log.stat().st_ino
        done = subprocess.run(["bash", "-c", script], check=False, **CAPTURED)
        assert (done.stdout, done.stderr) == (b"", b"")
        assert log.read_bytes() == b"first\n" + SMALL + b"last\n"
        assert log.stat().st_ino == before

    @pytest.mark.parametrize("place", [".", "nowhere/out", "tree/empty/out"])
    def test_a_place_that_cannot_be_written_is_one_line(
        self, place: str, store: str, pushed: str, tmp_path: Path
    ) -> None:
        run = cli("cat", "--output", str(tmp_path / place), f"{store}@{pushed}", "sub/small")
        assert (run.code, run.stdout, run.stderr.count("\n")) == (1, "", 1)
        assert str(tmp_path) in run.stderr
        assert not any(is_temporary_beside(file.name) for file in tmp_path.rglob("*"))


async def test_an_object_that_is_cut_meanwhile_is_no_end(store: str, pushed: str, tmp_path: Path) -> None:
    with_object = await snapdir.open_snapshot(pushed, store)
    object_file = tmp_path / "store" / object_key(with_object.files["large.bin"].checksum)
    await with_object.aclose()
    object_file.chmod(0o600)
    sent = []

    async def send(block: bytes) -> None:
        sent.append(block)
        os.truncate(object_file, 6 * MIB)

    with pytest.raises(snapdir.InFluxError, match=r"large\.bin"):
        await send_files(pushed, ["large.bin"], send, store=store)
    assert LARGE.startswith(b"".join(sent))


async def test_the_function_for_a_loop_gives_bytes(store: str, pushed: str) -> None:
    assert await snapdir.cat(f"{store}@{pushed}", "sub/small", "empty") == SMALL
    with pytest.raises(snapdir.PathNotFound) as failed:
        await snapdir.cat(pushed, "sub/smal", store=store)
    assert failed.value.similar == ("./sub/small",)
