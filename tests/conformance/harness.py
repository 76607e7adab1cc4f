"""What a case needs: the command line in its own home, small trees, and the contents of a store."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import run as run_process
from typing import TypeVar

import crc32c  # noqa: F401  # its import reads files; verbs import it in their loop, where `free_loop` counts that
from blake3 import blake3
from click.testing import CliRunner

from snapdir.cli.main import root
from tests.cli.conftest import command_line

__all__ = [
    "NO_ID",
    "Processes",
    "Run",
    "Shell",
    "case",
    "digest_of",
    "files",
    "manifests",
    "objects",
    "plant",
    "sharded",
    "unlock",
]

NO_ID = "0" * 64
"""An id that no snapshot has."""

Test = TypeVar("Test", bound=Callable[..., object])
Tree = Mapping[str, "str | bytes | tuple[str | bytes, int]"]
"""Path to content, or to content and mode. A path that ends in ``/`` is an empty directory."""


def case(*ids: str) -> Callable[[Test], Test]:
    """Name the cases of the checklist (``cases.toml``) that a test checks; ``pytest -k MAN-01`` selects it."""

    def claim(test: Test) -> Test:
        test.__dict__.update(dict.fromkeys(ids, True))
        return test

    return claim


@dataclass(frozen=True)
class Run:
    """What one command line did."""

    code: int
    stdout: bytes
    err: str

    @property
    def out(self) -> str:
        return self.stdout.decode()

    @property
    def value(self) -> str:
        """The one word on stdout: an id."""
        return self.out.removesuffix("\n")

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass(frozen=True)
class Shell:
    """Runs snapdir. ``variables`` are environment variables of that run; None takes one away."""

    place: Path

    def __call__(self, *args: str | Path, stdin: bytes = b"", **variables: str | None) -> Run:
        """Run in this process, with any result."""
        done = CliRunner().invoke(root, list(map(str, args)), input=stdin, env=variables)
        assert "internal error" not in done.stderr
        return Run(done.exit_code, done.stdout_bytes, done.stderr)

    def ok(self, *args: str | Path, stdin: bytes = b"", **variables: str | None) -> Run:
        done = self(*args, stdin=stdin, **variables)
        assert done.code == 0, done.err
        return done

    def fails(self, *args: str | Path, stdin: bytes = b"", **variables: str | None) -> Run:
        """Run what must end with 1, say why, and print no data. ``err`` is then without the prefix of errors."""
        done = self(*args, stdin=stdin, **variables)
        assert (done.code, done.stdout) == (1, b""), done.err
        assert "error: " in done.err
        return replace(done, err=done.err.replace("error: ", "", 1))

    def refused(self, *args: str | Path, stdin: bytes = b"", **variables: str | None) -> Run:
        """Run an invalid command line, which must be a usage error."""
        done = self(*args, stdin=stdin, **variables)
        assert (done.code, done.stdout) == (2, b""), done.err
        assert done.err.startswith("error: ")
        return done

    def program(self, *args: str | Path, stdin: bytes = b"", **variables: str | None) -> Run:
        """Run in a process of its own: for relative paths, and for what only a process can show."""
        line = command_line(*map(str, args))
        surroundings = {name: value for name, value in {**os.environ, **variables}.items() if value is not None}
        done = run_process(line, input=stdin, capture_output=True, check=False, env=surroundings)
        return Run(done.returncode, done.stdout, done.stderr.decode())

    def push(self, tree: Path, store: str) -> str:
        """The id of ``tree``, which ``store`` has now."""
        return self.ok("push", "--store", store, tree).value

    def id(self, tree: Path) -> str:
        return self.ok("id", tree).value


class Processes(Shell):
    """A shell that runs everything in processes, for verbs that read and write raw descriptors."""

    def __call__(self, *args: str | Path, stdin: bytes = b"", **variables: str | None) -> Run:
        return self.program(*args, stdin=stdin, **variables)


def plant(folder: Path, tree: Tree) -> Path:
    """Write ``tree`` below ``folder``: files 0644 and directories 0755, whatever the umask."""
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    for path, planted in tree.items():
        content, mode = planted if isinstance(planted, tuple) else (planted, 0o644)
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            file.mkdir(exist_ok=True)
            continue
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(mode)
    for found in [folder, *filter(Path.is_dir, folder.rglob("*"))]:
        found.chmod(0o755)
    return folder


def digest_of(content: str | bytes) -> str:
    return blake3(content.encode() if isinstance(content, str) else content).hexdigest()


def sharded(digest: str) -> str:
    """Where the address ``digest`` is below ``.objects`` or ``.manifests``, as the specification draws it."""
    return f"{digest[:3]}/{digest[3:6]}/{digest[6:9]}/{digest[9:]}"


def files(folder: Path) -> set[str]:
    """Every file below ``folder``, by its path there."""
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def stored(cache: Path) -> set[str]:
    """The files of a cache besides what it remembers of the trees that were read."""
    return {path for path in files(cache) if not path.startswith(".index/")}


def objects(folder: Path) -> set[str]:
    """The digests of the objects a store or cache has."""
    return {path.replace("/", "") for path in files(folder / ".objects")}


def manifests(folder: Path) -> set[str]:
    """The ids of the snapshots a store or cache has."""
    return {path.replace("/", "") for path in files(folder / ".manifests")}


def unlock(file: Path, content: str | bytes) -> None:
    """Overwrite a write-protected object in place."""
    file.chmod(0o644)
    file.write_bytes(content.encode() if isinstance(content, str) else content)
