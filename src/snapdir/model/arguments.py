"""Types of the arguments of public functions, checked before a wrong one does something else or fails later."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Set
from functools import wraps
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

OPTIONAL = " | None"


def checked(verb: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """Make an async function raise a TypeError that names the argument whose type is not that of its annotation.

    Only the annotations of ``CHECKS`` are checked. The module of ``verb`` must postpone its annotations.
    """
    code = verb.__code__
    names, more = code.co_varnames[: code.co_argcount], code.co_varnames[code.co_argcount + code.co_kwonlyargcount :]

    @wraps(verb)
    async def checking(*args: P.args, **kwargs: P.kwargs) -> T:
        surplus = [(more[0], arg) for arg in args[len(names) :]] if more else []
        for name, value in (*zip(names, args, strict=False), *surplus, *kwargs.items()):
            _check(name, value, verb.__annotations__.get(name, ""))
        return await verb(*args, **kwargs)

    return checking


def _check(name: str, value: object, annotation: str) -> None:
    if value is None and (annotation.endswith(OPTIONAL) or name == "store"):  # without a store, the verb says so
        return
    find_flaw = CHECKS.get(annotation.removesuffix(OPTIONAL))
    if find_flaw is not None and (flaw := find_flaw(value)):
        raise TypeError(f"{name} is {flaw}")


def _is(expected: str, *types: type) -> Callable[[object], str]:
    return lambda value: "" if isinstance(value, types) else f"{expected}, not {type(value).__name__}"


def _sequence(expected: str, *types: type) -> Callable[[object], str]:
    def find_flaw(value: object) -> str:
        if isinstance(value, str | bytes | os.PathLike):
            return f"a sequence of {expected}, not one {type(value).__name__}"
        if not isinstance(value, Iterable) or isinstance(value, Mapping):
            return f"a sequence of {expected}, not {type(value).__name__}"
        seen = value if isinstance(value, list | tuple | Set) else ()  # an iterator can be read once only
        wrong = next((each for each in seen if not isinstance(each, types)), "")
        return "" if wrong == "" else f"a sequence of {expected}: {wrong!r} is {type(wrong).__name__}"

    return find_flaw


def _mapping(value: object) -> str:
    if not isinstance(value, Mapping):
        return f"a mapping of str to str, such as {{'split': 'train'}}, not {type(value).__name__}"
    wrong = next((each for pair in value.items() for each in pair if not isinstance(each, str)), "")
    return "" if wrong == "" else f"a mapping of str to str: {wrong!r} is {type(wrong).__name__}"


def _named(expected: str) -> Callable[[object], str]:
    """By the name of its class, which is above this room."""

    def find_flaw(value: object) -> str:
        is_right = any(each.__name__ == expected for each in type(value).__mro__)
        return "" if is_right else f"a {expected}, not {type(value).__name__}"

    return find_flaw


CHECKS: Mapping[str, Callable[[object], str]] = {
    "str": _is("a str", str),
    "int": _is("an int", int),
    "PathLike": _is("a str or a path", str, os.PathLike),
    "Sequence[str]": _sequence("str", str),
    "Sequence[PathLike]": _sequence("str or paths", str, os.PathLike),
    "Mapping[str, str]": _mapping,
    "Config": _named("Config"),
    "Counters": _named("Counters"),
}
"""What is wrong with a value, by its annotation: empty if nothing is."""
