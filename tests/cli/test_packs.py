"""The verbs by which two programs exchange a snapshot through a pipe."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from .conftest import ID, OTHER_ID, Run, cli, command_line, program


@pytest.fixture
def pushed(tmp_path: Path) -> tuple[str, list[str]]:
    """The id and the checksums of a small tree in the store ./a."""
    tree = tmp_path / "tree"
    (tree / "sub").mkdir(parents=True)
    (tree / "a.txt").write_text("plumbing alpha")
    (tree / "sub/b.txt").write_text("plumbing bravo!!")
    (tree / "sub/c.bin").write_text("plumbing charlie payload")
    lines = cli("manifest", str(tree)).stdout.splitlines()
    return cli("push", "--store", "./a", "--no-shared-catalog", str(tree)).stdout.strip(), [
        line.split()[2] for line in lines if line[0] == "F"
    ]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def piped(*args: str, stdin: bytes, **variables: str) -> tuple[Run, bytes]:
    done = subprocess.run(
        command_line(*args), input=stdin, capture_output=True, timeout=60, check=False, env={**os.environ, **variables}
    )
    return Run(done.returncode, "", done.stderr.decode()), done.stdout


def pack(identifier: str, sums: list[str], *more: str) -> bytes:
    run, data = piped(
        "send-pack", "--store", "./a", "--ids", "-", "--manifest-id", identifier, *more, stdin="\n".join(sums).encode()
    )
    assert (run.code, run.stderr) == (0, f"sent pack: {len(sums)} object(s) + manifest\n")
    return data


def test_the_capability_line_is_exact() -> None:  # PLB-01
    number = cli("version").stdout.split()[1]
    caps = "objects-needed,send-pack,receive-pack,snappack-zstd"
    assert cli("version", "--capabilities").stdout == f"snapdir {number} wire=1 caps={caps}\n"


def test_hidden_verbs_are_not_listed() -> None:  # SURF-01
    hidden = ("man", "completions", "objects-needed", "send-pack", "receive-pack")
    lines = cli("--help").stdout.splitlines()
    assert [line for line in lines if line.strip().partition(" ")[0] in hidden] == []


def test_absent_objects_are_listed_once_in_their_order(pushed: tuple[str, list[str]]) -> None:  # PLB-02, PLB-04
    _, sums = pushed
    asked = "\n".join([OTHER_ID, sums[0], "", ID, OTHER_ID, sums[1]])
    run, out = piped("objects-needed", "--store", "./a", stdin=asked.encode())
    assert (run.code, run.stderr, out) == (0, "", f"{OTHER_ID}\n{ID}\n".encode())
    assert piped("objects-needed", "--store", "./a", stdin=b"") == (Run(0, "", ""), b"")


@pytest.mark.parametrize("line", [ID.upper(), ID[1:], "z" * 64])
def test_a_malformed_line_ends_it_before_any_output(line: str, pushed: tuple[str, list[str]]) -> None:  # PLB-03, -12
    for verb in (["objects-needed"], ["send-pack", "--ids", "-"]):
        run, out = piped(*verb, "--store", "./a", stdin=f"{ID}\n{line}\n".encode())
        assert (run.code, out) == (1, b"")
        assert "line 2 of the ids" in run.stderr


def test_a_snapshot_goes_through_a_pipe(pushed: tuple[str, list[str]], tmp_path: Path) -> None:  # PLB-05, PLB-06
    identifier, sums = pushed
    plain, zstd = pack(identifier, sums), pack(identifier, sums, "--pack-format", "zstd")
    assert plain == pack(identifier, sums, "--pack-format", "v1")
    assert plain.startswith(b"SNAPPACK 1\n")
    assert zstd.startswith(b"SNAPPACK 1Z\n")
    for name, data in {"b": plain, "c": zstd}.items():
        run, out = piped("receive-pack", "--store", f"./{name}", "--require-manifest", identifier, stdin=data)
        assert (run.code, out) == (0, b"")
        assert run.stderr == f"received pack: 3 object(s) written, 0 skipped, manifest {identifier}\n"
        assert files(Path(name)) == files(Path("a"))
    assert piped("receive-pack", "-q", "--store", "./b", stdin=plain)[0] == Run(0, "", "")


def test_a_file_of_ids_and_a_pool(pushed: tuple[str, list[str]]) -> None:
    identifier, sums = pushed
    Path("ids").write_text("\n".join(sums))
    sent = program("send-pack", "--store", "./a", "--objects-store", "./a", "--ids", "ids")
    assert (sent.code, sent.stderr) == (0, "sent pack: 3 object(s)\n")
    run, _ = piped("receive-pack", "--store", "./m", "--objects-store", "./pool", stdin=pack(identifier, sums))
    assert run.code == 0
    assert {path.split("/")[0] for path in files(Path("m"))} == {".manifests"}
    assert {path.split("/")[0] for path in files(Path("pool"))} == {".objects"}


def test_a_cut_pack_is_completed_by_a_whole_one(pushed: tuple[str, list[str]]) -> None:  # PLB-09
    identifier, sums = pushed
    whole = pack(identifier, sums)
    run, _ = piped("receive-pack", "--store", "./b", stdin=whole[:-4])
    assert (run.code, run.stderr) == (1, "error: invalid pack: it ends before its last line, 'end'\n")
    assert {path.split("/")[0] for path in files(Path("b"))} == {".objects"}
    assert piped("receive-pack", "--store", "./b", stdin=whole)[0].code == 0
    assert files(Path("b")) == files(Path("a"))


def test_what_does_not_hash_to_its_name_leaves_no_file() -> None:  # PLB-07, PLB-08
    for record in (f"obj {ID} 4\nlie!", f"obj ../{ID[3:]} 4\nlie!"):
        run, out = piped("receive-pack", "--store", "./b", stdin=f"SNAPPACK 1\n{record}end\n".encode())
        assert (run.code, out) == (1, b"")
        assert files(Path("b")) == {}


@pytest.mark.parametrize(("value", "code"), [("off", 0), ("batch", 0), ("", 0), ("fsyncall", 2)])
def test_the_way_of_flushing_is_taken_or_refused(value: str, code: int, pushed: tuple[str, list[str]]) -> None:
    identifier, sums = pushed  # PLB-13, PLB-14
    run, _ = piped("receive-pack", "--store", "./b", stdin=pack(identifier, sums), SNAPDIR_FSYNC=value)
    assert run.code == code
    assert code == 0 or [word for word in ("SNAPDIR_FSYNC", "batch", "off") if word not in run.stderr] == []
    assert bool(files(Path("b"))) == (code == 0)


def test_a_program_as_store_is_refused() -> None:
    run, _ = piped("objects-needed", "--store", "mock://x", stdin=b"")
    assert run.code == 1
    assert "external `snapdir-*-store` URLs are not supported: mock://x" in run.stderr


def test_a_receiver_that_waits_for_its_input_can_be_stopped() -> None:
    process = subprocess.Popen(
        command_line("receive-pack", "--store", "./b"), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(f"SNAPPACK 1\nobj {ID} {2**25}\n".encode() + bytes(2**24))
    process.stdin.flush()  # 16 MiB are more than the pipe holds: it reads by now
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.communicate()
    assert files(Path("b")) == {}


def test_a_sender_whose_reader_stands_still_can_be_stopped(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/large").write_bytes(bytes(2**22))
    cli("push", "--store", "./a", str(tmp_path / "tree"))
    Path("ids").write_text(cli("manifest", str(tmp_path / "tree")).stdout.split()[7])
    process = subprocess.Popen(
        command_line("send-pack", "--store", "./a", "--ids", "ids"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(11) == b"SNAPPACK 1\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    process.communicate()
