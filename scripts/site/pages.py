"""Write the pages of the site: those of docs/, the README and other pages of the project, and generated ones.

python scripts/site/pages.py FOLDER    replaces the folder

Links between pages are rewritten to the new places. Generated are the help of every command, the list of decisions, and
pages for mkdocstrings with the names of ``src/snapdir/__init__.pyi``.
"""

from __future__ import annotations

import ast
import re
import shutil
import sys
from collections.abc import Iterator
from os.path import normpath, relpath
from pathlib import Path, PurePosixPath

import click

from snapdir.cli.main import root

PROJECT = Path(__file__).parents[2]
STYLE = Path(__file__).with_name("site.css")
DECISIONS = "docs/decisions"
PLACES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "benchmarks/README.md": "benchmarks.md",
    "benchmarks/aws_crt/README.md": "aws_workloads.md",
    DECISIONS: "decisions/index.md",
}
LINK = re.compile(r"(?<=\]\()([^)#\s]+)(?=(?:#[^)\s]*)?\))")
CODE = re.compile(r"`[^`\n]+`")
FENCED = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def write(folder: Path) -> None:
    """Replace ``folder`` by the pages and the pictures they show.

    Raises:
        SystemExit: the folder has something else in it.
    """
    if folder.exists():
        if not (folder / "index.md").is_file():
            raise SystemExit(f"{folder} was not written by this script: remove it, or name another folder")
        shutil.rmtree(folder)
    pictures: set[str] = set()
    sources = [*PLACES, *(str(page.relative_to(PROJECT)) for page in sorted((PROJECT / "docs").rglob("*.md")))]
    for source in sources:
        if source.endswith(".md"):
            text, shown = moved((PROJECT / source).read_text(), source)
            put(folder / place(source), text)
            pictures |= shown
    for picture in pictures:
        put(folder / place(picture), (PROJECT / picture).read_bytes())
    for name, text in generated():
        put(folder / name, text)
    put(folder / STYLE.name, STYLE.read_bytes())


def put(file: Path, content: str | bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def place(source: str) -> str:
    """Where a file of the project stands in the site."""
    return PLACES.get(source, source.removeprefix("docs/"))


def moved(text: str, source: str) -> tuple[str, set[str]]:
    """The text of a page with the links of its new place, and the files it needs that are not pages."""
    files: set[str] = set()

    def link(found: re.Match[str]) -> str:
        if ":" in found[1]:
            return found[1]
        target = normpath(PurePosixPath(source).parent / found[1])
        if not target.endswith(".md") and (PROJECT / target).is_file():
            files.add(target)
        return relpath(place(target), PurePosixPath(place(source)).parent)

    pieces = FENCED.split(text)
    pieces[::2] = [CODE.sub(_bare, LINK.sub(link, piece)) for piece in pieces[::2]]
    return "".join(pieces), files


def _bare(code: re.Match[str]) -> str:
    """GitHub shows ``\\|`` in the code of a table as ``|``, Python-Markdown as it is."""
    return code[0].replace("\\|", "|")


def generated() -> Iterator[tuple[str, str]]:
    """Name and text of each page that exists in the site only."""
    yield place(DECISIONS), decisions()
    yield "commands.md", commands()
    groups: dict[str, list[str]] = {"functions": [], "values": [], "errors": []}
    for name, module in public_names():
        groups["errors" if module == "snapdir.errors" else "functions" if name.islower() else "values"].append(name)
    for group, names in groups.items():
        entries = "\n".join(f"::: snapdir.{name}\n" for name in names)
        yield f"api/{group}.md", f"# {group.title()}\n\n{ABOUT[group]}\n\n{entries}"


ABOUT = {
    "functions": (
        "Every function is a coroutine function of `snapdir` and, with the same arguments, a plain function of "
        "`snapdir.blocking`. [From Python](../python.md) shows them in use. A path is a `str` or `os.PathLike`; a "
        "store is a URL or a path."
    ),
    "values": "What the functions take and return.",
    "errors": (
        "Everything that snapdir raises. [Errors](../errors.md) shows which class derives from which, with the codes "
        "and exit codes."
    ),
}


def public_names() -> list[tuple[str, str]]:
    """Each public name and its module, in the order of names."""
    tree = ast.parse((PROJECT / "src/snapdir/__init__.pyi").read_text())
    imported = (node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module != "snapdir")
    found = [(alias.name, node.module or "") for node in imported for alias in node.names]
    defined = [(node.name, "snapdir") for node in tree.body if isinstance(node, ast.FunctionDef)]
    return sorted([*found, *defined])


def decisions() -> str:
    files = sorted((PROJECT / DECISIONS).glob("*.md"))
    titles = ((file.name, file.read_text().partition("\n")[0].removeprefix("# ")) for file in files)
    rows = "\n".join(f"- [{title}]({name})" for name, title in titles)
    return f"# Decisions\n\nChoices with a story, in the order in which they were made.\n\n{rows}\n"


def commands() -> str:
    """The help of every command, as ``snapdir help COMMAND`` prints it."""
    above = click.Context(root, info_name="snapdir", terminal_width=80)
    sections = [
        "# Commands\n\nWhat `snapdir help COMMAND` prints. The [table of commands](index.md#commands) groups them."
    ]
    for name in sorted(root.list_commands(above)):
        verb = root.get_command(above, name)
        if verb is not None:
            ctx = click.Context(verb, parent=above, info_name=name, terminal_width=80)
            sections.append(f"## snapdir {name}\n\n```text\n{verb.get_help(ctx)}\n```")
    return "\n\n".join(sections) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} FOLDER")
    write(Path(sys.argv[1]))
