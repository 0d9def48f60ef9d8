"""The ways in which the servers of the records differed from a healthy one, by the names the records give them.

In those whose name begins with www, the resource's metadata was nowhere but where the challenge says.
"""

from collections.abc import Callable

from tests.doctor.pretending import NOT_FOUND, Answer, Asked, Pretended, answer_json

CUSTOM = "/custom/metadata"


def _challenge(*fields: str) -> Callable[[Pretended], None]:
    """The challenge is what `fields` say, and leads to the only place of the metadata."""

    def change(server: Pretended) -> None:
        server.challenge = [one.replace("{url}", f"{server.rs}{CUSTOM}") for one in fields]
        members = {"resource": server.url, "authorization_servers": [server.issuer], "scopes_supported": ["read"]}
        server.answers[CUSTOM] = lambda asked: answer_json(members)
        for path in ("/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"):
            server.answers[path] = lambda asked: NOT_FOUND
        _alone(server)

    return change


def _of_issuer(server: Pretended, asked: Asked) -> Answer:
    is_there = asked.headers["host"] == server.issuer.partition("//")[2]
    return server.answer_healthily(asked) if is_there else NOT_FOUND


def _null_metadata(server: Pretended) -> None:
    server.edit_metadata = lambda members: {**members, "service_documentation": None, "jwks_uri": None}


def _iss(value: str | None) -> Callable[[Pretended], None]:
    def change(server: Pretended) -> None:
        def edit(members: dict[str, str]) -> dict[str, str]:
            given = {name: text for name, text in members.items() if name != "iss"}
            return given if value is None else {**given, "iss": value.replace("{issuer}", server.issuer)}

        server.edit_answer = edit

    return change


def _unadvertised(server: Pretended) -> None:
    name = "authorization_response_iss_parameter_supported"
    server.edit_metadata = lambda members: {key: value for key, value in members.items() if key != name}


def _slash_everywhere_but_in_the_resource(server: Pretended) -> None:
    server.edit_metadata = lambda members: {**members, "issuer": f"{server.issuer}/"}
    _iss("{issuer}/")(server)


def _no_pkce(server: Pretended) -> None:
    name = "code_challenge_methods_supported"
    server.edit_metadata = lambda members: {key: value for key, value in members.items() if key != name}


def _least_registered(server: Pretended) -> None:
    server.edit_registered = lambda members: {"client_id": members["client_id"]}


def _registered_with_nulls(server: Pretended) -> None:
    server.edit_registered = lambda members: {**members, "client_uri": None, "logo_uri": None}


def _registered_as_200(server: Pretended) -> None:
    def answer(asked: Asked) -> Answer:
        status, headers, body = server.answer_healthily(asked)
        return 200 if status == 201 else status, headers, body

    server.answers["/register"] = answer


def _forced_none(server: Pretended) -> None:
    server.edit_registered = lambda members: {**members, "token_endpoint_auth_method": "none"}


def _least_token(server: Pretended) -> None:
    server.edit_token = lambda members: {"access_token": members["access_token"], "token_type": "bearer"}


def _token_with_nulls(server: Pretended) -> None:
    server.edit_token = lambda members: {**members, "refresh_token": None, "scope": None}


def _expires_as_text(server: Pretended) -> None:
    server.edit_token = lambda members: {**members, "expires_in": "300"}


def _extra_slash(server: Pretended) -> None:
    server.edit_resource = lambda members: {**members, "resource": f"{server.url}/"}


def _limited(server: Pretended) -> None:
    server.answers["/.well-known/oauth-protected-resource/mcp"] = lambda asked: answer_json({}, 429)
    _alone(server)


def _redirected(server: Pretended) -> None:
    server.answers["/moved"] = lambda asked: answer_json(server.healthy_metadata())
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"):
        server.answers[path] = lambda asked: (302, [("location", "/moved")], b"")


def _forbidden(server: Pretended) -> None:
    server.status = 403


def _alone(server: Pretended) -> None:
    """Nothing of the authorization server is on the MCP server's own origin."""
    for path in ("/.well-known/oauth-authorization-server", "/.well-known/openid-configuration", "/register"):
        server.answers.setdefault(path, lambda asked: _of_issuer(server, asked))


VARIANTS: dict[str, Callable[[Pretended], None]] = {
    "badiss": _iss("https://elsewhere.example.com"),
    "mississ": _iss(None),
    "unadviss": _unadvertised,
    "issonlyslash": _iss("{issuer}/"),
    "isslash": _slash_everywhere_but_in_the_resource,
    "nopkce": _no_pkce,
    "metanull": _null_metadata,
    "dcrmin": _least_registered,
    "dcr200": _registered_as_200,
    "dcrnull": _registered_with_nulls,
    "dcrforcenone": _forced_none,
    "tokmin": _least_token,
    "toknull": _token_with_nulls,
    "tokstr": _expires_as_text,
    "trail": _extra_slash,
    "wwwcustom": _challenge('Bearer resource_metadata="{url}"'),
    "wwwlower": _challenge('bearer resource_metadata="{url}"'),
    "wwwmulti": _challenge('DPoP algs="ES256", Bearer resource_metadata="{url}"'),
    "wwwtwo": _challenge('DPoP algs="ES256"', 'Bearer resource_metadata="{url}"'),
    "wwwbfirst": _challenge('Bearer resource_metadata="{url}", DPoP algs="ES256"'),
    "wwwbtwo": _challenge('Bearer resource_metadata="{url}"', 'DPoP algs="ES256"'),
    "wwwrel": _challenge(f'Bearer resource_metadata="{CUSTOM}"'),
    "wwwunq": _challenge("Bearer resource_metadata={url}"),
    "prm429": _limited,
    "metaredir": _redirected,
    "rs403": _forbidden,
}
