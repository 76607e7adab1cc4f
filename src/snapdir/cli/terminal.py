"""The output of the command line: data on stdout, everything else on stderr."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple, TextIO

from snapdir.errors import LocalError, without_secrets
from snapdir.model.tags import newest_push

YELLOW = "\x1b[33m"
RESET = "\x1b[0m"
ERASE_LINE = "\r\x1b[2K"
UNSEEN = "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
"""Line ends, and controls that change the order in which characters are shown."""


class OutputClosed(Exception):
    """The reader of standard output has closed the pipe, as ``| head -1`` does."""


class Terminal(NamedTuple):
    """The two output streams of one run, with the universal flags applied.

    Attributes:
        quiet: Print only data and errors.
        verbose: The banner and per-item lines.
        live: A progress line may be drawn: stderr is a terminal that can erase a line.
        attended: stderr is a terminal.
        events: Everything on stderr is JSON.
        interval_seconds: Between lines about the progress, or events; 0 for none, None for the usual.
        log_level: The least important records of the log to print; empty for none.
        color: stderr may be coloured, and so may a table on a terminal. Data never is.
    """

    quiet: bool = False
    verbose: bool = False
    live: bool = False
    attended: bool = False
    color: bool = False
    events: bool = False
    interval_seconds: float | None = 0.0
    log_level: str = ""

    @classmethod
    def detect(
        cls,
        *,
        quiet: bool,
        verbose: bool,
        progress: str,
        color: str,
        interval_seconds: float | None = None,
        log_level: str = "",
    ) -> Terminal:
        """The terminal for these flags; ``color`` is auto, always or never, ``progress`` auto, json or none."""
        attended = sys.stderr is not None and sys.stderr.isatty()
        capable = attended and os.environ.get("TERM") != "dumb"
        silent = quiet or progress == "none" or (attended and progress == "auto")
        return cls(
            quiet=quiet,
            verbose=verbose and not quiet,
            live=capable and progress == "auto" and not quiet,
            attended=attended,
            events=progress == "json",
            interval_seconds=0.0 if silent else interval_seconds,
            log_level="" if quiet else log_level or ("info" if verbose else "warning" if progress == "json" else ""),
            color=color == "always" or (color == "auto" and capable and not os.environ.get("NO_COLOR")),
        )

    def note(self, text: str) -> None:
        """Print a line that ``--quiet`` drops."""
        if self.events and not self.quiet:
            print_event("note", message=text)
        elif not self.quiet:
            print_error(text)

    def name(self, name: str, snapshot_id: str, chosen_by: Mapping[str, str]) -> None:
        """Say what a name stands for, above a progress line; with labels, what was chosen by them."""
        erase = ERASE_LINE if self.live else ""
        if self.events and not self.quiet:
            print_event("name", name=name, id=snapshot_id, chosen_by=chosen_by)
        elif not self.quiet:
            shown = newest_push(chosen_by) if chosen_by else name
            _print(f"{erase}{printable(f'{shown} is {snapshot_id}')}")

    def detail(self, text: str) -> None:
        """Print a line that only ``--verbose`` shows."""
        if self.verbose:
            self.note(text)

    def warn(self, text: str) -> None:
        """Print a warning, which ``--quiet`` drops."""
        label = f"{YELLOW}warning:{RESET}" if self.color else "warning:"
        if self.events and not self.quiet:
            print_event("warning", message=text)
        elif not self.quiet:
            _print(f"{label} {printable(text)}")


def print_error(text: str) -> None:
    """One line on stderr, also with ``--quiet``."""
    _print(printable(text))


def print_event(event: str, **fields: object) -> None:
    """One event as a line of JSON on stderr, in ASCII; nothing if stderr is closed."""
    import json

    _print(json.dumps({"event": event, **fields}, separators=(",", ":")))


def printable(text: str) -> str:
    """``text`` as one line that cannot steer a terminal: control characters and undecodable bytes are escaped.

    Characters that reverse the reading order are escaped too: a name could look like another.
    """
    decoded = text.encode("utf-8", "surrogateescape" if _only_escaped_bytes(text) else "backslashreplace")
    return "".join(map(_visible, decoded.decode("utf-8", "backslashreplace")))


def visible_json(text: str) -> str:
    """JSON as it is; on a terminal, with every character escaped that could steer it."""
    if sys.stdout is None or not sys.stdout.isatty():
        return text
    return "".join(
        character if character == "\n" or _visible(character) == character else f"\\u{ord(character):04x}"
        for character in text
    )


def _only_escaped_bytes(text: str) -> bool:
    """Whether every lone surrogate stands for a byte of a file name that is not UTF-8."""
    return not any("\ud800" <= character <= "\udfff" and not "\udc80" <= character <= "\udcff" for character in text)


def _visible(character: str) -> str:
    if character >= " " and not "\x7f" <= character <= "\x9f" and character not in UNSEEN:
        return character
    return character.encode("unicode_escape").decode("ascii")


def _print(line: str) -> None:
    line = without_secrets(line)
    # A closed stderr (2>&-, or a pipe whose reader has ended) must not turn a finished verb into a failure.
    with suppress(OSError, ValueError):
        print_to(sys.stderr, line)


def print_to(stream: TextIO | None, line: str) -> None:
    """Write ``line`` at once; characters that the stream cannot encode are escaped."""
    if stream is not None:
        encoding = stream.encoding or "utf-8"
        stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        stream.flush()


def check_output_open() -> None:
    """
    Raises:
        LocalError: stdout was closed when the program started.
    """
    if sys.stdout is None:
        raise LocalError("standard output", "it is closed", errno=errno.EBADF)


def write_output(data: bytes | str) -> None:
    """Write data to stdout, as UTF-8 in every locale, and flush it.

    Raises:
        OutputClosed: the reader has closed the pipe.
        LocalError: stdout cannot be written, for example to a full disk.
    """
    text = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
    check_output_open()
    try:
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()
    except BrokenPipeError as error:
        raise OutputClosed from error
    except OSError as error:
        close_output()
        raise LocalError("standard output", error.strerror or str(error), errno=error.errno) from error


def close_output() -> None:
    """Drop the buffer of stdout, so that the interpreter does not retry it and complain at exit."""
    _drop_buffer(sys.stdout)


def drop_closed_stderr() -> None:
    """If stderr cannot be written, drop its buffer: the interpreter would exit with 120 for it."""
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except (OSError, ValueError):
        _drop_buffer(sys.stderr)


def _drop_buffer(stream: TextIO | None) -> None:
    with suppress(OSError, ValueError, AttributeError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())  # type: ignore[union-attr]  # None is an AttributeError
        os.close(nowhere)
