"""Open a page in headless Chromium, check its console, and take a picture."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

__all__ = ["PROGRAMS", "Unavailable", "opened"]

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
TIMEOUT_SECONDS = 60
_CONSOLE = re.compile(r"^\[[^\]]*:CONSOLE[^\]]*\] (.*)$", re.MULTILINE)


class Unavailable(Exception):
    """Chromium is not installed."""


def opened(page: Path, *, picture: Path | None = None, width: int = 1200, height: int = 900, dark: bool = False) -> str:
    """Load a page and return its elements as text.

    Args:
        picture: A file for a PNG of its top ``width`` by ``height`` pixels.

    Raises:
        Unavailable: no Chromium is installed.
        AssertionError: the page wrote to the console, or Chromium failed.
    """
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        raise Unavailable("no Chromium was found: apt-get install --no-install-recommends chromium")
    with tempfile.TemporaryDirectory(prefix="snapdir-chromium-") as profile:
        options = [
            "--headless",
            "--no-sandbox",  # otherwise it does not start for root; the page is trusted
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
            f"--user-data-dir={profile}",
            f"--window-size={width},{height}",
            f"--blink-settings=preferredColorScheme={0 if dark else 1}",
        ]
        elements = _run([program, *options, "--dump-dom", page.absolute().as_uri()])
        if picture is not None:
            _run([program, *options, f"--screenshot={picture.absolute()}", page.absolute().as_uri()])
    return elements


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0, done.stderr
    messages = _CONSOLE.findall(done.stderr)
    assert not messages, messages
    return done.stdout
