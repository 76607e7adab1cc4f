"""The program: ``snapdir``, and ``python -m snapdir``."""

import gc
import signal
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line.

    Before a verb installs its signal handlers, and after it ends, Ctrl-C ends the process silently instead of with a
    traceback.
    """
    _end_at_interrupt()
    # A snapshot is millions of small tuples without cycles; looking through them again and again costs a tenth of the
    # CPU of `snapdir id` on 200,000 files. Modules imported here are never garbage either.
    gc.set_threshold(100_000, 20, 100)
    from snapdir.cli.main import main as run_command
    from snapdir.cli.process import adapt_to_limits

    adapt_to_limits()

    try:
        run_command()
    finally:
        _end_at_interrupt()


def _end_at_interrupt() -> None:
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else it is ignored: a job in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)


if __name__ == "__main__":
    main()
