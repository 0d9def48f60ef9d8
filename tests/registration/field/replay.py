"""What a released client was recorded to send, sent to our server and to a guarded MCP server in the same order.

The recorder's addresses, ids and secrets become ours, and its scopes `mcp:…` our `tools:…`. One thing a client adapts
by itself: it sends a secret only where the registration gave it one, and else its client_id in the body. Where the
recorder gave one and we would not, `with_secret` has the client ask for it.
"""

import json
import re
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from doorward.manage import clients, projects, resources, users
from doorward.oauth.jwt import VerificationKey, parse_jwks
from doorward.oauth.pkce import build_challenge
from doorward.resource import JWTVerifier, ProtectMCP
from tests.inside import ISSUER, SCOPES, Answer, Door
from tests.person import answer_parameters
from tests.registration.field.facts import read_documents
from tests.registration.site import Site
from tests.resource.world import Echo, browse
from tests.running import ADMIN_EMAIL, ADMIN_PASSWORD
from tests.server.steps import basic

PORT = "61455"
ELSEWHERE = "https://api.example.com"
METADATA = ("authorization_endpoint", "token_endpoint", "registration_endpoint", "revocation_endpoint")
_LENGTH = re.compile(r"len=(\d+)( hex)?")


@dataclass
class Client:
    """What the recorded program holds."""

    client_id: str = ""
    secret: str = ""
    verifier: str = ""
    state: str = ""
    code: str = ""
    asked: str = ""
    """The authorization request that nobody has answered yet."""
    tokens: dict[str, str] = field(default_factory=dict)
    is_forgotten: bool = False

    @property
    def scope(self) -> list[str]:
        return self.tokens.get("scope", "").split()


class Keys:
    """The keys that our server publishes, fetched anew each time."""

    def __init__(self, door: Door, path: str) -> None:
        self._door = door
        self._path = path

    async def find(self, kid: str) -> VerificationKey | None:
        return parse_jwks((await self._door.call("GET", self._path)).json()).get(kid)


class Recorded:
    """One trace on its way through a server."""

    def __init__(self, door: Door, site: Site, trace: dict[str, Any], *, with_secret: bool) -> None:
        self.door = door
        self.site = site
        self.trace = trace
        method = "client_secret_basic" if "Basic" in str(trace) else "client_secret_post"
        self._method = {"token_endpoint_auth_method": method} if with_secret else {}
        self.client = Client()
        self.slug = "t1" if trace["mode"] == "probe" else ""
        self.issuer = f"{ISSUER}/p/t1" if self.slug else ISSUER
        # Without metadata, clients take the MCP server's own origin for the authorization server.
        self.is_together = trace["mode"] in ("legacy", "noprm")
        self.origin = ISSUER if self.is_together else ELSEWHERE
        self.resource = self.origin if trace["mode"] == "wellknown" else f"{self.origin}/mcp"
        self.endpoints: dict[str, str] = {}
        self.documents: dict[str, str] = {}
        self.project = door.project
        self._forgets = re.search("invalid_client|forgot", trace["scenario"]) is not None
        self._last_query: list[Any] = []
        length = re.search(r"code_verifier len=(\d+)", json.dumps(trace))
        self._verifier_length = int(length[1]) if length else 43

    async def prepare(self) -> None:
        """The project, the MCP server and the documents that the trace needs."""
        door = self.door
        if self.slug:
            self.project = await projects.create_project(door.operator, self.slug, "T1")
            await users.add(door.operator, self.project, ADMIN_EMAIL, ADMIN_PASSWORD, role="owner")
        else:
            await resources.remove(door.operator, door.resource)
        await resources.add(door.operator, self.project, self.resource, scopes=SCOPES)
        door.clock.advance(seconds=1)  # every node sees it
        inserted = self.issuer.removeprefix(ISSUER)
        metadata = (await door.call("GET", f"/.well-known/oauth-authorization-server{inserted}")).json()
        assert metadata["issuer"] == self.issuer
        self.endpoints = {name.partition("_")[0]: metadata[name].removeprefix(ISSUER) for name in METADATA}
        self.guard = ProtectMCP(
            Echo(),
            verifier=JWTVerifier(
                issuer=self.issuer,
                resource=self.resource,
                keys=Keys(door, metadata["jwks_uri"].removeprefix(ISSUER)),
                clock=lambda: door.clock() / 1000,
            ),
            resource=self.resource,
            issuer=self.issuer,
            scopes_supported=["tools:read", "tools:write"],
            challenge_scopes=["tools:read"],
            tools={"write": ["tools:write"]},
            app_path="/mcp",
        )
        self._publish()

    async def send(self, request: dict[str, Any]) -> Answer:
        """Send one recorded request; what it is answered."""
        path = request["path"]
        if request["to"] == "rs" and not (self.is_together and not path.startswith("/mcp")):
            return await self._ask_resource(request)
        if "/.well-known/" in path:
            return await self.door.call("GET", re.sub(r"/t1(?=/|$)", "/p/t1", path), headers=request.get("headers", {}))
        kind = path.rpartition("/")[2]
        if kind == "register":
            return await self._register(request)
        if kind == "authorize":
            return await self._authorize(request)
        if self._is_forgotten_before(request):
            known = await clients.get(self.door.operator, self.project, self.client.client_id)
            await clients.remove(self.door.operator, known)
            self.client.is_forgotten = True
        return await (self._post("revocation", request) if kind == "revoke" else self._ask_token(request))

    async def _register(self, request: dict[str, Any]) -> Answer:
        body = self.filled(request["body"]) | self._method
        answer = await self.door.post_json(self._endpoint("registration", request), body)
        made = answer.json()
        self.client = Client(made["client_id"], made.get("client_secret", ""))
        return answer

    async def _authorize(self, request: dict[str, Any]) -> Answer:
        if request["query"] != self._last_query:  # some look before the browser does, and at the same address
            self._last_query = request["query"]
            self.client.asked = self._build_authorization(request)
        return await self.door.call("GET", self.client.asked)

    def _build_authorization(self, request: dict[str, Any]) -> str:
        client, query = self.client, {}
        client.verifier = secrets.token_urlsafe(128)[: self._verifier_length]
        for name, value in request["query"]:
            length = _LENGTH.search(value)
            if name == "code_challenge":
                query[name] = build_challenge(client.verifier)
            elif length is not None:
                query[name] = client.state = _random(int(length[1]), in_hex=length[2] is not None)
            else:
                query[name] = self.filled(value)
        client.client_id = query["client_id"]
        return f"{self._endpoint('authorization', request)}?{urlencode(query, quote_via=quote)}"

    async def _ask_token(self, request: dict[str, Any]) -> Answer:
        if self.client.asked:
            target = await self.door.person().consent(self.client.asked)
            answered = answer_parameters(target)
            assert (answered["state"], answered["iss"]) == (self.client.state, self.issuer)
            self.client.code, self.client.asked, self._last_query = answered["code"], "", []
        answer = await self._post("token", request)
        if answer.status == 200:
            self.client.tokens |= {name: value for name, value in answer.json().items() if isinstance(value, str)}
        return answer

    async def _post(self, endpoint: str, request: dict[str, Any]) -> Answer:
        recorded = [(name, value) for name, value in request["body"] if name != "client_secret" or self.client.secret]
        form = [(name, self.filled(value)) for name, value in recorded]
        headers = {name.lower(): value for name, value in request.get("headers", {}).items()}
        credentials = request.get("authorization", "")
        if credentials.startswith("Bearer"):
            headers["authorization"] = self.filled(credentials)
        elif credentials and self.client.secret:
            is_encoded = "form-encoded" in credentials
            headers |= basic(self.client.client_id, self.client.secret, encoded=is_encoded)
        elif credentials and "client_id" not in dict(form):
            form.append(("client_id", self.client.client_id))
        return await self.door.post_form(self._endpoint(endpoint, request), form, headers)

    async def _ask_resource(self, request: dict[str, Any]) -> Answer:
        headers = dict(request.get("headers", {}))
        if "authorization" in request:
            headers["Authorization"] = self.filled(request["authorization"])
        content = b""
        if "jsonrpc" in request:
            method = request["jsonrpc"]["method"]
            params = {"name": "write", "arguments": {}} if method == "tools/call" else {}
            content = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
            if headers.get("MCP-Protocol-Version") == "2026-07-28":
                headers["Mcp-Method"] = method  # the recorder kept no `Mcp-*` header, of any client
        async with browse(self.guard, self.origin) as http:
            got = await http.request(request["method"], request["path"], headers=headers, content=content)
        found: dict[str, list[str]] = {}
        for name, value in got.headers.multi_items():
            found.setdefault(name, []).append(value)
        return Answer(got.status_code, found, got.content)

    def _is_forgotten_before(self, request: dict[str, Any]) -> bool:
        """Whether the recorder's server forgot its client at this point: that is what the trace is about."""
        if not self._forgets or ["grant_type", "authorization_code"] in request["body"]:
            return False
        self._forgets = False
        return True

    def _endpoint(self, kind: str, request: dict[str, Any]) -> str:
        """Where our metadata says, or where clients go that found none."""
        return request["path"] if self.is_together else self.endpoints[kind]

    def _publish(self) -> None:
        """The documents of this trace on the test's own site, in the place of their real addresses."""
        sent = [dict(request["query"]) for request in self.trace["requests"] if "query" in request]
        for query in sent:
            client_id = query["client_id"]
            if client_id.startswith("https://"):
                unknown = {"redirect_uris": [query["redirect_uri"].replace(":{port}", "")]}
                known = read_documents().get(client_id, unknown)
                members = {name: value for name, value in known.items() if name != "client_id"}
                self.documents[client_id] = self.site.publish("/" + client_id.split("/", 3)[3], **members)

    def filled(self, value: Any) -> Any:
        """A recorded value with ours in the place of the recorder's."""
        if isinstance(value, dict):
            return {name: self.filled(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.filled(each) for each in value]
        if value in self.documents:
            return self.documents[value]
        if value.startswith("{code_verifier"):
            return self.client.verifier
        known = {
            "{rs}": self.origin,
            "{as}": self.issuer,
            "{port}": PORT,
            "{dcr_client_id}": self.client.client_id,
            "{client_secret raw}": self.client.secret,
            "{code}": self.client.code,
            **{f"{{{name}}}": self.client.tokens.get(name, "") for name in ("access_token", "refresh_token")},
        }
        for hole, ours in known.items():
            value = value.replace(hole, ours)
        return value.replace("mcp:", "tools:")


def _random(length: int, *, in_hex: bool) -> str:
    return secrets.token_hex(length)[:length] if in_hex else secrets.token_urlsafe(length)[:length]
