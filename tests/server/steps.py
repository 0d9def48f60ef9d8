"""What tests of endpoints do again and again: read a refusal, authenticate a client, look into a token."""

import json
import re
from base64 import b64encode, urlsafe_b64decode
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlsplit
from uuid import uuid4

from joserfc import jws

from doorward.core.models import Capability, Project, Resource
from doorward.manage import keys, projects, resources, revocations, users
from doorward.oauth.jwt import SigningKey
from tests.inside import ISSUER, SCOPES, Answer, Door
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD

TOKEN = "/api/oauth/token"
REVOKE = "/api/oauth/revoke"
INTROSPECT = "/api/oauth/introspect"
REGISTER = "/api/oauth/register"
WEB_REDIRECT = "https://client.example.com/callback"
VERIFIER = "correct-horse-battery-staple-and-a-little-more"
_DESCRIPTION = re.compile(r"[\x20-\x21\x23-\x5B\x5D-\x7E]+")


def refusal(answer: Answer) -> tuple[int, str]:
    """(status, error code) of a refusal in the form the RFC gives it: JSON, stored by nobody, nothing else in it."""
    members = answer.json()
    assert members.keys() == {"error", "error_description"}
    assert _DESCRIPTION.fullmatch(members["error_description"])
    assert answer.header("content-type") == "application/json"
    assert answer.header("cache-control") == "no-store"
    return answer.status, members["error"]


def plain_description(answer: Answer) -> str:
    """The description of a refusal without the reference it quotes."""
    return re.sub(r" \(reference [A-Za-z0-9_-]{10}\)$", "", answer.json()["error_description"])


def success(answer: Answer) -> dict[str, Any]:
    """The members of a 200 that carries credentials: JSON, stored by nobody, no null anywhere."""
    assert answer.status == 200, answer.body
    assert answer.header("content-type") == "application/json"
    assert (answer.header("cache-control"), answer.header("pragma")) == ("no-store", "no-cache")
    assert_no_null(answer.json())
    return answer.json()


def assert_no_null(value: Any) -> None:
    """Clients written in TypeScript stop at a null (clients.md no. 3)."""
    assert value is not None
    for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        assert_no_null(child)


def basic(client_id: str, secret: str, *, encoded: bool = True) -> dict[str, str]:
    """HTTP Basic, form-encoded as the RFC has it or raw as many clients send it."""
    pair = (quote_plus(client_id), quote_plus(secret)) if encoded else (client_id, secret)
    return {"authorization": f"Basic {b64encode(':'.join(pair).encode()).decode()}"}


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


def claims_of(token: str) -> dict[str, Any]:
    """The claims of an access token, unverified."""
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


def redirect_parameters(answer: Answer) -> dict[str, str]:
    """The parameters that a redirect carries, each of them once."""
    assert answer.status in (302, 303), answer.body
    found = parse_qs(urlsplit(answer.header("location")).query, keep_blank_values=True, strict_parsing=True)
    assert all(len(values) == 1 for values in found.values())
    return {name: values[0] for name, values in found.items()}


async def confidential(door: Door, **members: Any) -> dict[str, Any]:
    """A registered client that holds a secret."""
    given = {"redirect_uris": [WEB_REDIRECT], "token_endpoint_auth_method": "client_secret_basic", **members}
    return await door.register(**given)


async def confidential_tokens(door: Door, client: Mapping[str, Any]) -> dict[str, Any]:
    """The token answer of a confidential client that was let in."""
    code, verifier = await door.obtain_code(client["client_id"], door.person(), redirect_uri=WEB_REDIRECT)
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "code_verifier": verifier,
        "redirect_uri": WEB_REDIRECT,
    }
    return success(await door.post_form(TOKEN, form, basic(client["client_id"], client["client_secret"])))


async def project_key(door: Door, *capabilities: Capability, resource: Resource | None = None) -> str:
    """The secret of a key of the default project."""
    _, secret = await keys.create(door.operator, door.project, capabilities, resource=resource)
    return secret


async def introspect(door: Door, token: str, secret: str) -> dict[str, Any]:
    """What a resource server with this key is told of a token."""
    return success(await door.post_form(INTROSPECT, {"token": token}, bearer(secret)))


async def is_active(door: Door, token: str) -> bool:
    """Whether the server itself still counts the token as live."""
    return bool((await introspect(door, token, await project_key(door, "introspect")))["active"])


async def set_project(door: Door, **changes: Any) -> None:
    """Change the project, and let every node see it."""
    door.project = await projects.change_project(door.operator, door.project, changes)
    door.clock.advance(seconds=1)


async def add_neighbour(door: Door, slug: str = "acme", *, same_resource: str | None = None) -> Project:
    """Another project on the same server, with a server and a person of its own."""
    project = await projects.create_project(door.operator, slug, slug.title())
    uri = same_resource or f"https://{slug}.example.com/mcp"
    await resources.add(door.operator, project, uri, name=f"Server of {slug}", scopes=SCOPES)
    await users.add(door.operator, project, ADMIN_EMAIL, ADMIN_PASSWORD, role="owner")
    return project


def sign_assertion(door: Door, client_id: str, key: SigningKey, **claims: Any) -> str:
    """A client's assertion as it should be, but for the given claims; None leaves one out."""
    now = door.clock() // 1000
    usual = {"iss": client_id, "sub": client_id, "aud": ISSUER, "iat": now, "exp": now + 60, "jti": str(uuid4())}
    payload = {name: value for name, value in {**usual, **claims}.items() if value is not None}
    return jws.serialize_compact({"alg": key.alg, "kid": key.kid}, json.dumps(payload), key.key, algorithms=[key.alg])


async def stop(door: Door, what: str) -> None:
    """Stop the project or each of its servers, as an administrator does, and let every node see it."""
    if what == "project":
        await revocations.stop_everything(door.operator, door.project)
    else:
        for resource in await resources.list_all(door.operator, door.project):
            await revocations.stop_server(door.operator, resource)
    door.clock.advance(seconds=1)
