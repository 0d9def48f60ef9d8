"""What a login showed. Spec: TOK-03, RT-03, AT-06, RS-01, REV-01; complaints 4, 7, 21; clients.md no. 43, 46"""

from doorward.doctor.discovery import LOGIN
from doorward.doctor.findings import Finding
from doorward.doctor.rules import nulls_of, text_of
from doorward.doctor.visits import LoginSeen, Seen

from .subject import Check, Subject

_ANSWER = Check("token-answer", LOGIN, "A login ends with a token", ("TOK-03",))
_TYPE = Check("token-type", LOGIN, "The token's type is Bearer", ("TOK-03",))
_EXPIRES = Check("token-expires-in", LOGIN, "It says as a number how long the token is good", ("TOK-03",))
_SCOPE = Check("token-scope", LOGIN, "It says which scopes were granted", ("SCP-05", "TOK-03"))
_NULLS = Check("token-nulls", LOGIN, "Nothing in the answer is null", ("TOK-03",))
_REFRESH = Check("refresh-token", LOGIN, "The client can stay logged in", ("RT-01",))
_FIRST = Check("first-call", LOGIN, "The server takes the token", ("RS-02",))
_TOOLS = Check("tools-list", LOGIN, "The tools can be listed")
_CALL = Check("tool-call", LOGIN, "The tool can be called")
_AUDIENCE = Check("audience", LOGIN, "Other servers refuse the token", ("RS-02", "AT-06"))
_RACE = Check("refresh-race", LOGIN, "Two programs may refresh at the same time", ("RT-10",))
_ROTATES = Check("refresh-rotates", LOGIN, "A refresh token is replaced when it is used", ("RT-03",))
_REVOKED = Check("revocation", LOGIN, "A token that was given back is refused", ("REV-01",))
_ALL = (_TYPE, _EXPIRES, _SCOPE, _NULLS, _REFRESH, _FIRST, _TOOLS, _CALL, _AUDIENCE, _RACE, _ROTATES, _REVOKED)


def check_login(subject: Subject) -> list[Finding]:
    """Everything that only a login shows; nothing where there was none."""
    login = subject.visit.login
    if login is None:
        return []
    document = login.token.document if login.token is not None else None
    if login.token is None or login.token.status != 200 or not text_of(document, "access_token"):
        if login.is_told:
            return [check.skipped(login.stopped) for check in (_ANSWER, *_ALL)]
        why = login.stopped or "The token endpoint did not give a token."
        change = "Look at the authorization server's log for this time."
        return [
            _ANSWER.failed(why, change, login.token.in_words if login.token else ""),
            *(check.skipped("There is no token.") for check in _ALL),
        ]
    return [
        _ANSWER.passed(),
        *_check_token(login, document or {}),
        _check_call(_FIRST, login.initialize),
        _check_call(_TOOLS, login.tools),
        _check_call(_CALL, login.call, what=login.called),
        _check_audience(login),
        *_check_refresh(login, document or {}),
        _check_revoked(login),
    ]


def _check_token(login: LoginSeen, document: dict[str, object]) -> list[Finding]:
    kind, expires, nulls = document.get("token_type"), document.get("expires_in"), nulls_of(document)
    found = [_TYPE.passed(), _EXPIRES.passed(), _SCOPE.passed(), _NULLS.passed(), _REFRESH.passed()]
    if kind != "Bearer":
        why = "Clients differ in what they take for it." if str(kind).lower() == "bearer" else "No client knows it."
        found[0] = _TYPE.warned(why, 'Write "token_type": "Bearer".', f"token_type {kind}")
    if isinstance(expires, bool) or not isinstance(expires, int):
        why = "Codex and the AI SDK refuse text; without a number clients cannot refresh in time."
        found[1] = _EXPIRES.warned(why, "Send expires_in as a whole number of seconds.", f"expires_in {expires!r}")
    if not document.get("scope"):
        why = "A client cannot know whether it got what it asked for."
        found[2] = _SCOPE.warned(why, "Always send scope.", f"asked for: {login.scope_asked or 'nothing'}")
    if nulls:
        why = "Clients in TypeScript refuse an answer in which a member is null."
        found[3] = _NULLS.failed(why, "Leave out what has no value.", ", ".join(nulls))
    if not text_of(document, "refresh_token"):
        why = "The person has to log in again whenever the token ends."
        found[4] = _REFRESH.warned(why, "Give a refresh token to clients that registered for that grant.")
    return found


def _check_call(check: Check, seen: Seen | None, *, what: str = "") -> Finding:
    """Spec: complaint 7"""
    if seen is None:
        return check.skipped("It was not tried.")
    if seen.status in (401, 403):
        why = "The token is minutes old and is refused. Clients say then that the server rejected the credentials."
        change = "Compare the audience and issuer the server wants with the token's; let proxies keep Authorization."
        return check.failed(why, change, seen.in_words)
    if not 200 <= seen.status < 300:
        return check.failed("The server fails.", "Look at its log for this time.", seen.in_words)
    if b'"error"' in seen.body and b'"result"' not in seen.body:
        return check.warned("The server answers with an error of its own.", "Look at its log for this time.", what)
    if b'"isError":true' in seen.body.replace(b" ", b""):
        why = "The tool answers that it failed. Perhaps there is none of this name, or it wants other arguments."
        return check.warned(why, "Check --tool and --arguments, and the server's log for this time.", what)
    return check.passed(what)


def _check_audience(login: LoginSeen) -> Finding:
    """Spec: RS-02, complaint 21"""
    if not login.siblings:
        return _AUDIENCE.skipped("No other server was named.")
    taken = [seen for seen in login.siblings if 200 <= seen.status < 300]
    if not taken:
        return _AUDIENCE.passed()
    why = "Another server takes the token, which is not for it: whoever runs one server can use the other."
    return _AUDIENCE.failed(why, "Let every server compare the audience with its own URL.", taken[0].in_words)


def _check_refresh(login: LoginSeen, document: dict[str, object]) -> list[Finding]:
    """Spec: RT-03, RT-10; complaint 4; clients.md no. 46"""
    if not login.refreshes:
        return [check.skipped("There is no refresh token.") for check in (_RACE, _ROTATES)]
    good = [seen for seen in login.refreshes if seen.status == 200]
    if not good:
        why = "A refresh token is refused although it is new: people have to log in again every time."
        change = "Accept client_id, and resource as the client sent it, in the refresh request."
        return [_RACE.failed(why, change, login.refreshes[0].in_words), _ROTATES.skipped("It was refused.")]
    usable = len(good) == len(login.refreshes) and all(200 <= seen.status < 300 for seen in login.used_after)
    race = _RACE.passed()
    if not usable:
        why = "Two programs with one login, or an answer that was lost, log the person out."
        change = "Answer the token that was just replaced once more, for a minute, with the same successor."
        race = _RACE.warned(why, change, "; ".join(seen.in_words for seen in (*login.refreshes, *login.used_after)))
    before = document.get("refresh_token")
    if all(text_of(seen.document, "refresh_token") not in ("", before) for seen in good):
        return [race, _ROTATES.passed()]
    why = "A refresh token that was stolen is good for ever, and nobody notices."
    return [race, _ROTATES.warned(why, "Replace refresh tokens of clients without a secret whenever they are used.")]


def _check_revoked(login: LoginSeen) -> Finding:
    if login.revoked is None:
        return _REVOKED.skipped("There is no revocation endpoint.")
    if login.revoked.status != 200:
        why = "Giving a token back is refused, so that logging out does nothing."
        return _REVOKED.warned(
            why, "Accept revocation from clients without a secret by client_id alone.", login.revoked.in_words
        )
    after = login.after_revocation
    if after is not None and 200 <= after.status < 300:
        why = "The refresh token was given back and still gives tokens."
        return _REVOKED.failed(why, "End the grant when one of its refresh tokens is revoked.", after.in_words)
    return _REVOKED.passed()
