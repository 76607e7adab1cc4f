"""Test a sample of mutants of the code. Run it with ``scripts/mutate``.

A mutant is the code with one operator, number, condition, loop or ``except`` changed by cosmic-ray. A place in the code
is drawn first, then one of its changes, so that a place with many possible changes counts once. Type annotations,
decorators of classes, the star before keyword-only parameters, and the numbers of tuning constants (their names end in
a unit) are left out.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import NamedTuple

from cosmic_ray.ast import ast_nodes, get_ast
from cosmic_ray.mutating import mutate_code
from cosmic_ray.plugins import get_operator, operator_names

PROJECT = Path(__file__).parent.parent
FOLDERS = ("model", "hashing", "disk", "repository", "transfer", "stores/s3")
TUNING = (
    "_SECONDS",
    "_BYTES",
    "_FILES",
    "_FACTOR",
    "_SHARE",
    "_AT_ONCE",
    "_STREAMS",
    "_LEVELS",
    "_TRIES",
)
LEFT_OUT = frozenset({"core/NoOp", "core/RemoveDecorator"})
MEMORY_BYTES = 12 << 30
"""Address space of one test run: a mutant may allocate without end."""
SLOWER = 4
"""A run hangs if it takes this many times the seconds of the unchanged code, plus START_SECONDS."""
START_SECONDS = 30
HANGS_SECONDS = 60
"""A test that takes this long has failed; the longest takes a tenth of it."""

Position = tuple[int, int]


class Place(NamedTuple):
    """A place in a module, and its changes: (operator, index among the places of that operator)."""

    module: str
    start: Position
    changes: tuple[tuple[str, int], ...]


class Mutant(NamedTuple):
    module: str
    line: int
    operator: str
    code: str
    diff: str


class Verdict(NamedTuple):
    mutant: Mutant
    killed: bool
    seconds: float


def modules_of(folder: str) -> list[str]:
    files = (PROJECT / "src/snapdir" / folder).rglob("*.py")
    return sorted(str(file.relative_to(PROJECT)) for file in files if file.name != "__init__.py")


def folder_of(module: str) -> str:
    return next(folder for folder in FOLDERS if module.startswith(f"src/snapdir/{folder}/"))


def places_of(module: str) -> list[Place]:
    text = (PROJECT / module).read_text()
    lines = text.splitlines()
    tree = get_ast(text)
    silent = [*_silent_ranges(ast.parse(text))]
    changes: defaultdict[Position, list[tuple[str, int]]] = defaultdict(list)
    for name in operator_names():
        operator_class = get_operator(name)
        if name in LEFT_OUT or operator_class.arguments():
            continue
        operator = operator_class()
        positions = (start for node in ast_nodes(tree) for start, _ in operator.mutation_positions(node))
        for occurrence, start in enumerate(positions):
            only_by_name = lines[start[0] - 1][start[1] :].startswith("*,")
            if not only_by_name and not any(first <= start < last for first, last in silent):
                changes[start].append((name, occurrence))
    return [Place(module, start, tuple(found)) for start, found in sorted(changes.items())]


def _silent_ranges(tree: ast.Module) -> Iterator[tuple[Position, Position]]:
    """Annotations, decorators of classes, and tuning constants."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg | ast.AnnAssign) and node.annotation is not None:
            yield _range(node.annotation)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.returns is not None:
            yield _range(node.returns)
        elif isinstance(node, ast.ClassDef):
            yield from map(_range, node.decorator_list)
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]).endswith(TUNING):
            yield _range(statement)


def _range(node: ast.expr | ast.stmt) -> tuple[Position, Position]:
    return (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or 0)


def drawn(places: Sequence[Place], count: int, seed: int) -> list[Mutant]:
    chance = random.Random(seed)
    mutants: list[Mutant] = []
    for place in chance.sample(places, len(places)):
        if len(mutants) == count:
            break
        mutant = _mutant(place, *chance.choice(place.changes))
        if _compiles(mutant.code):
            mutants.append(mutant)
    return mutants


def _mutant(place: Place, operator: str, occurrence: int) -> Mutant:
    before = (PROJECT / place.module).read_text()
    after = mutate_code(before, get_operator(operator)(), occurrence)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    changed = [line for line in lines if line[:1] in "+-" and line[:3] not in ("---", "+++")]
    return Mutant(place.module, place.start[0], operator.partition("/")[2], after, "\n".join(changed))


def _compiles(code: str) -> bool:
    """Whether the code compiles: cosmic-ray also changes the star before parameters or arguments."""
    try:
        ast.parse(code)
    except SyntaxError:
        return False
    return True


class Copy:
    """A copy of the project in which one mutant at a time is tested.

    Attributes:
        output: The output of the last complete test run.
    """

    output = ""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", ".venv", ".git", ".*_cache", "results")
        shutil.copytree(PROJECT, folder, ignore=ignored, symlinks=True)

    def passes(self, module: str, *, seconds: float | None = None) -> bool:
        """Whether the tests of a module's folder pass; those of the module run first."""
        tests = f"tests/{folder_of(module)}"
        path = Path(module).relative_to("src/snapdir")
        own = f"tests/{path.parent}/test_{path.stem}.py"
        chosen = [own, tests] if (self.folder / own).exists() else [tests]
        with tempfile.TemporaryDirectory(prefix="mutant.") as temporary:
            options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider", f"--timeout={HANGS_SECONDS}"]
            command = [sys.executable, "-m", "pytest", *options, *chosen]
            return self._runs(command, Path(temporary), seconds)

    def _runs(self, command: list[str], temporary: Path, seconds: float | None) -> bool:
        # Namespaces end every process and mount of a test with it, even if a mutant hangs.
        alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"] if os.geteuid() == 0 else []
        limited = ["prlimit", f"--as={MEMORY_BYTES}"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TMPDIR": str(temporary),
        }
        with (temporary / "output").open("w+b") as output:
            try:
                ended = subprocess.run(
                    [*alone, *limited, *command],
                    cwd=self.folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return False
            output.seek(0)
            self.output = output.read().decode(errors="replace")
        return ended.returncode == 0

    def judge(self, mutant: Mutant, seconds: float) -> Verdict:
        file = self.folder / mutant.module
        before = file.read_text()
        began = time.monotonic()
        file.write_text(mutant.code)
        try:
            killed = not self.passes(mutant.module, seconds=seconds)
        finally:
            file.write_text(before)
        return Verdict(mutant, killed, time.monotonic() - began)


def measured(copy: Copy, folders: Sequence[str]) -> dict[str, float]:
    """Seconds that the tests of each folder take with the unchanged code.

    Raises:
        SystemExit: they fail.
    """
    seconds = {}
    for folder in folders:
        began = time.monotonic()
        if not copy.passes(f"src/snapdir/{folder}/none.py"):
            raise SystemExit(f"{copy.output}\ntests/{folder} fails with the unchanged code")
        seconds[folder] = time.monotonic() - began
        print(f"tests/{folder}: {seconds[folder]:.0f} s", flush=True)
    return seconds


def judged(mutants: Sequence[Mutant], jobs: int) -> Iterator[Verdict]:
    with tempfile.TemporaryDirectory(prefix="snapdir-mutate.") as name, ThreadPoolExecutor(jobs) as pool:
        copies: SimpleQueue[Copy] = SimpleQueue()
        for number in range(jobs):
            copies.put(Copy(Path(name, str(number))))
        first = copies.get()
        seconds = measured(first, sorted({folder_of(mutant.module) for mutant in mutants}))
        copies.put(first)

        def judge(mutant: Mutant) -> Verdict:
            copy = copies.get()
            try:
                return copy.judge(mutant, START_SECONDS + SLOWER * seconds[folder_of(mutant.module)])
            finally:
                copies.put(copy)

        yield from pool.map(judge, mutants)


def report(verdicts: Sequence[Verdict]) -> None:
    total = Counter(folder_of(verdict.mutant.module) for verdict in verdicts)
    killed = Counter(folder_of(verdict.mutant.module) for verdict in verdicts if verdict.killed)
    print("\n| folder | mutants | killed |\n|---|---|---|")
    for folder in FOLDERS:
        if total[folder]:
            print(f"| {folder} | {total[folder]} | {killed[folder]} ({killed[folder] / total[folder]:.0%}) |")
    print(f"| all | {len(verdicts)} | {killed.total()} ({killed.total() / max(1, len(verdicts)):.0%}) |")


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw mutants and test them.")
    parser.add_argument("--sample", type=int, default=150, metavar="N", help="number of mutants")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="seed of the draw")
    parser.add_argument("--jobs", type=int, default=2, metavar="J", help="mutants tested at once")
    parser.add_argument("--module", action="append", default=[], help="draw from this module only; repeatable")
    parser.add_argument("--list", action="store_true", help="print the mutants without testing them")
    options = parser.parse_args()
    modules = options.module or [module for folder in FOLDERS for module in modules_of(folder)]
    places = [place for module in modules for place in places_of(module)]
    mutants = drawn(places, options.sample, options.seed)
    print(f"{len(mutants)} mutants of {len(places)} places in {len(modules)} modules, seed {options.seed}", flush=True)
    if options.list:
        for mutant in mutants:
            print(f"{mutant.module}:{mutant.line} {mutant.operator}\n{mutant.diff}")
        return 0
    verdicts = []
    for verdict in judged(mutants, options.jobs):
        verdicts.append(verdict)
        mutant = verdict.mutant
        word = "killed" if verdict.killed else "SURVIVED"
        print(f"{word} {mutant.module}:{mutant.line} {mutant.operator} ({verdict.seconds:.0f} s)", flush=True)
        if not verdict.killed:
            print(mutant.diff, flush=True)
    report(verdicts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
