"""The way back to an authorization request after a sign-in: the request itself, which is all there is of it until then.

Some requests need more: a client that wants the person to sign in anew has to be told a fresh sign-in from the one
that was there before. So the address carries when this browser first came with the request, under a MAC over browser
and request: it can be neither made by hand, nor moved to another request, nor opened elsewhere.

Spec: ADR 0004; OpenID Connect Core 1.0 §3.1.2.1
"""

import re

from doorward.core.interaction import INTERACTION_LIFE_MS
from doorward.core.secrets import sign_value, verify_value

from .visit import Visit

_PURPOSE = "first-seen"
_MARK = re.compile(rb"&doorward_seen=([0-9]{1,15})\.([A-Za-z0-9_-]{43})\Z")
MAX_MARK = 80
"""How much longer a marked request is."""


def read_way_back(visit: Visit, query: bytes) -> tuple[bytes, int | None]:
    """The request without its mark, and when this browser first came with it, if the mark says so and is not stale."""
    mark = _MARK.search(query)
    if mark is None:
        return query, None
    asked, seen_at = query[: mark.start()], int(mark[1])
    is_fresh = 0 <= visit.request.now - seen_at <= INTERACTION_LIFE_MS
    value = _value(visit, asked, seen_at)
    is_ours = bool(visit.kept) and verify_value(visit.context.form_key, _PURPOSE, value, mark[2].decode())
    return asked, seen_at if is_fresh and is_ours else None


def build_way_back(visit: Visit, asked: bytes, seen_at: int | None) -> str:
    """The address of a request, with the mark where there is a time to remember and a browser to remember it for."""
    path = f"{visit.view.project.path}/oauth/authorize?{asked.decode('ascii')}"
    if seen_at is None or not visit.keep():
        return path
    return (
        f"{path}&doorward_seen={seen_at}.{sign_value(visit.context.form_key, _PURPOSE, _value(visit, asked, seen_at))}"
    )


def _value(visit: Visit, asked: bytes, seen_at: int) -> str:
    """What the mark is for. The request comes last: it is the only part that may hold anything."""
    return f"{visit.view.project.project_id}\x00{seen_at}\x00{visit.kept}\x00{asked.decode('ascii', 'replace')}"
