"""The reference implementation (its compiled Python binding) as a process that answers questions.

Both packages are called ``snapdir``, so the reference lives in an environment of its own: ``$SNAPDIR_ORACLE``, by
default ``~/.cache/snapdir-oracle``, made on first use with pip. One process answers all questions of a test run, one
JSON line each way: starting one costs more than hashing a small tree.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import subprocess
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

VERSION = "1.12.0"

# Reads {"call": name, ...} and answers {"value": ...} or {"code": ..., "message": ...}. It leaves through os._exit:
# the binding can crash while the interpreter shuts down.
ANSWERER = r"""
import asyncio, json, os, sys
import snapdir

async def answer(question):
    call = question["call"]
    if call in ("id", "manifest"):
        chosen = dict(no_follow=question.get("no_follow", False), absolute=question.get("absolute", False),
                      exclude=question.get("exclude") or None)
        found = await getattr(snapdir, call)(question["path"], **chosen)
        return found if call == "id" else found.raw
    if call == "diff":
        options = snapdir.DiffOptions.from_refs(question["before"], question["after"])
        return [[found.status, found.path] for found in await snapdir.diff(options)]
    store = snapdir.StoreUri(question["store"])
    if call == "size":
        pinned = {"id": snapdir.SnapshotId(question["id"])} if "id" in question else {}
        found = await snapdir.size(store, **pinned)
        return [found.logical_bytes, found.physical_bytes, found.files, found.objects]
    if call == "push":
        return await snapdir.push(question["path"], store)
    snapshot = snapdir.SnapshotId(question["id"])
    if call == "pull":
        return await snapdir.pull(snapshot, store, question["path"])
    if call == "sync":
        return await snapdir.sync(snapshot, store, snapdir.StoreUri(question["to"]))
    return await snapdir.verify(snapshot, store)

async def main():
    for line in sys.stdin:
        question = json.loads(line)
        os.environ.update(question["environment"])
        os.umask(question["umask"])
        try:
            reply = {"value": await answer(question)}
        except snapdir.SnapdirError as error:
            reply = {"code": error.code, "message": str(error)}
        print(json.dumps(reply), flush=True)

try:
    asyncio.run(main())
finally:
    os._exit(0)
"""


class ReferenceMissing(Exception):
    """pip cannot install the reference here."""


class ReferenceRefused(Exception):
    """The reference raised; ``code`` is its stable error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Reference:
    """A running reference. Ask it, then close it.

    Args:
        cache: Its cache directory, so that the user's own is never touched.

    Attributes:
        environment: Variables for S3 (endpoint, region, keys) that go with every question.
    """

    def __init__(self, cache: Path) -> None:
        self.environment: Mapping[str, str] = {}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SNAPDIR_", "PYTHON"))}
        self._process = subprocess.Popen(
            [_installed(), "-c", ANSWERER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**kept, "XDG_CACHE_HOME": str(cache)},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._answers = self._process.stdin, self._process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._questions.close()
        self._process.wait(timeout=30)
        self._answers.close()

    def id(self, path: Path, **options: Any) -> str:
        return str(self._ask("id", path=str(path), **options))

    def manifest(self, path: Path, **options: Any) -> str:
        return str(self._ask("manifest", path=str(path), **options))

    def push(self, path: Path, store: str) -> str:
        return str(self._ask("push", path=str(path), store=store))

    def pull(self, snapshot_id: str, store: str, into: Path) -> None:
        self._ask("pull", path=str(into), store=store, id=snapshot_id)

    def sync(self, snapshot_id: str, store: str, to: str) -> None:
        self._ask("sync", store=store, to=to, id=snapshot_id)

    def verify(self, snapshot_id: str, store: str) -> bool:
        return bool(self._ask("verify", store=store, id=snapshot_id))

    def diff(self, before: list[str], after: list[str]) -> list[tuple[str, str]]:
        return [(status, path) for status, path in self._ask("diff", before=before, after=after)]

    def size(self, store: str, **pinned: str) -> list[int]:
        """Logical and physical bytes, files and objects."""
        return list(self._ask("size", store=store, **pinned))

    def _ask(self, call: str, **question: Any) -> Any:
        try:
            return self._asked(call, **question)
        except ReferenceRefused as refused:
            if os.strerror(errno.ELOOP) not in str(refused):
                raise
        # A mount elsewhere can make Linux count the links of a path twice: of a tree with a cycle the second try is
        # the one that tells.
        return self._asked(call, **question)

    def _asked(self, call: str, **question: Any) -> Any:
        asked = {"call": call, "umask": _umask(), "environment": dict(self.environment), **question}
        print(json.dumps(asked), file=self._questions, flush=True)
        line = self._answers.readline()
        if not line:
            raise ReferenceRefused("GONE", f"the reference ended with {self._process.wait(timeout=30)} during {call}")
        reply = json.loads(line)
        if "code" in reply:
            raise ReferenceRefused(reply["code"], reply["message"])
        return reply["value"]


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _installed() -> Path:
    """The interpreter that has the reference, which is installed first where it is missing.

    Raises:
        ReferenceMissing: pip cannot install it.
    """
    home = Path(os.environ.get("SNAPDIR_ORACLE") or Path.home() / ".cache" / "snapdir-oracle")
    home.parent.mkdir(parents=True, exist_ok=True)
    # Held while installing: two test runs may want it at once.
    with home.with_name(home.name + ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "ready").exists():
            _install(home)
    return home / "bin" / "python"


def _install(home: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    venv.create(home, with_pip=True)
    command = [home / "bin" / "python", "-m", "pip", "install", "--quiet", f"snapdir=={VERSION}"]
    run = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    if run.returncode != 0:
        raise ReferenceMissing(f"pip cannot install snapdir=={VERSION}, the reference: {run.stderr.strip()[-500:]}")
    (home / "ready").touch()
