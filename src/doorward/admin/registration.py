"""What lets others register: initial access tokens, and issuers whose software statements count."""

import json
from typing import Annotated, Any

from pydantic import Field

from doorward.manage import registrations
from doorward.manage.admin_tokens import MAX_SECONDS

from .shapes import Answer, Body, Line, Name, Secret, Time
from .table import Call, Operation


class InitialTokenAnswer(Answer):
    """A token that registers so many clients."""

    name: str
    uses_left: int
    created_at: Time
    expires_at: Time | None


class NewInitialTokenAnswer(InitialTokenAnswer):
    """An initial access token that was made, with its secret."""

    token: Secret


class InitialTokenList(Answer):
    """The tokens that were not used up, oldest first."""

    items: list[InitialTokenAnswer]


class InitialTokenBody(Body):
    """An initial access token to make."""

    name: Name = ""
    uses: Annotated[int, Field(ge=1, le=registrations.MAX_USES)] = 1
    expires_in: Annotated[int | None, Field(ge=1, le=MAX_SECONDS, description="Seconds.")] = None


class SoftwareIssuerAnswer(Answer):
    """An issuer whose software statements vouch for clients."""

    issuer: str
    created_at: Time


class SoftwareIssuerList(Answer):
    """The trusted issuers of software statements."""

    items: list[SoftwareIssuerAnswer]


class SoftwareIssuerBody(Body):
    """An issuer to trust."""

    issuer: Annotated[Line, Field(min_length=1)]
    jwks: Annotated[dict[str, Any], Field(description="Its public keys.")]


class DistrustBody(Body):
    """An issuer to trust no longer."""

    issuer: Line


async def list_initial_tokens(call: Call) -> InitialTokenList:
    found = await registrations.list_initial_tokens(call.operator, call.project)
    shown = [(token.name, token.uses_left, token.created_at, token.expires_at) for token in found]
    return InitialTokenList(
        items=[
            InitialTokenAnswer(name=name, uses_left=uses, created_at=created, expires_at=expires)
            for name, uses, created, expires in shown
        ]
    )


async def add_initial_token(call: Call, body: InitialTokenBody) -> NewInitialTokenAnswer:
    token, secret = await registrations.create_initial_token(
        call.operator, call.project, name=body.name, uses=body.uses, seconds=body.expires_in
    )
    return NewInitialTokenAnswer(
        name=token.name,
        uses_left=token.uses_left,
        created_at=token.created_at,
        expires_at=token.expires_at,
        token=secret,
    )


async def list_software_issuers(call: Call) -> SoftwareIssuerList:
    found = await registrations.list_issuers(call.operator, call.project)
    return SoftwareIssuerList(items=[SoftwareIssuerAnswer(issuer=issuer, created_at=since) for issuer, since in found])


async def trust_software(call: Call, body: SoftwareIssuerBody) -> None:
    await registrations.trust_issuer(call.operator, call.project, body.issuer, json.dumps(body.jwks))


async def distrust_software(call: Call, body: DistrustBody) -> None:
    await registrations.distrust_issuer(call.operator, call.project, body.issuer)


OPERATIONS = (
    Operation(
        "GET",
        "/initial-tokens",
        "listInitialTokens",
        "Tokens that register so many clients",
        "registration",
        list_initial_tokens,
        InitialTokenList,
    ),
    Operation(
        "POST",
        "/initial-tokens",
        "addInitialToken",
        "Make a token that registers so many clients",
        "registration",
        add_initial_token,
        NewInitialTokenAnswer,
        InitialTokenBody,
        once=True,
    ),
    Operation(
        "GET",
        "/software-issuers",
        "listSoftwareIssuers",
        "Issuers whose software statements vouch for clients",
        "registration",
        list_software_issuers,
        SoftwareIssuerList,
    ),
    Operation(
        "POST",
        "/software-issuers/trust",
        "trustSoftwareIssuer",
        "Trust an issuer of software statements",
        "registration",
        trust_software,
        body=SoftwareIssuerBody,
    ),
    Operation(
        "POST",
        "/software-issuers/distrust",
        "distrustSoftwareIssuer",
        "Stop trusting an issuer of software statements",
        "registration",
        distrust_software,
        body=DistrustBody,
    ),
)
