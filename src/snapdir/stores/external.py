"""A store served by a program: ``snapdir-NAME-store`` on PATH prints shell scripts that transfer whole snapshots.

It does not implement ``Store``: it has no keys, only snapshots, and directories in the layout of a store.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from snapdir.disk.system import inherited_file
from snapdir.errors import HIDDEN, ManifestNotFound, StoreProgramFailed, secrets_of, without_secrets
from snapdir.model.digest import Digest
from snapdir.model.sizes import MIB, format_size
from snapdir.stores.programs import Finished, run_program
from snapdir.stores.urls import StoreURL

PROLOGUE = "set -eEuo pipefail; trap 'kill 0' INT"
FAILED = b"ERROR:"
NOT_THERE = "no such program on PATH"
MAX_MESSAGE_CHARACTERS = 500
MAX_SCRIPT_BYTES = 256 * MIB
MAX_MANIFEST_BYTES = 512 * MIB
MAX_ARGUMENT_BYTES = 100_000
"""Linux limits an argument to 128 KiB; a longer script goes through a descriptor."""


class ExternalStore:
    """One store that a program serves.

    Each call gets a script from the program, and runs it. A call fails if the program or the script exits with a code
    other than 0, or if the script prints ``ERROR:``. The results are not trusted: callers hash them before use.
    """

    def __init__(self, url: StoreURL) -> None:
        self.url = str(url)
        self.program = f"snapdir-{url.scheme}-store"

    def require(self) -> None:
        """Check that the program is on PATH. Blocking.

        Raises:
            StoreProgramFailed: The program is not on PATH.
        """
        if shutil.which(self.program) is None:
            raise self._not_started(self.program, NOT_THERE)

    async def read_manifest(self, snapshot_id: Digest) -> bytes:
        """The text of a manifest, unverified.

        Raises:
            ManifestNotFound: The store has no such snapshot.
            StoreProgramFailed: The program cannot be run, or failed.
        """
        step = f"get-manifest-command for {snapshot_id}"
        command = ["get-manifest-command", "--id", snapshot_id, "--store", self.url]
        done = await self._run_script(command, step, max_bytes=MAX_MANIFEST_BYTES)
        if done.code != 0 and f"ID '{snapshot_id}' not found on --store".encode() in done.errors:
            raise ManifestNotFound(snapshot_id, without_secrets(self.url))
        # A manifest may contain the text in the name of a file.
        self._check(step, done._replace(has_text=FAILED in done.errors), MAX_MANIFEST_BYTES)
        return done.result

    async def fetch_objects(self, snapshot_id: Digest, manifest: bytes, into: Path) -> None:
        """Fetch the objects of ``manifest`` into ``into``, a directory in the layout of a store. They are unverified.

        Raises:
            StoreProgramFailed: The program cannot be run, or failed.
        """
        step = f"get-fetch-files-command for {snapshot_id}"
        command = ["get-fetch-files-command", "--id", snapshot_id, "--store", self.url, "--cache-dir", os.fspath(into)]
        self._check(step, await self._run_script(command, step, stdin=manifest), None)

    async def push(self, snapshot_id: Digest, staging: Path) -> None:
        """Push a snapshot from ``staging``, a directory in the layout of a store.

        Raises:
            StoreProgramFailed: The program cannot be run, or failed.
        """
        step = f"get-push-command for {snapshot_id}"
        command = ["get-push-command", "--id", snapshot_id, "--staging-dir", os.fspath(staging), "--store", self.url]
        self._check(step, await self._run_script(command, step), None)

    async def _run_script(
        self, call: Sequence[str], step: str, *, stdin: bytes = b"", max_bytes: int = MIB
    ) -> Finished:
        printed = await self._run([self.program, *call], stdin=stdin, max_bytes=MAX_SCRIPT_BYTES)
        if printed.code != 0:
            return printed
        self._check(step, printed, MAX_SCRIPT_BYTES)
        with ExitStack() as script:
            # In threads: on systems without files in memory, the script is a file on a disk.
            command, descriptors = await anyio.to_thread.run_sync(script.enter_context, _bash(printed.result))
            try:
                return await self._run(command, max_bytes=max_bytes, watch_for=FAILED, pass_fds=descriptors)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.to_thread.run_sync(script.close)

    async def _run(
        self,
        command: Sequence[str],
        *,
        max_bytes: int,
        stdin: bytes = b"",
        watch_for: bytes = b"",
        pass_fds: Sequence[int] = (),
    ) -> Finished:
        try:
            return await run_program(
                command, stdin=stdin, max_result_bytes=max_bytes, watch_for=watch_for, pass_fds=pass_fds
            )
        except OSError as error:
            reason = NOT_THERE if isinstance(error, FileNotFoundError) else error.strerror or str(error)
            raise self._not_started(command[0], reason) from error

    def _not_started(self, program: str, reason: str) -> StoreProgramFailed:
        message = f"failed to spawn store binary '{program}': {reason} (needed for {self.url})"
        return StoreProgramFailed(self.program, message)

    def _check(self, step: str, done: Finished, max_bytes: int | None) -> None:
        if max_bytes is not None and done.truncated:
            raise StoreProgramFailed(self.program, f"{self.program}: {step} printed more than {format_size(max_bytes)}")
        if done.code != 0 or done.has_text:
            how = f"ended with exit code {done.code}" if done.code else "reported a failure"
            raise StoreProgramFailed(self.program, f"{self.program}: {step} {how}: {self._message(done)}")

    def _message(self, done: Finished) -> str:
        """The most useful line of output: the last with ERROR:, else the last. Without secrets."""
        lines = [line for line in (done.errors or done.result).decode("utf-8", "replace").splitlines() if line.strip()]
        reported = [line for line in lines if FAILED.decode() in line]
        message = (reported or lines or ["no message"])[-1].strip()
        for secret in secrets_of(self.url):
            message = message.replace(secret, HIDDEN)
        return message[:MAX_MESSAGE_CHARACTERS]  # cut last, so that a secret is always replaced whole


@contextmanager
def _bash(script: bytes) -> Iterator[tuple[list[str], list[int]]]:
    """The command line that runs ``script``, and the descriptors it needs."""
    if len(script) <= MAX_ARGUMENT_BYTES:
        yield ["bash", "-c", f"{PROLOGUE}; {os.fsdecode(script)}\nwait"], []
        return
    with inherited_file(script + b"\nwait\n") as (path, descriptors):
        yield ["bash", "-c", f"{PROLOGUE}; source {shlex.quote(path)}"], descriptors
