"""Every command has its function in Python, which takes the command's options by their names."""

from __future__ import annotations

import inspect
from importlib.resources import files

import click
import pytest

import snapdir
from snapdir import blocking
from snapdir.cli.main import root

OF_THE_PROGRAM = {"defaults", "autocomplete", "help"}
"""About the command line itself."""
ONLY_SHOWN = {"as_json", "shape", "html", "stat", "name_only", "exit_code", "plot", "force"}
"""What is printed, and how; and a question that only a command line asks."""
OTHER_ARGUMENTS = {
    "cat": {"snapshot_id": "ref"},
    "diff": {"before": "opts", "after": "after", "snapshot_id": "id"},
    "size": {"snapshot_id": "id"},
    "status": {"snapshot_id": "id"},
    "log": {"store": "place"},
    "pull": {"no_cache": "cache"},
    "sync": {"source": "src", "target": "dst"},
}
LATEST = {"labels": snapdir.resolve_id}
OTHER_FUNCTIONS = {
    "fetch": LATEST,
    "ls": LATEST | {"recursive": snapdir.manifest_of, "snapshot_id": snapdir.manifest_of},
    "pull": LATEST,
    "push": {"snapshot_id": snapdir.push_cached},
    "sync": LATEST | {"every": snapdir.sync_all},
    "tag": {"delete": snapdir.delete_tag, "log": snapdir.tag_log, "limit": snapdir.tag_log},
    "verify": LATEST,
}
CONTEXT = click.Context(root, info_name="snapdir")
COMMANDS = [name for name in root.list_commands(CONTEXT) if name not in OF_THE_PROGRAM]


def takes(function: object) -> set[str]:
    return set(inspect.signature(function).parameters)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_its_function(name: str) -> None:
    public = name.replace("-", "_")
    function = getattr(snapdir, public)
    assert inspect.iscoroutinefunction(function) or name == "version"
    assert takes(getattr(blocking, public)) == takes(function)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_function_takes_the_options_of_its_command(name: str) -> None:
    command = root.get_command(CONTEXT, name)
    assert command is not None
    given = [
        option.name or ""
        for option in command.params
        if isinstance(option, click.Option) and option.expose_value and not option.hidden
    ]
    arguments = takes(getattr(snapdir, name.replace("-", "_")))
    others = OTHER_ARGUMENTS.get(name, {})
    elsewhere = set(OTHER_FUNCTIONS.get(name, {}))
    assert {others.get(option, option) for option in given} - ONLY_SHOWN - elsewhere - arguments == set()


def test_the_package_ships_its_types() -> None:
    assert (files("snapdir") / "py.typed").is_file()
    assert (files("snapdir") / "__init__.pyi").is_file()
