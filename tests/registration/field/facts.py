"""What is known of the clients in the field: a copy of the notes, facts only, each with its evidence.

`python -m tests.registration.field.facts NOTES` writes the copy anew from the field notes' `client_profiles.json`.
Every copied leaf keeps `e`, how it is known: recorded, read in source, told by somebody, or inferred.
"""

import json
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from tests.needs import ROOT

NOTES = ROOT.parent / "shared" / "interop" / "client_profiles.json"
HERE = Path(__file__).parent
PROFILES = HERE / "profiles.json"
TRACES = HERE / "traces.json"
# What decides on the wire, by section. The notes' sentences about it are left where they are.
_COPIED = {
    "registration": ("order", "cimd", "dcr_body"),
    "authorize": ("params", "state_len", "pkce_verifier_len"),
    "token": ("fields",),
    "refresh": ("fields",),
}
_NAME = re.compile(r"([a-z_]+)(?:=(\S+))?")
_ELSEWHERE = re.compile(r"as (rmcp|typescript-sdk-1)\b( 1\.x)?")
_CODES = {"rmcp": "rmcp-3", "typescript-sdk-1": "typescript-sdk-1"}
_STANDARD = {
    "authorize": (
        *("response_type=code", "client_id", "redirect_uri", "state", "code_challenge"),
        *("code_challenge_method=S256", "scope", "resource"),
    ),
    "token": ("grant_type", "code", "redirect_uri", "client_id", "code_verifier", "resource"),
    "refresh": ("grant_type", "refresh_token", "client_id", "resource"),
}
"""What is taken for sent where the notes say nothing, or only that it is the usual."""


@dataclass(frozen=True)
class Parameter:
    """A parameter as a client sends it: always with `value` where the notes give one."""

    name: str
    value: str | None = None


def build_profiles(notes: dict[str, Any]) -> dict[str, Any]:
    """The copy of the profiles and of the documents that clients publish."""
    return {
        "state_of": notes["generated"],
        "evidence": notes["evidence"],
        "profiles": [_copy_profile(profile) for profile in notes["profiles"]],
        "cimd_documents": notes["cimd_documents"],
    }


def build_traces(notes: dict[str, Any]) -> dict[str, Any]:
    """The copy of the recorded requests; a secret that the recorder handed out is a placeholder like every other."""
    return {
        name: {**trace, "requests": [_hide_secret(request) for request in trace["requests"]]}
        for name, trace in notes["traces"].items()
    }


def dump_profiles(copied: dict[str, Any]) -> str:
    """JSON with a line for each profile and each document."""
    heads = [f" {json.dumps(name)}: {_line(copied[name])}" for name in ("state_of", "evidence")]
    lists = [
        f" {json.dumps(name)}: [\n" + ",\n".join(f"  {_line(each)}" for each in copied[name]) + "\n ]"
        for name in ("profiles", "cimd_documents")
    ]
    return "{\n" + ",\n".join([*heads, *lists]) + "\n}\n"


def dump_traces(copied: dict[str, Any]) -> str:
    """JSON with a line for each trace."""
    return "{\n" + ",\n".join(f" {json.dumps(name)}: {_line(trace)}" for name, trace in copied.items()) + "\n}\n"


@cache
def read_profiles() -> dict[str, dict[str, Any]]:
    """The copied profiles by id."""
    return {profile["id"]: profile for profile in json.loads(PROFILES.read_text(encoding="utf-8"))["profiles"]}


@cache
def read_documents() -> dict[str, dict[str, Any]]:
    """What clients publish of themselves, by client_id."""
    listed = json.loads(PROFILES.read_text(encoding="utf-8"))["cimd_documents"]
    return {each["client_id"]: {name: each[name] for name in each if name != "e"} for each in listed}


@cache
def read_traces() -> dict[str, dict[str, Any]]:
    """The recorded requests by the name of their trace."""
    traces: dict[str, dict[str, Any]] = json.loads(TRACES.read_text(encoding="utf-8"))
    return traces


def leaf(profile_id: str, section: str, name: str) -> Any:
    """The copied value of a leaf, or None where nothing is known."""
    found = read_profiles()[profile_id].get(section, {}).get(name)
    return found["v"] if found else None


def evidence(profile_id: str, section: str, name: str) -> str:
    """How a leaf is known; `inferred` where it is not known at all."""
    found = read_profiles()[profile_id].get(section, {}).get(name)
    return str(found["e"]) if found else "inferred"


def document_evidence(client_id: str) -> str:
    """How the contents of a published document are known."""
    listed = json.loads(PROFILES.read_text(encoding="utf-8"))["cimd_documents"]
    return next(str(each["e"]) for each in listed if each["client_id"] == client_id)


def sent_parameters(profile_id: str, section: str) -> tuple[Parameter, ...]:
    """What a client sends of `authorize`, `token` or `refresh`, in its order; what is usual where nobody knows."""
    found = read_profiles()[profile_id].get(section, {})
    if "same_as" in found:
        return sent_parameters(found["same_as"], section)
    entries = (found.get("params" if section == "authorize" else "fields") or {"v": []})["v"]
    if elsewhere := _ELSEWHERE.match(entries[0]) if entries else None:
        theirs = sent_parameters(_CODES[elsewhere[1]], section)
        return tuple(each for each in theirs if not (elsewhere[2] and each.name == "resource"))
    named = [_NAME.match(entry) for entry in entries]
    if len(entries) < 2 or not all(named):
        named = [_NAME.match(entry) for entry in _STANDARD[section]]
    return tuple(Parameter(match[1], match[2]) for match in named if match is not None)


def _copy_profile(profile: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = {name: profile[name] for name in ("id", "name", "version") if profile.get(name)}
    if "redirect_uris" in profile:
        copied["redirect_uris"] = _copy_leaf(profile["redirect_uris"])
    for section, names in _COPIED.items():
        given = profile.get(section, {})
        kept = {name: _copy_leaf(given[name]) for name in names if name in given}
        if "same_as" in given:
            kept["same_as"] = given["same_as"]
        if kept:
            copied[section] = kept
    if "revoke" in profile:
        copied["revoke"] = _copy_leaf(profile["revoke"])
    if "traces" in profile:
        copied["traces"] = profile["traces"]
    return copied


def _copy_leaf(found: dict[str, Any]) -> dict[str, Any]:
    return {"v": found["v"], "e": found["e"]}


def _hide_secret(request: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(request.get("body"), list):
        return request
    body = [[name, "{client_secret raw}" if name == "client_secret" else value] for name, value in request["body"]]
    return {**request, "body": body}


def _line(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


if __name__ == "__main__":
    field_notes = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    PROFILES.write_text(dump_profiles(build_profiles(field_notes)), encoding="utf-8")
    TRACES.write_text(dump_traces(build_traces(field_notes)), encoding="utf-8")
