"""Shell completion, and the scripts that install it."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snapdir.cli.commands.help import SHELLS
from snapdir.cli.completion import suggest
from tests.needed import needed

from .conftest import ID, OTHER_ID, SOURCE, cli, program

PATIENCE_SECONDS = 60


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_has_a_script_that_never_changes(shell: str) -> None:  # SURF-10, SURF-12
    run = cli("autocomplete", shell)
    assert (run.code, run.stderr) == (0, "")
    assert "snapdir" in run.stdout
    assert run.stdout == cli("autocomplete", shell).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completions_is_the_same_verb(shell: str) -> None:  # SURF-13
    assert cli("completions", shell).stdout == cli("autocomplete", shell).stdout


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_finds_no_mistake_in_its_script(shell: str) -> None:  # SURF-11
    script = cli("autocomplete", shell).stdout
    checked = subprocess.run([needed(shell), "-n"], input=script.encode(), capture_output=True, timeout=60, check=False)
    assert (checked.returncode, checked.stderr) == (0, b"")


@pytest.mark.parametrize("shell", ["elvish", "powershell"])
def test_a_script_that_cannot_ask_holds_verbs_and_options(shell: str) -> None:
    script = cli("autocomplete", shell).stdout
    assert "'verify-cache'" in script
    assert "'--store'" in script


@pytest.mark.parametrize("word", ["tcsh", "BASH", ""])
def test_an_unknown_shell_is_told_all_that_are_known(word: str) -> None:  # SURF-14, SURF-16
    run = cli("autocomplete", word)
    assert (run.code, run.stdout) == (2, "")
    assert "bash, elvish, fish, powershell or zsh" in run.stderr


def test_a_shell_must_be_named() -> None:  # SURF-15
    run = cli("autocomplete")
    assert (run.code, run.stdout) == (2, "")
    assert "<SHELL>" in run.stderr


def test_the_help_says_how_to_wire_it() -> None:  # SURF-17
    text = cli("autocomplete", "--help").stdout
    assert 'eval "$(snapdir autocomplete bash)"' in text
    assert 'eval "$(snapdir autocomplete zsh)"' in text


def asked(line: str) -> list[str]:
    """The answer to bash for a command line whose last word is being typed."""
    words = line.split(" ")
    env = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1), "_SNAPDIR_COMPLETE": "bash_complete"}
    run = program(env={**os.environ, **env})
    assert (run.code, run.stderr) == (0, "")
    return run.stdout.split()


def test_what_may_come_next_is_offered(tmp_path: Path) -> None:
    assert asked("snapdir pu") == ["plain,push", "plain,pull"]
    assert asked("snapdir push --sto") == ["plain,--store", "plain,--storage-class"]
    assert asked("snapdir push --color al") == ["plain,always"]
    assert asked("snapdir push ./d") == ["dir,./d"]
    assert asked("snapdir push --store s") == ["plain,s3://"]
    assert asked("snapdir nonsense x") == []
    assert asked("snapdir help pus") == ["plain,push"]


def test_ids_of_the_cache_are_offered_by_their_beginning(tmp_path: Path) -> None:
    for identifier in (ID, OTHER_ID):
        file = tmp_path / "cache/.manifests" / identifier[:3] / identifier[3:6] / identifier[6:9] / identifier[9:]
        file.parent.mkdir(parents=True)
        file.touch()
    assert asked("snapdir checkout --id ab") == [f"plain,{ID}"]
    assert asked(f"snapdir checkout --id {OTHER_ID[:20]}") == [f"plain,{OTHER_ID}"]
    assert len(asked("snapdir checkout --id ")) == 2
    assert [item.value for item in suggest("ID", "nothing")] == []


def test_answering_a_shell_loads_nothing_heavy() -> None:
    probe = (
        "import os, sys; os._exit = lambda code: None; sys.argv = ['snapdir']\n"
        "from snapdir.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "heavy = {'anyio', 'asyncio', 'botocore', 'blake3', 'crc32c', 're2', 'rich', 'sqlite3'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    env = {"COMP_WORDS": "snapdir push --store", "COMP_CWORD": "2", "_SNAPDIR_COMPLETE": "bash_complete"}
    run = subprocess.run(
        [sys.executable, "-c", probe], env={**os.environ, **env}, capture_output=True, text=True, timeout=60, check=True
    )
    assert (run.stdout, run.stderr) == ("plain,--store\n", "[]\n")


@contextmanager
def typing(*shell: str, path: Path) -> Iterator[Typist]:
    pid, descriptor = pty.fork()
    if pid == 0:
        env = {
            **os.environ,
            "PATH": f"{path}:{os.environ['PATH']}",
            "TERM": "dumb",
            "PS1": "ready> ",
            "PROMPT": "ready> ",
        }
        os.execvpe(shell[0], list(shell), env)  # noqa: S606
    try:
        yield Typist(descriptor)
    finally:
        os.close(descriptor)
        os.waitpid(pid, 0)


class Typist:
    """A user at a terminal."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def type(self, text: str, *, until: str) -> None:
        """Type, and wait until the screen shows the expected text."""
        os.write(self._descriptor, text.encode())
        self.wait(until)

    def wait(self, until: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (found := re.search(until, self._seen)):
            ready, _, _ = select.select([self._descriptor], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"{until!r} never appeared; the screen holds {self._seen!r}"
            self._seen += os.read(self._descriptor, 65536).decode("utf-8", "replace")
        self._seen = self._seen[found.end() :]


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A directory for PATH with the program in it."""
    file = tmp_path / "bin" / "snapdir"
    file.parent.mkdir()
    file.write_text(f'#!/bin/sh\nPYTHONPATH={SOURCE} exec {sys.executable} -m snapdir "$@"\n')
    file.chmod(0o755)
    return file.parent


@pytest.mark.parametrize(
    ("shell", "wiring"),
    [
        (("bash", "--norc", "--noprofile"), 'eval "$(snapdir autocomplete bash)"'),
        (("zsh", "-f"), 'autoload -U compinit; compinit -u -D; eval "$(snapdir autocomplete zsh)"'),
    ],
    ids=["bash", "zsh"],
)
def test_a_line_is_completed_as_it_is_typed(
    shell: tuple[str, ...], wiring: str, installed: Path, tmp_path: Path
) -> None:
    needed(shell[0])
    (tmp_path / "current" / "dataset").mkdir()
    with typing(*shell, path=installed) as typist:
        typist.wait("ready> ")
        typist.type(f"{wiring}; echo wi''red\n", until="\r\nwired(?s:.*)ready> ")
        typist.type("snapdir check\t", until="checkout ")
        typist.type("--prese\t", until="--preserve-special-modes ")
        typist.type("./data\t", until="dataset/")
