"""Hiding credentials of URLs in messages and records."""

from __future__ import annotations

import re

HIDDEN = "…"
_NAMES = "token|signature|secret|password|passwd|pwd|credential|key|auth|session|sas|sig"
# A secret key may contain slashes. If the first component contains a colon, the userinfo extends to the last @;
# otherwise it ends before the first slash.
_USERINFO = re.compile(r"""(?<=://)(?!arn:)(?:[^\s/@:'"]*:[^\s'"]*|[^\s/@?'"]+)@""")
_STARTS_WITH_LOGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?!arn:)[^/@:]*:.*@", re.DOTALL).match
_PARAMETER = re.compile(rf"""(?i)([?&#][a-z0-9_-]*(?:{_NAMES})[a-z0-9_-]*=)[^\s&'"]+""")
# In the URL of a store program, everything after a question mark is a query; in other store URLs it is part of a key.
_OUTSIDE = re.compile(r"""(?<![a-z0-9])(?!(?:file|s3|b2|gs|ssh|sftp|https?)://)[a-z0-9]+://[^\s'"?]*\?[^\s'"]*""")
_PERCENT = re.compile(rb"%([0-9a-fA-F]{2})")
_VALUE = re.compile(r"([?&](?:[^=&]*=)?)[^&]+")


def without_secrets(text: str) -> str:
    """``text`` with the credentials of its URLs hidden: userinfo, and query parameters with the name of a secret.

    In the URL of a store program, all query values are hidden.
    """
    if "://" not in text:
        return text
    shown = _PARAMETER.sub(rf"\1{HIDDEN}", _USERINFO.sub(f"{HIDDEN}@", text))
    return _OUTSIDE.sub(lambda url: _VALUE.sub(rf"\1{HIDDEN}", url[0]), shown)


def has_login(store: str) -> bool:
    """Whether the text of a store starts with a user and a password, up to its last ``@``."""
    return bool(_STARTS_WITH_LOGIN(store))


def secrets_of(url: str) -> list[str]:
    """The texts that ``without_secrets`` hides in ``url``, plain and decoded, longest first."""
    logins = [match[0][: at.start()] for match in _USERINFO.finditer(url) for at in re.finditer("@", match[0])]
    secrets = [text for login in logins for text in (login, login.partition(":")[2])]
    for hiding in (_PARAMETER, _OUTSIDE):
        for match in hiding.finditer(url):
            secrets += [value.partition("=")[2] or value for value in re.split("[?&#]", match[0])[1:]]
    secrets += [_decoded(text) for text in secrets]
    return sorted(filter(None, secrets), key=len, reverse=True)


def _decoded(text: str) -> str:
    """``text`` with its percent escapes decoded."""
    return _PERCENT.sub(lambda found: bytes.fromhex(found[1].decode()), text.encode()).decode(errors="replace")
