"""Errors of AWS's credential chain: one line that names the link and the remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple, NoReturn

from botocore import exceptions as boto  # type: ignore[import-untyped]

from snapdir.errors import AccessDenied, ConnectionFailed
from snapdir.stores.s3.aws.session import configuration_errors, new_session
from snapdir.stores.s3.failures import CREDENTIALS, cleaned

LINKS = {
    "env": "the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "assume-role": "the role of AWS profile {profile!r}",
    "assume-role-with-web-identity": "the web identity (AWS_WEB_IDENTITY_TOKEN_FILE, or AWS profile {profile!r})",
    "sso": "the SSO sign-in of AWS profile {profile!r}",
    "login": "the `aws login` sign-in of AWS profile {profile!r}",
    "shared-credentials-file": "AWS profile {profile!r} in ~/.aws/credentials",
    "config-file": "AWS profile {profile!r} in ~/.aws/config",
    "custom-process": "credential_process of AWS profile {profile!r}",
    "container-role": "the credentials of the container (AWS_CONTAINER_CREDENTIALS_FULL_URI or ..._RELATIVE_URI)",
    "iam-role": "the metadata service of the instance",
}

CONFIGURED = {
    "assume-role": ("role_arn",),
    "assume-role-with-web-identity": ("web_identity_token_file", "AWS_WEB_IDENTITY_TOKEN_FILE"),
    "sso": ("sso_session", "sso_start_url"),
    "login": ("login_session",),
    "shared-credentials-file": ("aws_access_key_id",),
    "custom-process": ("credential_process",),
    "container-role": ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"),
}
"""The settings of a profile, or variables, that configure a link; in the order of the chain."""

UNREACHABLE = (boto.HTTPClientError, boto.ConnectionError, boto.MetadataRetrievalError)


class MFANeeded(Exception):
    """A role requires an MFA code, and there is no terminal to enter it."""


def refuse_prompt(_prompt: str) -> NoReturn:
    """Used instead of botocore's prompt."""
    raise MFANeeded


class Link(NamedTuple):
    """One link of the chain that gets credentials for a store (its URL), and the profile it starts from."""

    store: str
    method: str
    profile: str
    configuration: Mapping[str, Any]

    def __str__(self) -> str:
        return LINKS.get(self.method, self.method).format(profile=self.profile)

    def profile_with(self, *settings: str) -> str:
        """The first profile with one of these settings along the ``source_profile`` chain, else the profile itself."""
        profiles, name, seen = self.configuration.get("profiles", {}), self.profile, set()
        while name in profiles and name not in seen:
            if any(setting in profiles[name] for setting in settings):
                return name
            seen.add(name)
            name = profiles[name].get("source_profile", "")
        return self.profile


def expected_source(store: str, environment: Mapping[str, str]) -> str:
    """The first link of AWS's chain that is configured, in words. Nothing is run and no service is asked.

    Raises:
        InvalidOption: there is no such profile, or a file cannot be parsed.
    """
    session = new_session(environment)
    with configuration_errors():
        settings = {name.lower() for name, value in session.get_scoped_config().items() if value}
        profile = session.get_config_variable("profile") or "default"
    for method, needs in CONFIGURED.items():
        if not settings.isdisjoint(needs) or any(environment.get(name) for name in needs):
            return str(Link(store, method, profile, session.full_config))
    if environment.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return "nowhere: no source is configured"
    return f"{LINKS['iam-role']}, if there is one"


def no_credentials(store: str) -> AccessDenied:
    """The error for a chain in which no link has credentials."""
    return AccessDenied(f"{store}: {CREDENTIALS}")


@contextmanager
def link_errors(link: Link, *, is_renewal: bool = False) -> Iterator[None]:
    """Turn every error of botocore in one link into AccessDenied, which is never retried.

    In a renewal, a service that cannot be reached is a ConnectionFailed.
    """
    try:
        yield
    except Exception as error:
        reason = next(words(error, link) for kinds, words in TABLE if isinstance(error, kinds))
        # The output of a program may hold secrets: keep it out of tracebacks too.
        may_pass = isinstance(error, UNREACHABLE) or isinstance(error.__context__, UNREACHABLE)
        kind = ConnectionFailed if is_renewal and may_pass else AccessDenied
        raise kind(f"{link.store}: no AWS credentials: {reason}") from None


def _mfa(_: BaseException, link: Link) -> str:
    return (
        f"{link} needs an MFA code, and there is no terminal to ask for one; in a terminal, run "
        f"`aws configure export-credentials --profile {link.profile} --format env`, and set the variables it prints"
    )


def _sso(_: BaseException, link: Link) -> str:
    profile = link.profile_with("sso_session", "sso_start_url")
    link = link._replace(method="sso", profile=profile)
    return f"{link} is missing or has expired; run `aws sso login --profile {profile}`"


def _login(error: BaseException, link: Link) -> str:
    profile = link.profile_with("login_session")
    link = link._replace(method="login", profile=profile)
    if isinstance(error, boto.MissingDependencyException):
        return f"{link} needs the package awscrt; run `pip install '.[login]'` in the checkout of snapdir"
    return f"{link} is missing, has expired or was refused; run `aws login --profile {profile}`"


def _file(error: OSError, link: Link) -> str:
    if link.method == "custom-process":
        return f"{link} cannot be run: {error.strerror}: {cleaned(str(error.filename), 200)}; check that setting"
    return f"{link} cannot be read: {error.strerror}: {cleaned(str(error.filename), 200)}; check that file"


def _helper(error: Any, link: Link) -> str:
    """A program, a service or a ``credential_source``. The output of a program is left out: it may be secret."""
    if error.kwargs.get("provider") == "custom-process":
        return _program(link)
    return f"{link}: {cleaned(str(error.kwargs.get('error_msg') or error))}; check it, or set AWS_ACCESS_KEY_ID"


def _program(link: Link) -> str:
    profile = link.profile_with("credential_process")
    link = link._replace(method="custom-process", profile=profile)
    return f"{link} failed, or printed something that is not credentials; run it by hand to see why"


def _incomplete(error: Any, link: Link) -> str:
    return f"{link} lack{'' if link.method == 'env' else 's'} {cleaned(str(error.kwargs.get('cred_var')), 80)}; add it"


def _refused(error: Any, link: Link) -> str:
    answer = error.response.get("Error", {})
    error_text = cleaned(f"{answer.get('Code')}: {answer.get('Message') or ''}").removesuffix(".")
    return f"{link} was refused ({error.operation_name}): {error_text}; check the profile, and who may use it"


def _unreachable(error: BaseException, link: Link) -> str:
    return f"{link} cannot be reached: {cleaned(str(error)).removesuffix('.')}; check the network and the region"


def _misconfigured(error: BaseException, link: Link) -> str:
    return f"{link}: {cleaned(str(error)).removesuffix('.')}; check ~/.aws/config and ~/.aws/credentials"


def _malformed(error: BaseException, link: Link) -> str:
    if link.profile_with("credential_process") != link.profile or link.method == "custom-process":
        return _program(link)
    return f"{link} cannot be used: {cleaned(str(error)) or type(error).__name__}"


Words = Callable[[Any, Link], str]

# The first match counts, so narrower classes stand first.
TABLE: tuple[tuple[tuple[type[BaseException], ...], Words], ...] = (
    ((MFANeeded, boto.RefreshWithMFAUnsupportedError), _mfa),
    ((boto.SSOError, boto.TokenRetrievalError), _sso),
    ((boto.LoginError, boto.MissingDependencyException), _login),
    ((boto.CredentialRetrievalError,), _helper),
    ((boto.PartialCredentialsError,), _incomplete),
    ((boto.ClientError,), _refused),
    (UNREACHABLE, _unreachable),
    ((boto.BotoCoreError,), _misconfigured),
    ((OSError,), _file),
    ((RuntimeError,), lambda _, link: f"{link} returned expired credentials"),
    ((Exception,), _malformed),  # JSON, dates and keys that are not what they should be
)
