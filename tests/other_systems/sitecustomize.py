"""Python without Linux-only calls and /proc, imported by every Python that has this folder in its path.

The package must not notice. Tests themselves may look into /proc: what they do there is refused to the package alone.
"""

from __future__ import annotations

import builtins
import ctypes
import fcntl
import functools
import io
import os
import socket
import sys
from collections.abc import Callable
from typing import Any

PACKAGE = f"{os.sep}snapdir{os.sep}"
FICLONE = 0x40049409
OF_LINUX = (
    *("O_PATH", "O_TMPFILE", "O_DIRECT", "RWF_NOWAIT", "SEEK_DATA", "SEEK_HOLE"),
    *("copy_file_range", "sendfile", "memfd_create", "posix_fadvise", "posix_fallocate", "sched_getaffinity"),
    *("eventfd", "splice", "getxattr", "setxattr"),
)
GONE = ("/proc", "/dev/fd")


def is_asked_by_the_package() -> bool:
    """Whether the call comes from the package, if need be by way of the standard library."""
    frame = sys._getframe(2)
    for _ in range(4):
        if PACKAGE in frame.f_code.co_filename and "tests" not in frame.f_code.co_filename:
            return True
        if frame.f_back is None:
            return False
        frame = frame.f_back
    return False


def without_proc(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        path = args[0] if args else None
        if isinstance(path, str | os.PathLike) and str(path).startswith(GONE) and is_asked_by_the_package():
            raise FileNotFoundError(2, "No such file or directory", path)
        return function(*args, **options)

    for known in (os.supports_dir_fd, os.supports_fd, os.supports_follow_symlinks):
        if function in known:
            known.add(call)
    return call


def ioctl(descriptor: Any, request: int, *args: Any) -> Any:
    if request == FICLONE:
        raise OSError(25, "Inappropriate ioctl for device")
    return real_ioctl(descriptor, request, *args)


class Library(ctypes.CDLL):
    """The C library of another system."""

    def __getattr__(self, name: str) -> Any:
        if name in ("syncfs", "mallopt", "prctl"):
            raise AttributeError(name)
        return super().__getattr__(name)


for name in OF_LINUX:
    if hasattr(os, name):
        delattr(os, name)
if sys.version_info >= (3, 13):
    os.process_cpu_count = os.cpu_count  # as it is where Python was built without sched_getaffinity
for name in ("MSG_MORE", "SO_BINDTODEVICE", "TCP_QUICKACK", "TCP_USER_TIMEOUT"):
    if hasattr(socket, name):
        delattr(socket, name)
real_ioctl, fcntl.ioctl = fcntl.ioctl, ioctl
ctypes.CDLL = Library  # type: ignore[misc]
for name in ("stat", "lstat", "open", "listdir", "readlink", "chmod", "scandir"):
    setattr(os, name, without_proc(getattr(os, name)))
builtins.open = io.open = without_proc(open)
