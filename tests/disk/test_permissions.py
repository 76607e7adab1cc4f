"""The umask of this process, read without changing it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from snapdir.disk.permissions import current_umask


@pytest.mark.parametrize("umask", ["000", "022", "027", "777"])
def test_the_umask_is_that_of_the_process(umask: str) -> None:
    code = "from snapdir.disk.permissions import current_umask; print(f'{current_umask():03o}')"
    command = f'umask {umask}; exec "$0" -B -c "$1"'
    printed = subprocess.run(
        ["sh", "-c", command, sys.executable, code], capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == umask


@pytest.mark.parametrize("text", [None, "Name:\tx\n", "Umask:\tnone\n"])
def test_a_system_that_does_not_tell_is_taken_for_the_usual(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str | None
) -> None:
    status = tmp_path / "status"
    if text is not None:
        status.write_text(text)
    real = open
    with monkeypatch.context() as patch:
        patch.setattr("builtins.open", lambda *_, **options: real(status, **options))
        found = current_umask()
    assert found == 0o022
