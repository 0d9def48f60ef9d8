"""Whose word counts: trusted issuers, whom their subjects stand for, and who may exchange which tokens."""

from dataclasses import asdict
from typing import Annotated, Any

from pydantic import Field

from doorward.core.models import ExchangeMode
from doorward.core.trust import SubjectBy, TrustedIssuer, TrustPolicy
from doorward.manage import clients, exchange, resources, trust, users
from doorward.oauth.grant_assertions import AssertionKind

from .paging import page_of
from .shapes import Answer, Body, Line, Lines, Name, Page, Paging, Time
from .table import Call, Operation, check_may_handle


class TrustAnswer(Answer):
    """A trust in an issuer, with how far it goes."""

    trust_id: str
    issuer: str
    kind: AssertionKind
    keys: str = Field(description="Where its keys are published, or `given`.")
    clients: list[str]
    resources: list[str]
    scopes: list[str]
    subject_by: SubjectBy
    claims: list[str] = Field(description="NAME=VALUE that has to hold.")
    reusable: bool
    create_people: bool
    public_clients: bool
    created_at: Time
    revoked_at: Time | None


class TrustPage(Page[TrustAnswer]):
    """Trusts, oldest first: of several that fit an assertion, the oldest counts."""


class ClaimRule(Body):
    """A claim that an assertion must have."""

    name: Annotated[Name, Field(min_length=1)]
    value: Annotated[Line, Field(min_length=1)]


class TrustBody(Body):
    """An issuer to trust."""

    issuer: Line
    kind: AssertionKind
    jwks: Annotated[dict[str, Any] | None, Field(description="Its public keys.")] = None
    jwks_uri: Annotated[Line, Field(description="Where it publishes them.")] = ""
    clients: Lines = []
    resources: Lines = []
    scopes: Lines = []
    subject_by: SubjectBy = "sub"
    claims: Annotated[list[ClaimRule], Field(max_length=20)] = []
    reusable: bool = False
    create_people: bool = False
    public_clients: bool = False


class IdentityAnswer(Answer):
    """A subject of an issuer, and the person it stands for."""

    issuer: str
    subject: str
    email: str
    created_at: Time


class IdentityPage(Page[IdentityAnswer]):
    """Linked subjects."""


class IdentityBody(Body):
    """A subject that is to stand for a person, or no longer."""

    issuer: Line
    subject: Annotated[Line, Field(min_length=1)]
    tenant: Annotated[Line, Field(description="The customer of a shared issuer that it belongs to.")] = ""


class LinkBody(IdentityBody):
    """A subject that is to stand for a person."""

    user_id: Line


class RuleAnswer(Answer):
    """Who may exchange which tokens for which."""

    rule_id: str
    client_id: str
    from_: str = Field(alias="from", description="The MCP server whose tokens it may exchange, or `any`.")
    to: str
    mode: ExchangeMode
    scope: str
    created_at: Time


class RulePage(Page[RuleAnswer]):
    """Rules, oldest first."""


class RuleBody(Body):
    """A client that may exchange tokens."""

    client_id: Line
    to: Annotated[Line, Field(description="Id or URI of the MCP server that it gets tokens for.")]
    from_: Annotated[Line, Field(alias="from", description="And whose tokens it may exchange; empty for any.")] = ""
    scope: Annotated[Line, Field(description="The most it may ask for.")] = ""
    mode: ExchangeMode = "delegation"


async def _find(call: Call) -> TrustedIssuer:
    return await trust.get(call.operator, call.project, call.named["trust_id"])


async def list_trusts(call: Call, paging: Paging) -> TrustPage:
    found = await trust.list_all(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda each: (each.created_at, each.trust_id))
    return TrustPage(items=[TrustAnswer(**trust.describe(each)) for each in items], next_cursor=cursor)


async def add_trust(call: Call, body: TrustBody) -> TrustAnswer:
    policy = TrustPolicy(
        clients=tuple(body.clients),
        resources=tuple(body.resources),
        scopes=tuple(body.scopes),
        subject_by=body.subject_by,
        claims=tuple((rule.name, rule.value) for rule in body.claims),
        reusable=body.reusable,
        create_people=body.create_people,
        public_clients=body.public_clients,
    )
    added = await trust.add(
        call.operator, call.project, body.issuer, body.kind, policy=policy, jwks=body.jwks, jwks_uri=body.jwks_uri
    )
    return TrustAnswer(**trust.describe(added))


async def show_trust(call: Call) -> TrustAnswer:
    return TrustAnswer(**trust.describe(await _find(call)))


async def remove_trust(call: Call) -> None:
    await trust.remove(call.operator, await _find(call))


async def revoke_trust(call: Call) -> None:
    await trust.revoke_everything(call.operator, await _find(call))


async def list_identities(call: Call, paging: Paging) -> IdentityPage:
    found = await trust.list_links(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda link: (link.created_at, link.issuer, link.subject))
    return IdentityPage(items=[IdentityAnswer(**asdict(link)) for link in items], next_cursor=cursor)


async def link_identity(call: Call, body: LinkBody) -> None:
    user = await users.get(call.operator, call.project, body.user_id)
    check_may_handle(call, user.role)  # whoever the subject is, is that person from now on
    await trust.link(call.operator, user, body.issuer, body.subject, tenant=body.tenant)


async def unlink_identity(call: Call, body: IdentityBody) -> None:
    await trust.unlink(call.operator, call.project, body.issuer, body.subject, tenant=body.tenant)


async def list_rules(call: Call, paging: Paging) -> RulePage:
    known = await resources.list_all(call.operator, call.project)
    found = await exchange.list_all(call.operator, call.project)
    items, cursor = page_of(found, paging, lambda rule: (rule.created_at, rule.rule_id))
    return RulePage(items=[RuleAnswer(**exchange.describe(rule, known)) for rule in items], next_cursor=cursor)


async def add_rule(call: Call, body: RuleBody) -> RuleAnswer:
    rule = await exchange.add(
        call.operator,
        await clients.get(call.operator, call.project, body.client_id),
        source=await resources.get(call.operator, call.project, body.from_) if body.from_ else None,
        target=await resources.get(call.operator, call.project, body.to),
        scope=body.scope,
        mode=body.mode,
    )
    return RuleAnswer(**exchange.describe(rule, await resources.list_all(call.operator, call.project)))


async def remove_rule(call: Call) -> None:
    await exchange.remove(call.operator, call.project, call.named["rule_id"])


_ONE = "/trusted-issuers/{trust_id}"
OPERATIONS = (
    Operation(
        "GET",
        "/trusted-issuers",
        "listTrustedIssuers",
        "Issuers whose assertions give tokens",
        "trust",
        list_trusts,
        TrustPage,
        query=Paging,
    ),
    Operation(
        "POST",
        "/trusted-issuers",
        "trustIssuer",
        "Trust an issuer",
        "trust",
        add_trust,
        TrustAnswer,
        TrustBody,
        once=True,
    ),
    Operation("GET", _ONE, "showTrustedIssuer", "One trust with its policy", "trust", show_trust, TrustAnswer),
    Operation("DELETE", _ONE, "distrustIssuer", "Stop trusting; everything that it gave ends", "trust", remove_trust),
    Operation(
        "POST",
        f"{_ONE}/revoke",
        "revokeTrustedIssuer",
        "End everything that an issuer ever gave; it is trusted as before",
        "trust",
        revoke_trust,
    ),
    Operation(
        "GET",
        "/identities",
        "listIdentities",
        "Which subjects stand for which people",
        "trust",
        list_identities,
        IdentityPage,
        query=Paging,
    ),
    Operation(
        "POST",
        "/identities/link",
        "linkIdentity",
        "Make a subject of an issuer stand for a person",
        "trust",
        link_identity,
        body=LinkBody,
    ),
    Operation(
        "POST",
        "/identities/unlink",
        "unlinkIdentity",
        "Forget whom a subject stands for",
        "trust",
        unlink_identity,
        body=IdentityBody,
    ),
    Operation(
        "GET", "/exchange-rules", "listRules", "Who may exchange what", "exchange", list_rules, RulePage, query=Paging
    ),
    Operation(
        "POST",
        "/exchange-rules",
        "addRule",
        "Let a client exchange tokens for one MCP server for tokens for another",
        "exchange",
        add_rule,
        RuleAnswer,
        RuleBody,
        once=True,
    ),
    Operation("DELETE", "/exchange-rules/{rule_id}", "removeRule", "Take a rule back", "exchange", remove_rule),
)
