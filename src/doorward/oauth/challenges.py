"""`WWW-Authenticate` as clients read it: several challenges, several fields, every spelling that is in use.

Spec: RFC 9110 §11.6.1; RFC 6750 §3; RFC 9728 §5.1 (WWW-09)
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

MAX_CHALLENGE_LENGTH = 16384
_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_SCHEME = re.compile(rf"({_TOKEN})(?=$|[ \t,])")
_PARAMETER = re.compile(rf"({_TOKEN})[ \t]*=[ \t]*(?:\"((?:[^\"\\]|\\.)*)\"|([^\s,\"]*))")
_CREDENTIALS = re.compile(r" +[A-Za-z0-9._~+/-]+=*(?=[ \t]*(?:,|$))")
_UNREADABLE = re.compile(rf"{_TOKEN}|.", re.DOTALL)
"""A whole token, since no part of one can be read either: to try each would take seconds for one field."""
_BETWEEN = re.compile(r"[ \t,]*")
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Challenge:
    """One challenge. The scheme and the names of parameters are in lower case, values without their quotes."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def error(self) -> str | None:
        """The error code, where a token was refused."""
        return self.parameters.get("error")

    @property
    def scope(self) -> str | None:
        """The scopes that are needed, as written; None where it does not say."""
        return self.parameters.get("scope")

    @property
    def resource_metadata(self) -> str | None:
        """The address of the resource's metadata, as written."""
        return self.parameters.get("resource_metadata")


def parse_challenges(fields: Iterable[str]) -> list[Challenge]:
    """Every challenge of all fields, in order; what cannot be read is passed over. Never raises.

    A parameter that is written twice keeps its first value: the second could be somebody else's.

    Spec: WWW-09; clients.md no. 54
    """
    return [challenge for field in fields for challenge in _parse_field(field[:MAX_CHALLENGE_LENGTH])]


def find_challenge(fields: Iterable[str], *schemes: str) -> Challenge | None:
    """The first challenge of one of `schemes` (in lower case), the one with metadata before others."""
    found = [challenge for challenge in parse_challenges(fields) if challenge.scheme in schemes]
    return next((one for one in found if one.resource_metadata), found[0] if found else None)


def _parse_field(field: str) -> list[Challenge]:
    challenges: list[Challenge] = []
    parameters: dict[str, str] = {}
    at = 0
    while at < len(field):
        at = _end(_BETWEEN, field, at)
        if parameter := _PARAMETER.match(field, at):
            quoted, plain = parameter[2], parameter[3]
            parameters.setdefault(parameter[1].lower(), _ESCAPED.sub(r"\1", quoted) if quoted is not None else plain)
            at = parameter.end()
        elif scheme := _SCHEME.match(field, at):
            parameters = {}
            challenges.append(Challenge(scheme[1].lower(), parameters))
            at = _end(_CREDENTIALS, field, scheme.end())
        else:
            at = _end(_UNREADABLE, field, at)
    return challenges


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    return match.end() if match else at
