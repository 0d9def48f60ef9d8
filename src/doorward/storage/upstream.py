"""Identity providers of a project, and people who are on their way to one: each way back is spent once."""

from sqlalchemy import bindparam, delete, select, update

from doorward.core.upstream import UpstreamProvider, UpstreamSignIn, dump_sign_up, load_sign_up
from doorward.oauth.ids import ProjectId, TokenHash, UserId

from .database import Row, Transaction
from .schema_upstream import upstream_providers, upstream_sign_ins
from .statements import Statement, insert_row

_COLUMNS = (
    upstream_providers.c.project_id,
    upstream_providers.c.slug,
    upstream_providers.c.kind,
    upstream_providers.c.name,
    upstream_providers.c.issuer,
    upstream_providers.c.client_id,
    upstream_providers.c.scopes,
    upstream_providers.c.sign_up,
    upstream_providers.c.enabled,
    upstream_providers.c.created_at,
)
_OF_PROJECT = upstream_providers.c.project_id == bindparam("project_id")
_THIS = (
    upstream_providers.c.project_id == bindparam("of_project"),
    upstream_providers.c.slug == bindparam("of_slug"),
)
_INSERT = Statement(
    lambda insert: (
        insert(upstream_providers)
        .values({column.name: bindparam(column.name) for column in upstream_providers.columns})
        .on_conflict_do_nothing()
        .returning(upstream_providers.c.slug)
    )
)
_LIST = Statement(
    select(*_COLUMNS).where(_OF_PROJECT).order_by(upstream_providers.c.created_at, upstream_providers.c.slug)
)
_SECRET = Statement(select(upstream_providers.c.secret_ciphertext).where(*_THIS))
_SECRETS = Statement(select(upstream_providers.c.slug, upstream_providers.c.secret_ciphertext).where(_OF_PROJECT))
_UPDATE = Statement(
    update(upstream_providers)
    .where(*_THIS)
    .values(
        name=bindparam("new_name"),
        client_id=bindparam("new_client_id"),
        scopes=bindparam("new_scopes"),
        sign_up=bindparam("new_sign_up"),
        enabled=bindparam("new_enabled"),
    )
    .returning(upstream_providers.c.slug)
)
_SET_SECRET = Statement(update(upstream_providers).where(*_THIS).values(secret_ciphertext=bindparam("new_ciphertext")))
_DELETE = Statement(delete(upstream_providers).where(*_THIS).returning(upstream_providers.c.slug))

_PENDING_COLUMNS = (
    upstream_sign_ins.c.project_id,
    upstream_sign_ins.c.state_hash,
    upstream_sign_ins.c.browser_hash,
    upstream_sign_ins.c.slug,
    upstream_sign_ins.c.next_path,
    upstream_sign_ins.c.link_user_id,
    upstream_sign_ins.c.session_hash,
    upstream_sign_ins.c.expires_at,
)
_INSERT_PENDING = Statement(insert_row(upstream_sign_ins))
_CONSUME = Statement(
    update(upstream_sign_ins)
    .where(
        upstream_sign_ins.c.project_id == bindparam("of_project"),
        upstream_sign_ins.c.state_hash == bindparam("of_state"),
        upstream_sign_ins.c.browser_hash == bindparam("of_browser"),
        upstream_sign_ins.c.slug == bindparam("of_slug"),
        upstream_sign_ins.c.used_at.is_(None),
        upstream_sign_ins.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(*_PENDING_COLUMNS)
)
_SWEEP = Statement(delete(upstream_sign_ins).where(upstream_sign_ins.c.expires_at <= bindparam("now")))


async def add_upstream_provider(tx: Transaction, provider: UpstreamProvider, ciphertext: bytes) -> bool:
    """Store a provider with its encrypted secret; False when its slug is taken."""
    row = await tx.one(
        _INSERT,
        project_id=provider.project_id,
        slug=provider.slug,
        kind=provider.kind,
        name=provider.name,
        issuer=provider.issuer,
        client_id=provider.client_id,
        secret_ciphertext=ciphertext,
        scopes=" ".join(provider.scopes),
        sign_up=dump_sign_up(provider.sign_up),
        enabled=int(provider.enabled),
        created_at=provider.created_at,
    )
    return row is not None


async def list_upstream_providers(tx: Transaction, project_id: ProjectId) -> list[UpstreamProvider]:
    """Every provider of a project, oldest first."""
    return [_load(row) for row in await tx.all(_LIST, project_id=project_id)]


async def find_upstream_secret(tx: Transaction, project_id: ProjectId, slug: str) -> bytes | None:
    """A provider's secret, encrypted."""
    row = await tx.one(_SECRET, of_project=project_id, of_slug=slug)
    return bytes(row[0]) if row else None


async def list_upstream_secrets(tx: Transaction, project_id: ProjectId) -> dict[str, bytes]:
    """The secrets of a project's providers, encrypted."""
    return {slug: bytes(ciphertext) for slug, ciphertext in await tx.all(_SECRETS, project_id=project_id)}


async def update_upstream_provider(tx: Transaction, provider: UpstreamProvider) -> bool:
    """Store what of a provider can change. Kind and issuer cannot: its people would be others."""
    row = await tx.one(
        _UPDATE,
        of_project=provider.project_id,
        of_slug=provider.slug,
        new_name=provider.name,
        new_client_id=provider.client_id,
        new_scopes=" ".join(provider.scopes),
        new_sign_up=dump_sign_up(provider.sign_up),
        new_enabled=int(provider.enabled),
    )
    return row is not None


async def replace_upstream_secret(tx: Transaction, project_id: ProjectId, slug: str, ciphertext: bytes) -> int:
    """Store another encrypted secret; how many there were."""
    return await tx.run(_SET_SECRET, of_project=project_id, of_slug=slug, new_ciphertext=ciphertext)


async def remove_upstream_provider(tx: Transaction, project_id: ProjectId, slug: str) -> bool:
    """Forget a provider; True for the call that did. Whom its subjects stand for is kept."""
    return await tx.one(_DELETE, of_project=project_id, of_slug=slug) is not None


async def add_upstream_sign_in(tx: Transaction, pending: UpstreamSignIn, now: int) -> None:
    """Store that somebody is on the way to a provider. The state is random, so it cannot be taken."""
    await tx.run(
        _INSERT_PENDING,
        project_id=pending.project_id,
        state_hash=pending.state_hash,
        browser_hash=pending.browser_hash,
        slug=pending.slug,
        next_path=pending.next_path,
        link_user_id=pending.link_user_id,
        session_hash=pending.session_hash,
        created_at=now,
        expires_at=pending.expires_at,
        used_at=None,
    )


async def consume_upstream_sign_in(
    tx: Transaction, project_id: ProjectId, state_hash: TokenHash, browser_hash: TokenHash, slug: str, now: int
) -> UpstreamSignIn | None:
    """Spend the way back of this browser from this provider: of all answers that come with its state, one counts (I1).

    None for another browser, another provider, a second answer, or one that comes too late. Spec: PXY-05, PXY-10
    """
    row = await tx.one(
        _CONSUME, of_project=project_id, of_state=state_hash, of_browser=browser_hash, of_slug=slug, now=now
    )
    return _load_pending(row) if row else None


async def sweep_upstream_sign_ins(tx: Transaction, now: int) -> int:
    """Forget ways that nobody can come back on any more, of every project."""
    return await tx.run(_SWEEP, now=now)


def _load(row: Row) -> UpstreamProvider:
    project_id, slug, kind, name, issuer, client_id, scopes, sign_up, enabled, created_at = row
    return UpstreamProvider(
        project_id=ProjectId(project_id),
        slug=slug,
        kind=kind,
        name=name,
        issuer=issuer,
        client_id=client_id,
        scopes=tuple(scopes.split()),
        sign_up=load_sign_up(sign_up),
        enabled=bool(enabled),
        created_at=created_at,
    )


def _load_pending(row: Row) -> UpstreamSignIn:
    project_id, state_hash, browser_hash, slug, next_path, link_user_id, session_hash, expires_at = row
    return UpstreamSignIn(
        project_id=ProjectId(project_id),
        state_hash=TokenHash(state_hash),
        browser_hash=TokenHash(browser_hash),
        slug=slug,
        next_path=next_path,
        link_user_id=UserId(link_user_id) if link_user_id else None,
        session_hash=TokenHash(session_hash) if session_hash else None,
        expires_at=expires_at,
    )
