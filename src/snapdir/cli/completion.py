"""Shell completion: the scripts that a shell loads, and the answers they ask for while a command line is typed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem, ShellComplete, get_completion_class

from snapdir.cli.commands import COMMANDS
from snapdir.cli.completion_scripts import elvish, powershell

PROGRAM = "snapdir"
VARIABLE = "_SNAPDIR_COMPLETE"
MAX_IDS = 100
KINDS = {"DIR": "dir", "PATH": "dir", "FILE": "file"}
"""Kinds of values in the words of click's scripts."""


def script(root: click.Command, shell: str) -> str:
    """The script that makes ``shell`` complete command lines of this program.

    bash, fish and zsh run the program for completions; the scripts of the other two contain the words.
    """
    if shell in ("elvish", "powershell"):
        return elvish(_vocabulary(root)) if shell == "elvish" else powershell(_vocabulary(root))
    # Not the method of the class for bash, which runs bash to look at its version and may print to stderr.
    return ShellComplete.source(_asked(root, shell))


def answer(root: click.Command, words: str) -> int:
    """Print the completions in the format of a shell; ``words`` is ``bash_complete`` or similar."""
    shell, _, instruction = words.partition("_")
    if instruction != "complete" or get_completion_class(shell) is None:
        return 1
    os.write(1, f"{_asked(root, shell).complete()}\n".encode())
    return 0


def suggest(kind: str, incomplete: str, words: Sequence[str] = ()) -> list[CompletionItem]:
    """Values of a kind (see ``parameters.kind_of``) that begin with ``incomplete``."""
    if words:
        return [CompletionItem(word) for word in words if word.startswith(incomplete)]
    if kind == "ID":
        return [CompletionItem(found) for found in _cached_ids(incomplete)]
    if kind == "COMMAND":
        return [CompletionItem(command) for command in COMMANDS if command.startswith(incomplete)]
    if kind == "STORE":
        from snapdir.stores.urls import BUILT_IN

        urls = [f"{scheme}://" for scheme in BUILT_IN if incomplete and f"{scheme}://".startswith(incomplete)]
        return [CompletionItem(url) for url in urls] or [CompletionItem(incomplete, type="dir")]
    return [CompletionItem(incomplete, type=KINDS[kind])] if kind in KINDS else []


def _asked(root: click.Command, shell: str) -> ShellComplete:
    found = get_completion_class(shell)
    if found is None:
        raise LookupError(shell)
    return found(root, {}, PROGRAM, VARIABLE)


def _vocabulary(root: click.Command) -> dict[str, list[tuple[str, str]]]:
    """For each command, and for none (""), the words that may follow, each with its purpose."""
    verbs = dict(_verbs(root))
    first = [(name, verb.get_short_help_str(80)) for name, verb in verbs.items()]
    return {"": first + _options(root)} | {name: _options(verb) for name, verb in verbs.items()}


def _verbs(root: click.Command) -> Iterator[tuple[str, click.Command]]:
    ctx = click.Context(root, info_name=PROGRAM)
    if isinstance(root, click.Group):
        for name in root.list_commands(ctx):
            verb = root.get_command(ctx, name)
            if verb is not None:
                yield name, verb


def _options(command: click.Command) -> list[tuple[str, str]]:
    options = (option for option in command.params if isinstance(option, click.Option) and not option.hidden)
    return [(option.opts[-1], option.help or "") for option in options]


def _cached_ids(prefix: str) -> list[str]:
    """Ids of cached snapshots that begin with ``prefix``; none if the cache cannot be read."""
    from snapdir.config import default_cache_dir

    if not all(character in "0123456789abcdef" for character in prefix):
        return []
    try:
        return sorted(_ids_below(default_cache_dir() / ".manifests", prefix))[:MAX_IDS]
    except (OSError, RuntimeError):
        return []


def _ids_below(folder: Path, prefix: str) -> Iterator[str]:
    for name in os.listdir(folder):
        if name.startswith(prefix) or prefix.startswith(name):
            rest = prefix.removeprefix(name) if prefix.startswith(name) else ""
            below = folder / name
            yield from (name + found for found in _ids_below(below, rest)) if below.is_dir() else (name,)
