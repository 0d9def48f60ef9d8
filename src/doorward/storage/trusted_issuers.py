"""Issuers whose assertions count in a project: one row for each trust, and one number on it that ends what it gave."""

import json

from sqlalchemy import bindparam, delete, select, update

from doorward.core.trust import TrustedIssuer, dump_policy, load_policy
from doorward.oauth.grant_assertions import AssertionKind
from doorward.oauth.ids import ProjectId

from .database import Row, Transaction
from .revocations import announce
from .schema import trusted_issuers
from .statements import Statement, insert_row, later_of

_COLUMNS = (
    trusted_issuers.c.project_id,
    trusted_issuers.c.trust_id,
    trusted_issuers.c.issuer,
    trusted_issuers.c.kind,
    trusted_issuers.c.policy,
    trusted_issuers.c.created_at,
    trusted_issuers.c.jwks,
    trusted_issuers.c.jwks_uri,
    trusted_issuers.c.void_before,
)
_OF_PROJECT = trusted_issuers.c.project_id == bindparam("project_id")
_IN_TURN = (trusted_issuers.c.created_at, trusted_issuers.c.trust_id)
_INSERT = Statement(insert_row(trusted_issuers))
_LIST = Statement(select(*_COLUMNS).where(_OF_PROJECT).order_by(*_IN_TURN))
_KINDS = Statement(select(trusted_issuers.c.kind).where(_OF_PROJECT).distinct())
_OF_ISSUER = Statement(
    select(*_COLUMNS)
    .where(_OF_PROJECT, trusted_issuers.c.issuer == bindparam("issuer"), trusted_issuers.c.kind == bindparam("kind"))
    .order_by(*_IN_TURN)
)
_FIND = Statement(select(*_COLUMNS).where(_OF_PROJECT, trusted_issuers.c.trust_id == bindparam("trust_id")))
_DELETE = Statement(
    delete(trusted_issuers)
    .where(_OF_PROJECT, trusted_issuers.c.trust_id == bindparam("trust_id"))
    .returning(trusted_issuers.c.trust_id)
)
_VOID = Statement(
    update(trusted_issuers)
    .where(trusted_issuers.c.project_id == bindparam("of_project"), trusted_issuers.c.trust_id == bindparam("of_trust"))
    .values(void_before=later_of(trusted_issuers.c.void_before, "now"))
    .returning(trusted_issuers.c.trust_id)
)


async def add_trusted_issuer(tx: Transaction, trust: TrustedIssuer) -> None:
    """Store a trust. Its id is random, so it cannot be taken."""
    await tx.run(
        _INSERT,
        project_id=trust.project_id,
        trust_id=trust.trust_id,
        issuer=trust.issuer,
        kind=trust.kind,
        jwks_uri=trust.jwks_uri,
        jwks=json.dumps(trust.jwks) if trust.jwks is not None else None,
        policy=dump_policy(trust.policy),
        created_at=trust.created_at,
        void_before=trust.void_before,
    )


async def list_trusted_issuers(tx: Transaction, project_id: ProjectId) -> list[TrustedIssuer]:
    """Every trust of a project, oldest first."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id)]


async def list_trusted_kinds(tx: Transaction, project_id: ProjectId) -> frozenset[AssertionKind]:
    """Of what kinds of assertions a project trusts any issuer."""
    return frozenset(kind for (kind,) in await tx.all(_KINDS, project_id=project_id))


async def find_trusts_in(
    tx: Transaction, project_id: ProjectId, issuer: str, kind: AssertionKind
) -> list[TrustedIssuer]:
    """The trusts in an issuer for one kind of assertion, oldest first."""
    return [_load(row) for row in await tx.all(_OF_ISSUER, project_id=project_id, issuer=issuer, kind=kind)]


async def find_trusted_issuer(tx: Transaction, project_id: ProjectId, trust_id: str) -> TrustedIssuer | None:
    """The trust with this id."""
    row = await tx.one(_FIND, project_id=project_id, trust_id=trust_id)
    return _load(row) if row else None


async def remove_trusted_issuer(tx: Transaction, project_id: ProjectId, trust_id: str, now: int) -> bool:
    """Stop trusting, which ends everything that the trust gave, and announce it; True for the call that did."""
    if await tx.one(_DELETE, project_id=project_id, trust_id=trust_id) is None:
        return False
    await _announce(tx, project_id, trust_id, now)
    return True


async def void_trusted_issuer(tx: Transaction, project_id: ProjectId, trust_id: str, now: int) -> bool:
    """End everything that the trust gave so far, however much it is, in one step, and announce it."""
    if await tx.one(_VOID, of_project=project_id, of_trust=trust_id, now=now) is None:
        return False
    await _announce(tx, project_id, trust_id, now)
    return True


async def _announce(tx: Transaction, project_id: ProjectId, trust_id: str, now: int) -> None:
    """Tokens carry the id of their trust where others carry that of a client: it ends as a client does."""
    await announce(tx, project_id, "client", trust_id, "void", now, now)


def _load(row: Row) -> TrustedIssuer:
    project_id, trust_id, issuer, kind, policy, created_at, jwks, jwks_uri, void_before = row
    return TrustedIssuer(
        project_id=ProjectId(project_id),
        trust_id=trust_id,
        issuer=issuer,
        kind=kind,
        policy=load_policy(policy),
        created_at=created_at,
        jwks=json.loads(jwks) if jwks is not None else None,
        jwks_uri=jwks_uri,
        void_before=void_before,
    )
