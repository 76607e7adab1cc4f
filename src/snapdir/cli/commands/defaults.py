"""snapdir defaults: every setting, its value in effect, and the source of the value."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from snapdir.cli import options
from snapdir.cli import settings as groups
from snapdir.cli.parameters import Choice, Flag, Single, from_variable, settings_of, switch
from snapdir.cli.settings import (
    CLONEFILE,
    FSYNC,
    KEYED_CONTEXT,
    PULL_CACHE,
    SHARED_CATALOG,
    VERIFY_COPIES,
    cache_directory,
)
from snapdir.cli.tables import write_json_lines
from snapdir.cli.terminal import printable, write_output
from snapdir.cli.usage import located
from snapdir.cli.verb import Verb
from snapdir.errors import InvalidStore, without_secrets
from snapdir.model.sizes import MIB
from snapdir.stores.settings import MAX_ADAPTIVE_REQUESTS, UNLIMITED

if TYPE_CHECKING:
    from snapdir.transfer.engine.limits import Bound

LEGACY = (KEYED_CONTEXT, "SNAPDIR_MANIFEST_EXCLUDE")
HIDDEN = "(hidden)"
_IS_SECRET = re.compile("KEY|SECRET|TOKEN|PASS|CREDENTIAL|AUTH").search


class Given(NamedTuple):
    """A setting as it was typed, and ``source``: flag, env or default; affinity, cgroup or rlimit if the machine sets
    it.
    """

    text: str
    source: str


def _kept(option: Flag) -> Flag:
    """``option``, checked as usual, but kept as it was typed, with its source."""
    if isinstance(option, Single):
        parse = option.parse

        def keep(value: str, source: str) -> Given:
            parse(value, source)
            given = Given(value, "flag" if source.startswith("-") else "env")
            settings_of(click.get_current_context())[option.name or ""] = given
            return given

        option.parse = keep
    return option


@click.command(
    "defaults",
    cls=Verb,
    params=[
        _kept(option)
        for option in (
            *groups.cache(),
            *groups.index(),
            *options.store(),
            *options.pool(),
            *groups.catalog(),
            *(option for option in options.walk() if option.name == "walk_jobs"),
            *options.workers(),
            *groups.transfer(writing=True),
            *options.output(),
        )
    ],
    needs_config=False,
    examples=["snapdir defaults", "SNAPDIR_JOBS=8 snapdir defaults --store ./store"],
)
@click.pass_context
def defaults(ctx: click.Context, /, *, as_json: bool, **_: Any) -> None:
    """Print every setting with its value and the source of the value.

    Each line has the name of a setting, its value, and source=flag, source=env or source=default. What the machine
    allows has source=affinity, source=cgroup or source=rlimit: cpus, memory-limit, and the settings that follow from
    them. Other variables that begin with SNAPDIR follow; the values of variables named after a key, secret, token or
    password are hidden.
    """
    with located(ctx):
        knobs = list(_knobs(ctx))
    variables = _other_variables(os.environ)
    if as_json:
        known = ({"name": knob, "value": without_secrets(given.text), "source": given.source} for knob, given in knobs)
        others = ({"name": name, "value": value, "source": "other-env"} for name, value in variables.items())
        write_json_lines(chain(known, others))
        return
    lines = [f"{knob} {given.text} source={given.source}" for knob, given in knobs]
    lines += ["other-env:"] * bool(variables)
    lines += [f"  {name}={value}{' (legacy)' if name in LEGACY else ''}" for name, value in variables.items()]
    write_output("".join(f"{printable(without_secrets(line))}\n" for line in lines))


def _knobs(ctx: click.Context) -> Iterator[tuple[str, Given]]:
    """The settings in the order of the reference, then the others."""
    settings = settings_of(ctx)

    def setting(name: str, unset: str) -> Given:
        return _given(settings, name) or Given(unset, "default")

    yield "cache-dir", _absolute(settings)
    yield "store", setting("store", "none")
    yield "objects-store", setting("objects_store", "none")
    yield "catalog", _catalog(settings)
    yield "jobs", _automatic(setting("jobs", "0"))
    yield "walk-jobs", _automatic(setting("walk_jobs", "0"))
    yield "limit-rate", setting("limit_rate", "none")
    yield "adaptive", _fraction(setting("adaptive", "off"))
    yield "max-jobs", setting("max_jobs", "none")
    yield "max-retries", setting("max_retries", "5")
    yield "retry-base-ms", setting("retry_base_ms", "250")
    yield "retry-max-ms", setting("retry_max_ms", "30000")
    yield "max-requests", setting("max_requests", "none")
    yield "no-progress", _switch(ctx, "no_progress")
    yield "color", Given(settings["color"], "flag") if "color" in settings else Given("auto", "default")
    yield "fsync", _variable(FSYNC, Choice("batch", "off"), "batch")
    yield "clonefile", _enabled(_variable(CLONEFILE, switch, True))
    yield "verify-copies", _enabled(_variable(VERIFY_COPIES, switch, False))
    limit = _memory_limit()
    yield "memory", _given(settings, "memory") or _memory(limit)
    yield "part-size", setting("part_size", "8MiB")
    yield "shared-catalog", _enabled(_variable(SHARED_CATALOG, switch, True))
    yield "stall-timeout", setting("stall_timeout", "20")
    yield "index-size", setting("index_size", "2GiB")
    yield "max-manifest-size", setting("max_manifest_size", "4GiB")
    yield "min-rate", setting("min_rate", "1K")
    yield "workers", _workers(settings)
    for name in ("sse", "sse_kms_key_id", "acl", "storage_class", "request_payer"):
        yield name.replace("_", "-"), setting(name, "none")
    yield "no-sign-request", _switch(ctx, "no_sign_request")
    cache = from_variable(PULL_CACHE, switch)
    yield "pull-cache", Given("auto", "default") if cache is None else _enabled(Given(cache, "env"))
    yield "progress", _universal(ctx, "progress", "auto")
    yield "progress-interval", _universal(ctx, "progress_interval", "30")
    yield "log-level", _universal(ctx, "log_level", "none")
    yield "requests", _requests(settings)
    yield "max-open-files", _open_files(_given(settings, "max_open_files"))
    yield "memory-limit", Given("none", "default") if limit is None else _mebibytes(limit)
    yield "cpus", _cpus()
    store = setting("store", "").text
    if store.startswith(("s3:", "b2:")):
        yield from _of_aws(store, sign=not settings.get("no_sign_request", False))


def _memory_limit() -> Bound | None:
    from snapdir.transfer.engine.limits import memory_limit_here

    return memory_limit_here()


def _memory(limit: Bound | None) -> Given:
    from snapdir.transfer.engine.limits import memory_share

    return _mebibytes(memory_share(limit))


def _mebibytes(bound: Bound) -> Given:
    return Given(f"{bound.value // MIB}MiB", bound.source)


def _open_files(given: Given | None) -> Given:
    """The option, or what the process may open, if that is less."""
    from snapdir.disk.descriptors import open_files_limit

    limit = open_files_limit()
    chosen = int(given.text) if given else 0
    if given and chosen and (limit is None or chosen <= limit):
        return Given(str(chosen), given.source)
    return Given("unlimited", "default") if limit is None else Given(str(limit), "rlimit")


def _cpus() -> Given:
    """Processors that this process may use, and what allows no more."""
    from snapdir.disk.system import present_cpus, usable_cpus

    usable = usable_cpus()
    if usable < present_cpus():
        return Given(str(usable), "cgroup")
    return Given(str(usable), "affinity" if usable < (os.cpu_count() or 1) else "default")


def _requests(settings: Mapping[str, Any]) -> Given:
    """Concurrent requests to the store, as far as the limit of open files allows them."""
    from snapdir.disk.descriptors import share_of_descriptors

    wanted = _wanted_requests(settings)
    chosen = _given(settings, "max_open_files")
    allowed = share_of_descriptors(UNLIMITED, int(chosen.text) if chosen else 0)
    number = re.search("[0-9]+", wanted.text)
    if number is None or int(number[0]) <= allowed:
        return wanted
    text = wanted.text.replace(number[0], str(allowed))
    return Given(text, chosen.source if chosen and share_of_descriptors(UNLIMITED) > allowed else "rlimit")


def _wanted_requests(settings: Mapping[str, Any]) -> Given:
    """Concurrent requests to the store, as ``--verbose`` shows them."""
    jobs, most = (_given(settings, name) or Given("0", "default") for name in ("jobs", "max_jobs"))
    share = _given(settings, "adaptive")
    is_remote = "://" in (_given(settings, "store") or Given("", "")).text.removeprefix("file://")
    if share is not None:
        return Given(f"at most {int(most.text) or int(jobs.text) or MAX_ADAPTIVE_REQUESTS}, adapts", share.source)
    if int(jobs.text):
        return Given(jobs.text, jobs.source)
    if int(most.text):
        return Given(f"at most {int(most.text)}, adapts", most.source)
    if is_remote:
        from snapdir.stores.s3.store import DEFAULT_CONCURRENCY

        return Given(f"at most {DEFAULT_CONCURRENCY}, adapts", "default")
    from snapdir.stores.settings import LOCAL_REQUESTS as LOCAL

    return Given(str(LOCAL), "default")


def _of_aws(store: str, *, sign: bool) -> Iterator[tuple[str, Given]]:
    """The settings of AWS for a bucket; none for a URL that names no bucket, which other commands refuse."""
    from snapdir.stores.bucket_options import NO_BUCKET_OPTIONS
    from snapdir.stores.s3.store import in_effect
    from snapdir.stores.urls import StoreURL

    with suppress(InvalidStore):
        for name, value, source in in_effect(StoreURL.parse(store), NO_BUCKET_OPTIONS._replace(sign=sign)):
            yield f"s3-{name}", Given(value, source)


def _given(settings: Mapping[str, Any], name: str) -> Given | None:
    value = settings.get(name)
    return value if isinstance(value, Given) else None


def _absolute(settings: Mapping[str, Any]) -> Given:
    given = _given(settings, "cache_dir")
    if given is None:
        return Given(str(cache_directory({}).absolute()), "default")
    return Given(os.path.abspath(os.path.expanduser(given.text)), given.source)


def _catalog(settings: Mapping[str, Any]) -> Given:
    from pathlib import Path

    from snapdir.catalog.locations import DEFAULT_CATALOG, catalog_file

    given = _given(settings, "catalog")
    if given is None:
        # An empty variable turns the history off; for other settings it counts as unset.
        disabled = os.environ.get("SNAPDIR_CATALOG") == ""
        given = Given("" if disabled else DEFAULT_CATALOG, "env" if disabled else "default")
    file = catalog_file(given.text, Path(_absolute(settings).text))
    return Given("none" if file is None else str(file), given.source)


def _automatic(given: Given) -> Given:
    """The setting, with 0 replaced by the number of threads for this machine."""
    if int(given.text):
        return Given(str(int(given.text)), given.source)
    from snapdir.transfer.engine.limits import Limits

    return Given(str(Limits().hashers), given.source)


def _workers(settings: Mapping[str, Any]) -> Given:
    from snapdir.transfer.engine.limits import Limits

    threads = _given(settings, "walk_jobs") or Given("0", "default")
    unset = Limits(hash_threads=int(threads.text)).hash_processes
    return _given(settings, "workers") or Given(f"{unset}", "default")


def _fraction(given: Given) -> Given:
    return given if given.text == "off" else Given(f"{float(given.text):g}", given.source)


def _switch(ctx: click.Context, name: str) -> Given:
    """A switch given before or after the verb, or by its variable."""
    asked = settings_of(ctx).get(name, False)
    contexts = filter(None, (ctx, ctx.parent))
    if any(one.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE for one in contexts):
        return Given("true", "flag")
    named = from_variable(f"SNAPDIR_{name.upper()}", switch) is not None
    return Given(str(asked).lower(), "env" if named else "default")


def _universal(ctx: click.Context, name: str, unset: str) -> Given:
    """A setting that may stand before the command."""
    value = settings_of(ctx).get(name)
    if value is None:
        return Given(unset, "default")
    contexts = filter(None, (ctx, ctx.parent))
    is_typed = any(one.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE for one in contexts)
    return Given(f"{value:g}" if isinstance(value, float) else value, "flag" if is_typed else "env")


def _variable(name: str, parse: Any, unset: Any) -> Given:
    value = from_variable(name, parse)
    return Given(unset, "default") if value is None else Given(value, "env")


def _enabled(given: Given) -> Given:
    return Given("enabled" if given.text else "disabled", given.source)


def _other_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that begin with SNAPDIR, without the values of secret ones."""
    names = sorted(name for name in environment if name.startswith("SNAPDIR") and "VERSION" not in name)
    return {name: HIDDEN if _IS_SECRET(name) else without_secrets(environment[name]) for name in names}
