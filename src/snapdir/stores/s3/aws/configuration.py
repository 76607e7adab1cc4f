"""The S3 settings of ``~/.aws`` and AWS's variables, as botocore reads them. Blocking."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from snapdir.errors import InvalidOption
from snapdir.model.words import require_word
from snapdir.stores.s3.aws.endpoints import AWSEndpoints

FILES = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
ALWAYS_COUNT = frozenset({"s3", "ca_bundle", "max_attempts"})
"""Settings that count even if variables give keys, region and endpoint."""

STYLES = ("", "auto", "path", "virtual")
US_EAST_1 = ("", "regional", "legacy")
_ATTEMPTS = re.compile(r"[0-9]{1,9}").fullmatch
_SETTING = re.compile(r"^\s*([A-Za-z0-9_]+)\s*[=:]", re.MULTILINE).findall


class CABundle(NamedTuple):
    """A file of trusted certificates, and the setting that names it."""

    path: str
    named_by: str


class Profile(NamedTuple):
    """Settings of the AWS configuration besides credentials, region and endpoint.

    Attributes:
        ca_bundle: Trusted instead of the system's certificates.
        max_attempts: Attempts per request.
        signs_payloads: The SHA-256 of a body is part of its signature.
        endpoints: Rules for hosts; None: the bucket is in the path below the endpoint.
    """

    ca_bundle: CABundle | None = None
    max_attempts: int | None = None
    signs_payloads: bool = False
    endpoints: AWSEndpoints | None = None

    @classmethod
    def of_environment(cls, environment: Mapping[str, str]) -> Profile:
        """Settings of variables; an empty variable is unset.

        Raises:
            InvalidOption: AWS_MAX_ATTEMPTS is not a number of attempts.
        """
        bundle = environment.get("AWS_CA_BUNDLE")
        attempts = environment.get("AWS_MAX_ATTEMPTS")
        return cls(
            CABundle(bundle, "AWS_CA_BUNDLE") if bundle else None,
            _attempts(attempts, "AWS_MAX_ATTEMPTS") if attempts else None,
        )

    def completed_by(self, session: Any, *, is_aws_store: bool) -> Profile:
        """Completed by the files of a botocore session; variables come first.

        Args:
            is_aws_store: False for ``b2://``: acceleration is AWS's alone.

        Raises:
            InvalidOption: a setting has a bad value.
        """
        files, s3 = session.get_scoped_config(), session.get_config_variable("s3") or {}
        bundle, attempts = files.get("ca_bundle"), files.get("max_attempts")
        of_files = Profile(
            CABundle(os.path.expanduser(bundle), "ca_bundle of the AWS profile") if bundle else None,
            _attempts(attempts, "max_attempts of the AWS profile") if attempts else None,
        )
        return Profile(
            self.ca_bundle or of_files.ca_bundle,
            self.max_attempts or of_files.max_attempts,
            bool(s3.get("payload_signing_enabled")),
            _endpoints(session, s3, accelerate=is_aws_store and bool(s3.get("use_accelerate_endpoint"))),
        )


def files_affect_settings(environment: Mapping[str, str], *, region_is_given: bool) -> bool:
    """Whether AWS's files may hold a setting that counts even if variables give keys and endpoint.

    Loading botocore takes 0.15 s, so this only looks for the names of settings.
    """
    if environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE"):
        return True  # the profile may not exist
    names = ALWAYS_COUNT if region_is_given else ALWAYS_COUNT | {"region"}
    files = _files(environment)
    if any(map(_is_pipe, files)):
        return True  # it can be read only once
    return any(not names.isdisjoint(map(str.lower, _SETTING(text))) for text in map(_text, files))


def require_no_pipes(environment: Mapping[str, str]) -> None:
    """Refuse a named pipe as a file: reading would wait for a writer. Pipes of a shell (``/dev/fd/63``) are fine.

    Raises:
        InvalidOption: a file is a named pipe.
    """
    for file in _files(environment):
        if _is_pipe(file) and not str(file).startswith(("/dev/", "/proc/")):
            raise InvalidOption(f"{file} is a named pipe; write the AWS configuration into a file")


def _endpoints(session: Any, s3: Mapping[str, Any], *, accelerate: bool) -> AWSEndpoints:
    dual_stack = s3.get("use_dualstack_endpoint")
    if dual_stack is None:
        dual_stack = session.get_config_variable("use_dualstack_endpoint")
    style = _one_of(STYLES, s3.get("addressing_style"), "addressing_style")
    in_us_east_1 = _one_of(US_EAST_1, s3.get("us_east_1_regional_endpoint"), "us_east_1_regional_endpoint")
    no_sessions = session.get_config_variable("s3_disable_express_session_auth")
    options = {
        "Accelerate": accelerate,
        "UseDualStack": bool(dual_stack),
        "UseFIPS": bool(session.get_config_variable("use_fips_endpoint")),
        "UseGlobalEndpoint": in_us_east_1 == "legacy",
        "UseArnRegion": s3.get("use_arn_region") is not False,
        "DisableS3ExpressSessionAuth": str(no_sessions).lower() == "true",
    }
    return AWSEndpoints(session.get_component("data_loader"), addressing_style=style, options=options)


def _one_of(known: tuple[str, ...], value: object, name: str) -> str:
    text = str(value or "").strip().lower()
    return require_word(text, known[1:], f"{name} of the AWS configuration") if text else text


def _attempts(text: str, name: str) -> int:
    if not _ATTEMPTS(text.strip()) or not int(text):
        raise InvalidOption(f"invalid {name}: {text[:80]!r} is not a number of attempts, such as 5")
    return int(text)


def _files(environment: Mapping[str, str]) -> list[Path]:
    return [Path(environment.get(name) or usual).expanduser() for name, usual in FILES.items()]


def _is_pipe(file: Path) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(file).st_mode)
    except OSError:
        return False


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8", "replace")
    except OSError:  # botocore continues without it too
        return ""
