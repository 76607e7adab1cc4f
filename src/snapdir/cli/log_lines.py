"""``--verbose`` and ``--log-level``: the records of the logger ``snapdir`` as lines on stderr."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from snapdir.cli.terminal import ERASE_LINE, Terminal, print_event, print_to, printable
from snapdir.errors import without_secrets

OF_EVENTS = ("method", "key", "status", "ms", "attempt")
"""Fields of a record of a request."""


class _Lines(logging.Handler):
    """Prints records at once, past the progress line, which is drawn again."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        level, message = record.levelname.lower(), without_secrets(record.getMessage())
        if self._terminal.events:
            fields = {name: record.__dict__[name] for name in OF_EVENTS if name in record.__dict__}
            print_event("log", level=level, message=message, **fields)
            return
        start = ERASE_LINE if self._terminal.live else ""
        with suppress(OSError, ValueError):  # stderr is closed
            print_to(sys.stderr, f"{start}{'' if level == 'info' else f'{level}: '}{printable(message)}")


@contextmanager
def logged(terminal: Terminal) -> Iterator[None]:
    """Print what the block logs at the level of ``terminal``, and above."""
    logger = logging.getLogger("snapdir")
    level, handler = logger.level, _Lines(terminal)
    logger.setLevel(terminal.log_level.upper())
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
