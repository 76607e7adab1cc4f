"""Every error class can be pickled and copied without loss; open objects raise a clear error instead."""

from __future__ import annotations

import copy
import inspect
import os
import pickle
import pkgutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import crc32c  # noqa: F401  # its first import reads a file, here before any loop runs
import pytest

import snapdir
from snapdir import blocking
from snapdir.config import Config
from snapdir.errors import LocalError, SnapdirError, TransferFailed
from snapdir.model.manifest import Manifest
from snapdir.stores.urls import StoreUri, StoreURL

EXAMPLES: dict[str, object] = {
    "advice": "the way out",
    "actual": "cd" * 32,
    "allowed": 100,
    "count": 3,
    "digest": "ab" * 32,
    "errno": 13,
    "error_code": "NoSuchThing",
    "exceptions": (LocalError("/a", "gone", errno=2), snapdir.errors.ObjectNotFound("k")),
    "expected": "ab" * 32,
    "failures": [("/a", "gone"), ("/b", "denied")],
    "key": ".objects/ab",
    "can_be_id": False,
    "matches": ["ab" * 32, "ac" * 32],
    "is_directory": True,
    "labels": {"stage": "clean"},
    "message": "it failed",
    "name": "v1",
    "names": ("v1", "v2"),
    "options": "--include '*.txt'",
    "path": "/data/file",
    "paths": ["a", "b"],
    "places": ["the cache", "./store"],
    "prefix": "ab",
    "program": "snapdir-x-store",
    "reason": "for a reason",
    "received": 7,
    "retry_after_seconds": 2.5,
    "side": "from",
    "signal_name": "SIGKILL",
    "similar": ("a/b", "a/c"),
    "size": 200,
    "snapshot_id": "ab" * 32,
    "status": 503,
    "store": "./store",
    "text": "text",
    "what": "shrank",
    "where": "./store",
}
"""A value for each parameter of a constructor, by its name."""


def classes_below(root: type) -> Iterator[type]:
    for kind in root.__subclasses__():
        yield kind
        yield from classes_below(kind)


def every_class() -> list[type[SnapdirError]]:
    for module in pkgutil.walk_packages(snapdir.__path__, "snapdir."):
        if not module.name.endswith("__main__"):
            import_module(module.name)
    found = {kind for kind in classes_below(SnapdirError) if kind.__module__.startswith("snapdir.")}
    return sorted({SnapdirError, *found}, key=lambda kind: kind.__name__)


def example(kind: type[SnapdirError]) -> SnapdirError:
    """One with every argument given. A parameter without an example is a KeyError: add one above."""
    positional, named = [], {}
    own = inspect.isfunction(kind.__init__)  # else it takes a message, as Exception does
    for parameter in inspect.signature(kind).parameters.values() if own else ():
        if parameter.kind is parameter.KEYWORD_ONLY:
            named[parameter.name] = EXAMPLES[parameter.name]
        else:
            positional.append(EXAMPLES[parameter.name])
    error = kind(*(positional or ["it failed"]), **named)
    error.add_note("while pushing d")
    error.__cause__ = OSError(13, "Permission denied", "/data/file")
    return error


def pickled(value: Any, protocol: int | None = None) -> Any:
    """What another process gets."""
    return pickle.loads(pickle.dumps(value, protocol))  # noqa: S301  # our own


WAYS: dict[str, Callable[[SnapdirError], SnapdirError]] = {
    **{f"pickle {number}": partial(pickled, protocol=number) for number in range(pickle.HIGHEST_PROTOCOL + 1)},
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_every_error_stays_what_it_is(kind: type[SnapdirError], way: str) -> None:
    error = example(kind)
    again = WAYS[way](error)
    assert type(again) is kind
    assert (str(again), repr(again)) == (str(error), repr(error))
    assert (again.code, again.exit_code) == (error.code, error.exit_code)
    assert again.__notes__ == ["while pushing d"]
    assert facts(again) == facts(error)
    assert str(again.__cause__) == str(error.__cause__)


def facts(error: SnapdirError) -> dict[str, object]:
    """Its attributes; errors inside it by what they say."""
    return {name: str(value) for name, value in vars(error).items()} | {
        "exceptions": [facts(one) for one in getattr(error, "exceptions", ())]
    }


def with_secrets(value: object) -> object:
    """The same, with a URL that holds credentials for every text in it."""
    if isinstance(value, str):
        return "other://user:CANARY@host/x?token=CANARY"
    if isinstance(value, list | tuple):
        return type(value)(map(with_secrets, value))
    return value


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_no_error_shows_credentials(kind: type[SnapdirError], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EXAMPLES.items():
        monkeypatch.setitem(EXAMPLES, name, with_secrets(value))
    error = example(kind)
    error.add_note("while reading other://CANARY@host")
    for shown in (str(error), repr(error), *error.__notes__, *traceback.format_exception_only(error)):
        assert "CANARY" not in shown
    assert "CANARY" not in str(pickled(error))


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
def test_an_error_made_of_a_message_alone_says_it_or_refuses(kind: type[SnapdirError]) -> None:
    """The data loader of torch makes the error of a worker anew: ``kind(message)``, and another one on TypeError."""
    try:
        error = kind("Caught it in worker 3.")
    except TypeError:
        return
    assert "worker 3" in str(error)


def test_a_cause_that_cannot_be_pickled_stays_behind() -> None:
    error = SnapdirError("it failed")
    error.__cause__ = type("Foreign", (Exception,), {})()
    again = pickled(error)
    assert (str(again), again.__cause__) == ("it failed", None)


def test_several_made_of_a_message_alone_hold_it() -> None:
    """As the data loader does where a class has ``message``."""
    error = TransferFailed(message="Caught it in worker 3.")
    assert [str(one) for one in error.exceptions] == ["Caught it in worker 3."]


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[str, str, str]:
    """A snapshot whose objects are damaged: its id, its store, and a cache."""
    tree, store = tmp_path / "tree", tmp_path / "store"
    tree.mkdir()
    for number in range(2):
        (tree / f"file{number}").write_text(f"content {number}")
    config = Config(cache_dir=tmp_path / "cache")
    snapshot_id = blocking.push(tree, str(store), config=config)
    for file in (store / ".objects").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
            file.write_text("damaged")
    return snapshot_id, str(store), str(tmp_path / "cache")


POOL = """
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from snapdir import SnapdirError, blocking
from snapdir.config import Config


def pull(snapshot_id, store, cache, destination):
    blocking.pull(snapshot_id, store, destination, config=Config(cache_dir=Path(cache)))


def report(wait):
    try:
        wait()
    except SnapdirError as error:
        leaves = getattr(error, "exceptions", (error,))
        print(error.code, *sorted({f"{type(leaf).__name__} {len(leaf.expected)}" for leaf in leaves}))


if __name__ == "__main__":
    spawned = multiprocessing.get_context(sys.argv[1])
    with spawned.Pool(1) as pool:
        report(pool.apply_async(pull, sys.argv[2:]).get)
    with ProcessPoolExecutor(1, mp_context=spawned) as executor:
        report(executor.submit(pull, *sys.argv[2:]).result)
"""


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_pools_hand_the_error_of_a_worker_over(damaged: tuple[str, str, str], tmp_path: Path, start: str) -> None:
    """In a process of its own: a pool that cannot read what its worker raised waits for ever."""
    script = tmp_path / "pool.py"
    script.write_text(POOL)
    done = subprocess.run(
        [sys.executable, script, start, *damaged, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(snapdir.__file__).parents[1])},
    )
    assert (done.stdout, done.stderr) == ("HASH_MISMATCH CorruptObject 64\n" * 2, "")


def test_values_travel(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    config = Config(cache_dir=tmp_path / "cache").with_options(jobs=3, catalog="default")
    manifest: Manifest = blocking.manifest(tmp_path / "tree")
    for value in (
        config,
        manifest,
        manifest.entries[0],
        StoreURL.parse("s3://bucket/a"),
        StoreUri("s3://bucket/a"),
        snapdir.SnapshotId("ab" * 32),
    ):
        again = pickled(value)
        assert (type(again), again) == (type(value), value)


def test_what_is_open_says_to_open_it_in_the_worker(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").write_text("content")
    config = Config(cache_dir=tmp_path / "cache")
    snapshot_id = blocking.push(tmp_path / "tree", str(tmp_path / "store"), config=config)
    with blocking.open_snapshot(snapshot_id, str(tmp_path / "store"), config=config) as snapshot:
        with snapshot.open("file") as file:
            raw = file.raw
            open_things = [snapshot, snapshot._snapshot, file, raw, raw._file]  # type: ignore[attr-defined]
            for thing in open_things:
                with pytest.raises(TypeError, match=r"^an open .* call open_snapshot\(id, store\) in the worker$"):
                    pickle.dumps(thing)
            assert file.read() == b"content"
        assert dict(pickled(snapshot.files)) == dict(snapshot.files)
