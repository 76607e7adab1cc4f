"""System calls that the kernel refuses to one program and its children, by a seccomp filter; needs no root."""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from pathlib import Path

__all__ = ["python_with_refusals", "refuse"]

NUMBERS: dict[str, dict[str, tuple[int, ...]]] = {
    "chmod": {"x86_64": (90, 91, 268, 452), "aarch64": (52, 53, 452)},
    "chown": {"x86_64": (92, 93, 94, 260), "aarch64": (54, 55)},
    "copy_file_range": {"x86_64": (326,), "aarch64": (285,)},
    "thread": {"x86_64": (56, 435), "aarch64": (220, 435)},
    "fork": {"x86_64": (56, 57, 58), "aarch64": (220,)},  # threads start by clone3
}
"""Of every call that has such an effect, by machine."""

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
LOAD_NUMBER, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL_WITH = 0x7FFF0000, 0x00050000


def refuse(name: str, number: int) -> None:
    """Make every such call fail with an errno from now on, in this process and those it starts."""
    calls = NUMBERS[name][platform.machine()]
    program = [(LOAD_NUMBER, 0, 0, 0)]
    program += [(IF_EQUAL, len(calls) - place, 0, call) for place, call in enumerate(calls)]
    program += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, FAIL_WITH | number)]
    filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in program))
    described = ctypes.create_string_buffer(struct.pack("HL", len(program), ctypes.addressof(filters)))
    library = ctypes.CDLL(None, use_errno=True)
    for arguments in ((PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), (PR_SET_SECCOMP, SECCOMP_MODE_FILTER, described, 0, 0)):
        if library.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def python_with_refusals(**refused: int) -> str:
    """Python that refuses calls (``chmod=errno.EPERM``), for the start of a program."""
    lines = [f"import sys; sys.path.append({str(Path(__file__).parents[1])!r})", "from tests import refused_calls"]
    lines += [f"refused_calls.refuse({name!r}, {number})" for name, number in refused.items()]
    return "\n".join(lines)
