"""Request → project: the only place where a project is chosen, and what every request of one needs, kept ready.

A view of a project is at most a second old, so that changes made by another process or on another node are seen
within that second.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from doorward.core.models import DEFAULT_SLUG, Project, Resource
from doorward.core.policy import offered_grants
from doorward.core.rotation import DEFAULT_ALGORITHM, signing_key_purpose, signs_at
from doorward.core.upstream import UpstreamProvider
from doorward.core.vault import Vault
from doorward.oauth.grant_assertions import ID_JAG_PROFILE, AssertionKind
from doorward.oauth.ids import ResourceId
from doorward.oauth.jwt import SigningKey, VerificationKey, parse_jwks, parse_signing_key
from doorward.storage.database import Database, Transaction
from doorward.storage.exchange_rules import has_exchange_rules
from doorward.storage.projects import find_project
from doorward.storage.resources import list_resources
from doorward.storage.signing_keys import StoredSigningKey, list_signing_keys
from doorward.storage.trusted_issuers import list_trusted_kinds
from doorward.storage.upstream import list_upstream_providers

from .documents import Document, build_jwks, build_server_metadata

MAX_AGE_MS = 1000
MAX_PARSED_KEYS = 256
_PREFIX = "/p/"


@dataclass(frozen=True, slots=True)
class ProjectView:
    """A project with its issuer, resources, keys and public documents, as of `loaded_at`."""

    project: Project
    issuer: str
    resources: tuple[Resource, ...]
    signers: Mapping[str, SigningKey]
    """The key that signs now, of each algorithm that the project has one of."""
    grant_types: tuple[str, ...]
    keys: Mapping[str, VerificationKey]
    server_metadata: Document
    jwks: Document
    loaded_at: int
    providers: tuple[UpstreamProvider, ...] = ()
    """Identity providers that people may sign in by now, in the order in which they were added."""

    def provider(self, slug: str) -> UpstreamProvider | None:
        """The provider with this slug, if people may sign in by it."""
        return next((provider for provider in self.providers if provider.slug == slug), None)

    def resource(self, resource_id: ResourceId) -> Resource | None:
        """The resource with this id."""
        return next((r for r in self.resources if r.resource_id == resource_id), None)

    def signer(self, alg: str) -> SigningKey:
        """The key that signs by `alg`; until a new algorithm's key is in every cache, that of another one."""
        return self.signers.get(alg) or self.signers.get(DEFAULT_ALGORITHM) or next(iter(self.signers.values()))


class Tenancy:
    """Finds the project of a request. One per process."""

    def __init__(self, database: Database, vault: Vault, public_url: str, clock: Callable[[], int]) -> None:
        self._database = database
        self._vault = vault
        self._public_url = public_url
        self._clock = clock
        self._views: dict[str, ProjectView] = {}
        self._parsed: dict[str, SigningKey] = {}

    async def find(self, slug: str = DEFAULT_SLUG) -> ProjectView | None:
        """The view of a project, or None when there is no such project."""
        now = self._clock()
        view = self._views.get(slug)
        if view is not None and 0 <= now - view.loaded_at < MAX_AGE_MS:
            return view
        loaded = await self._database.read(_load, slug, now)
        if loaded is None:
            self._views.pop(slug, None)
            return None
        view = self._views[slug] = self._build(loaded, now)
        return view

    def latest(self, slug: str = DEFAULT_SLUG) -> ProjectView | None:
        """The view of a project as it was last read, however long ago; None before anybody asked for it."""
        return self._views.get(slug)

    def forget(self) -> None:
        """Make the next request of every project read afresh, after a change made by this process."""
        self._views.clear()

    def _build(self, loaded: "_Loaded", now: int) -> ProjectView:
        project, resources, stored = loaded.project, loaded.resources, loaded.keys
        issuer = f"{self._public_url}{project.path}"
        signing = [key for key in stored if signs_at(now, key.signs_from, key.removed_at)] or stored[-1:]
        public = [json.loads(key.public_jwk) for key in stored]
        grant_types = offered_grants(
            project.settings,
            has_exchange_rules=loaded.has_exchange_rules,
            trusts_issuers=bool(loaded.trusted_kinds),
        )
        profiles = (ID_JAG_PROFILE,) if "id-jag" in loaded.trusted_kinds else ()
        return ProjectView(
            project=project,
            issuer=issuer,
            resources=resources,
            signers={key.alg: self._parse(project, key) for key in signing},
            grant_types=grant_types,
            keys=parse_jwks({"keys": public}),
            server_metadata=build_server_metadata(project, issuer, resources, grant_types, profiles),
            jwks=build_jwks(public),
            loaded_at=now,
            providers=tuple(provider for provider in loaded.providers if provider.enabled),
        )

    def _parse(self, project: Project, stored: StoredSigningKey) -> SigningKey:
        key = self._parsed.get(stored.kid)
        if key is None:
            purpose = signing_key_purpose(project.project_id, stored.kid)
            key = parse_signing_key(json.loads(self._vault.decrypt(stored.private_ciphertext, purpose)))
            if len(self._parsed) >= MAX_PARSED_KEYS:
                self._parsed.clear()
            self._parsed[stored.kid] = key
        return key


def split_path(path: str) -> tuple[str, str]:
    """(project slug, the rest of the path): `/p/acme/login` is `/login` of acme, the rest is the default project."""
    if not path.startswith(_PREFIX):
        return DEFAULT_SLUG, path
    slug, _, rest = path[len(_PREFIX) :].partition("/")
    return slug, f"/{rest}"


@dataclass(frozen=True, slots=True)
class _Loaded:
    """What a view is made of."""

    project: Project
    resources: tuple[Resource, ...]
    keys: list[StoredSigningKey]
    has_exchange_rules: bool
    trusted_kinds: frozenset[AssertionKind]
    providers: list[UpstreamProvider]


async def _load(tx: Transaction, slug: str, now: int) -> _Loaded | None:
    project = await find_project(tx, slug)
    if project is None:
        return None
    return _Loaded(
        project=project,
        resources=tuple(await list_resources(tx, project.project_id)),
        keys=await list_signing_keys(tx, project.project_id, now),
        has_exchange_rules=await has_exchange_rules(tx, project.project_id),
        trusted_kinds=await list_trusted_kinds(tx, project.project_id),
        providers=await list_upstream_providers(tx, project.project_id),
    )
