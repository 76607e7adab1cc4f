"""What `import snapdir` costs, seen in a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys

# crc32c takes 40 ms (importlib.metadata), aiofiles 45: both only where bytes move.
LOADED_LATE = ("aiofiles", "botocore", "click", "crc32c", "re2", "rich", "sqlite3", "tqdm", "uvloop")

PROBE = """
import json, sys, threading
import {module}
loops = []
try:
    import asyncio
    loops = [str(asyncio.get_running_loop())]
except RuntimeError:
    pass
print(json.dumps(dict(
    modules=sorted({{name.partition(".")[0] for name in sys.modules}}),
    snapdir=sorted(name for name in sys.modules if name.startswith("snapdir")),
    threads=[thread.name for thread in threading.enumerate()],
    loops=loops,
)))
"""


def probe(module: str) -> dict[str, list[str]]:
    """What an interpreter holds after importing ``module``."""
    run = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROBE.format(module=module)],
        check=True,
        capture_output=True,
        text=True,
        timeout=240,
    )
    held: dict[str, list[str]] = json.loads(run.stdout)
    return held


def test_import_loads_no_network_library_and_no_display() -> None:
    assert not set(probe("snapdir")["modules"]) & set(LOADED_LATE)


def test_import_starts_no_thread_and_no_loop() -> None:
    held = probe("snapdir")
    assert held["threads"] == ["MainThread"]
    assert held["loops"] == []


def test_blocking_is_found_without_an_import_of_its_own() -> None:
    code = "import snapdir; assert 'blocking' in dir(snapdir); print(snapdir.blocking.pull.__module__)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)
    assert "snapdir.blocking" not in probe("snapdir")["snapdir"]


def test_blocking_starts_nothing_before_its_first_call() -> None:
    held = probe("snapdir.blocking")
    assert held["threads"] == ["MainThread"]
    assert not set(held["modules"]) & set(LOADED_LATE)


def test_the_command_line_loads_no_network_library_to_show_its_version() -> None:
    loaded = set(probe("snapdir.cli.main")["modules"]) - {"click"}
    assert not loaded & set(LOADED_LATE)


def test_our_own_connections_load_no_library_for_the_web() -> None:
    """``http.client`` takes 10 ms, and ``email`` 3 of them; one import of the standard library may bring both."""
    loaded = set(probe("snapdir.stores.s3.store")["modules"])
    assert not loaded & {"http", "email", "botocore"}
