"""What must not be shown of a URL, wherever one gets into a message."""

from __future__ import annotations

import re

__all__ = ["without_secrets"]

HIDDEN = "…"
# A secret key may hold slashes, so the userinfo goes up to the @; a colon in the first name says that there is one.
_USERINFO = r"""(?<=://)(?!arn:)[^\s/@:'"]*:[^\s@'"]*@"""
_PARAMETER = r"""(?i)([?&][a-z0-9_-]*(?:token|signature|secret|password|credential|key)[a-z0-9_-]*=)[^\s&'"]+"""


def without_secrets(text: str) -> str:
    """``text`` with the credentials of every URL in it hidden: userinfo, and what a query names so."""
    if "://" not in text:
        return text
    return re.sub(_PARAMETER, rf"\1{HIDDEN}", re.sub(_USERINFO, f"{HIDDEN}@", text))
