"""botocore's sessions, which read the configuration of AWS. Blocking; loading botocore takes 0.15 s."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import BotoCoreError, ProfileNotFound  # type: ignore[import-untyped]
from botocore.session import Session  # type: ignore[import-untyped]

from snapdir.errors import InvalidOption
from snapdir.stores.s3.aws.configuration import require_no_pipes
from snapdir.stores.s3.failures import cleaned
from snapdir.stores.s3.target import S3Target, ignores_configured_endpoints


def completed_target(target: S3Target, environment: Mapping[str, str] = os.environ) -> S3Target:
    """``target`` completed by the configuration; its address is checked.

    Raises:
        InvalidOption: a profile that does not exist, a file that cannot be parsed, settings with bad values.
        InvalidStore: the URL names neither a bucket nor an access point.
    """
    session = new_session(environment)
    with configuration_errors():
        configured = session.get_scoped_config()
        ignored = session.get_config_variable("ignore_configured_endpoint_urls")
        ignored = ignored or ignores_configured_endpoints(environment)
        profile = target.profile.completed_by(session, is_aws_store=target.url.startswith("s3:"))
        complete = target.with_profile(
            endpoint=None if ignored else _profile_endpoint(session), region=configured.get("region")
        )
    complete = complete._replace(profile=profile)
    _ = complete.address
    return complete


def new_session(environment: Mapping[str, str] = os.environ, region: str | None = None) -> Session:
    """A session that has read nothing yet. Credentials come from services in ``region``."""
    require_no_pipes(environment)
    session = Session(session_vars=_session_variables(environment))
    session.set_config_variable("region", region)
    return session


def credential_chain(session: Session) -> Any:
    """botocore's chain, whose ``providers`` are its links in order.

    Raises:
        InvalidOption: the configuration of a link has a bad value.
    """
    with configuration_errors():
        return session.get_component("credential_provider")


def _session_variables(environment: Mapping[str, str]) -> dict[str, Any]:
    """botocore's table of variables without the empty ones, which it would use."""
    changed = {}
    for name, (setting, variables, default, convert) in Session.SESSION_VARIABLES.items():
        names = [variables] if isinstance(variables, str) else list(variables or ())
        kept = [variable for variable in names if environment.get(variable) != ""]
        if kept != names:
            changed[name] = (setting, kept or None, default, convert)
    return changed


def _profile_endpoint(session: Any) -> str | None:
    """``endpoint_url`` of the profile's S3 service, else of the profile."""
    profile = session.get_scoped_config()
    services = session.full_config.get("services", {}).get(profile.get("services"), {})
    of_s3 = services.get("s3", {}) if isinstance(services, dict) else {}
    url: str | None = (of_s3.get("endpoint_url") if isinstance(of_s3, dict) else None) or profile.get("endpoint_url")
    return url


def _configuration_error(error: Exception) -> InvalidOption:
    """The error for a profile or configuration file that cannot be used."""
    if isinstance(error, ProfileNotFound):
        profile = cleaned(str(error.kwargs.get("profile")), 80)
        return InvalidOption(f"no AWS profile {profile!r} in ~/.aws/config or ~/.aws/credentials: check AWS_PROFILE")
    return InvalidOption(f"the AWS configuration cannot be used: {cleaned(str(error))}")


@contextmanager
def configuration_errors() -> Iterator[None]:
    try:
        yield
    except (BotoCoreError, ValueError, AttributeError) as error:  # the latter: a section where a value belongs
        raise _configuration_error(error) from error
