"""An authorization server as clients like it, that can be given one fault. A press of a button lets anybody in."""

import hashlib
import html
import json
import secrets
import time
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from doorward.oauth.jwt import generate_signing_key, sign_access_token

SCOPES = ["tools:read", "tools:write", "offline_access"]
LOOPBACK = {"127.0.0.1", "::1", "localhost"}
DOCUMENTS: dict[str, list[str]] = {
    "https://claude.ai/oauth/claude-code-client-metadata": ["http://localhost/callback", "http://127.0.0.1/callback"],
    "https://claude.ai/oauth/mcp-oauth-client-metadata": ["https://claude.ai/api/mcp/auth_callback"],
    "https://vscode.dev/oauth/client-metadata.json": ["http://127.0.0.1:33418/", "https://vscode.dev/redirect"],
    "https://chatgpt.com/oauth/client.json": ["https://chatgpt.com/connector_platform_oauth_redirect"],
    "https://chatgpt.com/oauth/codex/client.json": ["http://127.0.0.1/callback"],
    "https://goose-docs.ai/oauth/client-metadata.json": [
        "http://127.0.0.1/oauth_callback",
        "http://[::1]/oauth_callback",
    ],
    "https://zed.dev/oauth/client-metadata.json": ["http://127.0.0.1/callback"],
    "https://github.com/copilot/cli/client-metadata.json": ["http://127.0.0.1/callback"],
    "https://grok.com/oauth/mcp-client.json": [
        "https://grok.com/connectors-oauth-exchange-code/",
        "https://console.x.ai/connectors-oauth-exchange-code/",
    ],
    "https://api.factory.ai/mcp/oauth-client": ["http://127.0.0.1/callback"],
}
"""What known clients publish. A test has no network, so they are here as if they had been fetched."""


@dataclass
class Issuer:
    """At `url`, which has a path; gives tokens for `resource`. `registered` is what it was asked to remember."""

    url: str
    resource: str
    fault: str = ""
    registered: dict[str, dict[str, Any]] = field(default_factory=dict)
    removed: set[str] = field(default_factory=set)
    tokens: dict[str, str] = field(default_factory=dict)
    """Access tokens that are good, and the scope of each."""
    given: list[str] = field(default_factory=list)
    """Everything secret that was ever given out."""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _refresh: dict[str, dict[str, Any]] = field(default_factory=dict)
    _successors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._key = generate_signing_key()

    @property
    def path(self) -> str:
        return urlsplit(self.url).path

    def metadata(self) -> dict[str, Any]:
        endpoints = self.url.replace("https:", "http:") if self.fault == "http-endpoints" else self.url
        methods = ["client_secret_post", "client_secret_basic", "none", "private_key_jwt"]
        if self.fault == "documents-without-none":
            methods.remove("none")
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{endpoints}/authorize",
            "token_endpoint": f"{endpoints}/token",
            "registration_endpoint": f"{endpoints}/register",
            "revocation_endpoint": f"{endpoints}/revoke",
            "jwks_uri": f"{endpoints}/jwks",
            "scopes_supported": SCOPES,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": methods,
            "token_endpoint_auth_signing_alg_values_supported": ["RS256", "ES256"],
            "client_id_metadata_document_supported": True,
            "authorization_response_iss_parameter_supported": True,
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
        }

    async def answer(self, request: Request) -> Response:
        where, inserted = request.url.path, f"/.well-known/oauth-authorization-server{self.path}"
        if where in {
            inserted,
            f"/.well-known/openid-configuration{self.path}",
            f"{self.path}/.well-known/openid-configuration",
        }:
            return JSONResponse(self.metadata(), headers={"Cache-Control": "max-age=300"})
        if where == f"{self.path}/jwks":
            return JSONResponse({"keys": [self._key.public_jwk()]})
        if where == f"{self.path}/authorize":
            return await self._authorize(request)
        if where == f"{self.path}/register" and request.method == "POST":
            return await self._register(request)
        if where.startswith(f"{self.path}/register/"):
            return self._manage(request, where.rpartition("/")[2])
        if where == f"{self.path}/token" and request.method == "POST":
            return await self._token(request)
        if where == f"{self.path}/revoke" and request.method == "POST":
            return self._revoke(str((await request.form()).get("token", "")))
        return JSONResponse({"error": "not_found"}, status_code=404)

    def _revoke(self, token: str) -> Response:
        """A refresh token takes all that came of it along."""
        if token in self._refresh:
            self._refresh.clear()
            self.tokens.clear()
        self.tokens.pop(token, None)
        return Response(status_code=200)

    async def _register(self, request: Request) -> Response:
        asked = json.loads(await request.body())
        uris = asked.get("redirect_uris") or []
        wrong = [uri for uri in uris if not self._may_register(uri)]
        if wrong or not uris:
            return _refuse("invalid_redirect_uri", f"Not allowed here: {', '.join(wrong) or 'none at all'}.")
        client_id = f"client-{secrets.token_hex(6)}"
        method = asked.get("token_endpoint_auth_method") or "none"
        given = {
            **{name: value for name, value in asked.items() if value is not None},
            "client_id": client_id,
            "client_id_issued_at": int(time.time()),
            "grant_types": asked.get("grant_types") or ["authorization_code", "refresh_token"],
            "response_types": ["code"],
            "token_endpoint_auth_method": method,
            "application_type": asked.get("application_type") or "native",
            "scope": " ".join(SCOPES),
            "registration_client_uri": f"{self.url}/register/{client_id}",
            "registration_access_token": secrets.token_urlsafe(16),
        }
        if method == "none" and self.fault == "documents-without-none":
            given["token_endpoint_auth_method"] = method = "client_secret_post"
        if method != "none":
            given |= {"client_secret": secrets.token_urlsafe(16), "client_secret_expires_at": 0}
            self.given.append(given["client_secret"])
        self.given.append(given["registration_access_token"])
        self.registered[client_id] = given
        return JSONResponse(given, status_code=201, headers={"Cache-Control": "no-store"})

    def _may_register(self, uri: str) -> bool:
        parts = urlsplit(uri)
        if parts.scheme == "http":
            return parts.hostname in LOOPBACK
        if parts.scheme == "https":
            return True
        return self.fault != "private-scheme-refused" and parts.scheme not in {"javascript", "data", "file"}

    def _manage(self, request: Request, client_id: str) -> Response:
        known = self.registered.get(client_id)
        if known is None or request.headers.get("authorization") != f"Bearer {known['registration_access_token']}":
            return _refuse("invalid_token", "No such registration.", 401)
        if request.method == "DELETE":
            del self.registered[client_id]
            self.removed.add(client_id)
            return Response(status_code=204)
        return JSONResponse(known)

    def _redirect_uris(self, client_id: str) -> list[str] | None:
        if client_id in self.registered:
            return list(self.registered[client_id]["redirect_uris"])
        return None if self.fault == "documents-not-fetched" else DOCUMENTS.get(client_id)

    def _matches(self, asked: str, registered: list[str]) -> bool:
        exact = {
            "loopback-port-exact": LOOPBACK,
            "localhost-port-exact": {"localhost"},
        }.get(self.fault, set())
        return any(asked == uri or _same_but_port(asked, uri, exact) for uri in registered)

    async def _authorize(self, request: Request) -> Response:
        asked = {name: str(value) for name, value in request.query_params.items()}
        uris = self._redirect_uris(asked.get("client_id", ""))
        if uris is None:
            return HTMLResponse("<h1>Unknown client</h1><p>This app is not known here.</p>", status_code=400)
        if not self._matches(asked.get("redirect_uri", ""), uris):
            return HTMLResponse("<h1>Wrong redirect</h1><p>redirect_uri is not registered.</p>", status_code=400)
        error = self._find_error(asked)
        if error:
            return self._return(asked, error=error, error_description="Not like this.")
        if request.method == "POST":
            code = secrets.token_urlsafe(16)
            self._codes[code] = asked
            self.given.append(code)
            target = self._return(asked, code=code).headers["location"]
            return HTMLResponse(f'<a id="continue" href="{html.escape(target)}">Continue</a>')
        action = html.escape(str(request.url))
        button = '<button name="decision" value="allow">Allow</button>'
        return HTMLResponse(f'<h1>Let it in?</h1><form method="post" action="{action}">{button}</form>')

    def _find_error(self, asked: dict[str, str]) -> str | None:
        if asked.get("response_type") != "code":
            return "unsupported_response_type"
        if asked.get("code_challenge_method") != "S256" or len(asked.get("code_challenge", "")) != 43:
            return "invalid_request"
        if asked.get("resource", self.resource) != self.resource:
            return "invalid_target"
        scopes = asked.get("scope", "").split()
        if self.fault == "offline-access-refused" and "offline_access" in scopes:
            return "invalid_scope"
        if scopes and not set(scopes) & set(SCOPES):
            return "invalid_scope"
        return "login_required" if asked.get("prompt") == "none" else None

    def _return(self, asked: dict[str, str], **answer: str) -> Response:
        if "state" in asked:
            answer["state"] = asked["state"]
        if self.fault != "iss-missing":
            answer["iss"] = "https://auth.example.com" if self.fault == "iss-wrong" else self.url
        joint = "&" if "?" in asked["redirect_uri"] else "?"
        return RedirectResponse(f"{asked['redirect_uri']}{joint}{urlencode(answer)}", status_code=302)

    async def _token(self, request: Request) -> Response:
        form = {name: str(value) for name, value in (await request.form()).items()}
        answer = self._redeem(form)
        if answer.status_code >= 400 and self.fault == "opaque-token-errors":
            return HTMLResponse("<h1>Internal Server Error</h1>", status_code=500)
        return answer

    def _redeem(self, form: dict[str, str]) -> Response:
        client_id = form.get("client_id", "")
        if self._redirect_uris(client_id) is None:
            return _refuse("invalid_client", "Nobody here is called that.", 401)
        if client_id in DOCUMENTS and self.fault == "documents-without-none" and "client_assertion" not in form:
            return _refuse("invalid_client", "Public clients are not allowed.", 401)
        if form.get("grant_type") == "refresh_token":
            return self._rotate(form)
        if form.get("grant_type") != "authorization_code":
            return _refuse("unsupported_grant_type", "Codes and refresh tokens only.")
        asked = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if asked is None or urlsafe_b64encode(digest).rstrip(b"=").decode() != asked["code_challenge"]:
            return _refuse("invalid_grant", "The code is not good here.")
        return self._issue(client_id, asked.get("scope") or "tools:read")

    def _rotate(self, form: dict[str, str]) -> Response:
        """One that was used is answered with its successor: two processes of one app may send it at once."""
        sent = form.get("refresh_token", "")
        held = self._refresh.get(sent)
        if held is None or held["client_id"] != form.get("client_id"):
            return _refuse("invalid_grant", "The refresh token is not good here.")
        return self._issue(held["client_id"], held["scope"], replaces=sent)

    def _issue(self, client_id: str, scope: str, *, replaces: str | None = None) -> Response:
        kept = " ".join(name for name in scope.split() if name in SCOPES)
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.resource, "iat": now, "exp": now + 900, "jti": secrets.token_hex(8)}
        token = sign_access_token({**claims, "sub": "alice", "client_id": client_id, "scope": kept}, self._key)
        refresh = self._successors.get(replaces or "") or secrets.token_urlsafe(16)
        if replaces:
            self._successors[replaces] = refresh
        self._refresh[refresh] = {"client_id": client_id, "scope": kept}
        self.tokens[token] = kept
        self.given += [token, refresh]
        body = {"access_token": token, "token_type": "Bearer", "expires_in": 900, "scope": kept}
        return JSONResponse({**body, "refresh_token": refresh}, headers={"Cache-Control": "no-store"})


def _same_but_port(asked: str, registered: str, exact: set[str]) -> bool:
    one, other = urlsplit(asked), urlsplit(registered)
    if one.scheme != "http" or one.hostname not in LOOPBACK - exact:
        return False
    return (one.scheme, one.hostname, one.path or "/", one.query) == (
        other.scheme,
        other.hostname,
        other.path or "/",
        other.query,
    )


def _refuse(error: str, description: str, status: int = 400) -> Response:
    body = {"error": error, "error_description": description}
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})
