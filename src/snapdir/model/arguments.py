"""Types of the arguments of public functions, checked before a wrong one does something else or fails later."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import wraps
from inspect import CO_COROUTINE
from numbers import Integral, Real
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

OR = " | "


def checked(function: Callable[P, T]) -> Callable[P, T]:
    """Make a function raise a TypeError that names the argument whose type is not that of its annotation.

    An async function raises it when it is awaited. Only annotations of ``CHECKS``, or unions of them, are checked. The
    module of ``function`` must postpone its annotations.
    """
    code = function.__code__
    names, more = code.co_varnames[: code.co_argcount], code.co_varnames[code.co_argcount + code.co_kwonlyargcount :]

    def check(args: Sequence[object], kwargs: Mapping[str, object]) -> None:
        surplus = [(more[0], arg) for arg in args[len(names) :]] if more else []
        for name, value in (*zip(names, args, strict=False), *surplus, *kwargs.items()):
            _check(name, value, function.__annotations__.get(name, ""))

    @wraps(function)
    def checking(*args: P.args, **kwargs: P.kwargs) -> T:
        check(args, kwargs)
        return function(*args, **kwargs)

    @wraps(function)
    async def checking_async(*args: P.args, **kwargs: P.kwargs) -> Any:
        check(args, kwargs)
        return await function(*args, **kwargs)  # type: ignore[misc]

    return checking_async if code.co_flags & CO_COROUTINE else checking  # type: ignore[return-value]


def _check(name: str, value: object, annotation: str) -> None:
    *others, last = annotation.split(OR)
    kinds = [*others, last] if last != "None" else others
    if value is None and (last == "None" or name == "store"):  # without a store, the function says so
        return
    flaws = [CHECKS[kind](value) if kind in CHECKS else "" for kind in kinds]
    if flaws and all(flaws):
        wrong = flaws[0] if len(flaws) == 1 else f"{OR.join(kinds)}, not {type(value).__name__}"
        raise TypeError(f"{name} is {wrong}")


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
    "int": _is("an int", Integral),
    "float": _is("a number", Real),
    "bool": lambda value: f"a bool, not {type(value).__name__}" if isinstance(value, str | bytes) else "",
    "PathLike": _is("a str or a path", str, os.PathLike),
    "os.PathLike[str]": _is("a path", os.PathLike),
    "Sequence[str]": _sequence("str", str),
    "Iterable[PathLike]": _sequence("refs", str, os.PathLike),
    "Sequence[PathLike]": _sequence("str or paths", str, os.PathLike),
    "Mapping[str, str]": _mapping,
    "datetime": _named("datetime"),
    "DiffOptions": _named("DiffOptions"),
    "Manifest": _named("Manifest"),
    "Ref": _named("Ref"),
    "Config": _named("Config"),
    "Counters": _named("Counters"),
}
"""What is wrong with a value, by its annotation: empty if nothing is."""
