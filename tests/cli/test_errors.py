"""Error messages: one line, the right exit code, no control characters."""

from __future__ import annotations

import os

import pytest

from snapdir.errors import ConnectionFailed, LocalError, SnapdirError, TransferFailed

from .conftest import FakeVerbs, cli

STORE = ("--store", "./s")


@pytest.mark.parametrize("code", [1, 2])
def test_the_class_of_an_error_decides_the_exit_code(code: int, verbs: FakeVerbs) -> None:
    error = type("Odd", (SnapdirError,), {"exit_code": code})("it went wrong")
    verbs.answers["id"] = error
    run = cli("id", "x")
    assert (run.code, run.stdout, run.stderr) == (code, "", "error: it went wrong\n")


def test_an_error_is_one_line_with_its_notes(verbs: FakeVerbs) -> None:
    error = ConnectionFailed("refused\nby the peer")
    error.add_note("while uploading a/b.bin")
    verbs.answers["push"] = error
    assert cli("push", *STORE, "x").stderr == "error: store error: refused\\nby the peer (while uploading a/b.bin)\n"


def test_several_failures_are_one_line(verbs: FakeVerbs) -> None:
    failures = [LocalError(f"f{number}", "gone") for number in range(22)]
    failures[0].add_note("while hashing")
    verbs.answers["push"] = TransferFailed("push x", failures)
    (line,) = cli("push", *STORE, "x").stderr.splitlines()
    assert line.startswith("error: push x: 22 failures: I/O error: f0: gone (while hashing); I/O error: f1: gone; ")
    assert line.endswith("; and 12 more")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, os.strerror(28), "/full/disk"), "no space left on the filesystem of /full/disk"),
        (PermissionError(13, os.strerror(13), "/secret"), "I/O error: /secret: Permission denied (os error 13)"),
        (LocalError("bad\udcffname\x1b[31m", "gone"), "I/O error: bad\\xffname\\x1b[31m: gone"),
        (LocalError("photo\u202egpj.exe", "gone"), "I/O error: photo\\u202egpj.exe: gone"),
        (LocalError("lone\ud800", "gone"), "I/O error: lone\\ud800: gone"),
    ],
)
def test_a_system_error_names_its_path_and_cannot_steer_the_terminal(
    error: Exception, said: str, verbs: FakeVerbs
) -> None:
    verbs.answers["id"] = error
    run = cli("id", "x")
    assert run.code == 1
    assert run.stderr.startswith(f"error: {said}")
    assert run.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "said"),
    [(MemoryError(), "not enough memory: lower --memory"), (RuntimeError("can't start new thread"), "one more thread")],
)
def test_a_limit_of_the_machine_is_no_bug(error: Exception, said: str, verbs: FakeVerbs) -> None:
    verbs.answers["id"] = error
    run = cli("id", "x")
    assert run.code == 1
    assert said in run.stderr
    assert "bug" not in run.stderr
    assert run.stderr.count("\n") == 1


def test_a_bug_is_one_line_unless_debugging(verbs: FakeVerbs, monkeypatch: pytest.MonkeyPatch) -> None:
    verbs.answers["id"] = KeyError("oops")
    run = cli("id", "x")
    assert run.code == 1
    assert run.stderr.startswith("error: internal error: KeyError: 'oops'; this is a bug: please report it")
    assert run.stderr.count("\n") == 1
    monkeypatch.setenv("SNAPDIR_DEBUG", "1")
    assert "Traceback (most recent call last)" in cli("id", "x").stderr
    verbs.answers["id"] = LocalError("x", "gone")
    assert cli("id", "x").stderr == "error: I/O error: x: gone\n"


def test_color_marks_warnings_when_asked_to(verbs: FakeVerbs) -> None:
    verbs.counted = {"warnings": ["careful"]}
    assert cli("id", "x").stderr == "warning: careful\n"
    assert cli("id", "x", "--color", "never").stderr == "warning: careful\n"
    assert cli("--color", "always", "id", "x").stderr == "\x1b[33mwarning:\x1b[0m careful\n"
