"""What every handler is given: built once in `app.py` and passed down, never looked up."""

from collections.abc import Callable
from dataclasses import dataclass

from doorward.core.sealing import Sealer
from doorward.core.secrets import RefreshTokens
from doorward.core.vault import Vault
from doorward.fetch import GuardedFetcher
from doorward.settings import Settings
from doorward.storage.database import Database

from .document_source import DocumentSource
from .feed import Feed
from .password_checker import PasswordChecker
from .recent_decisions import RecentDecisions
from .tenancy import Tenancy
from .timeline import Timeline
from .verified_tokens import VerifiedTokens


@dataclass(frozen=True, slots=True)
class ProviderChannel:
    """The way to identity providers: operators wrote their addresses down, so it may lead where no stranger's may."""

    fetcher: GuardedFetcher
    documents: DocumentSource


@dataclass(frozen=True, slots=True)
class Context:
    """The parts of a running server. `clock` gives epoch milliseconds."""

    settings: Settings
    database: Database
    vault: Vault
    refresh_tokens: RefreshTokens
    sealer: Sealer
    documents: DocumentSource
    providers: ProviderChannel
    form_key: bytes
    """Signs what goes through a browser and back: CSRF tokens, device cookies."""
    tenancy: Tenancy
    timeline: Timeline
    verified_tokens: VerifiedTokens
    passwords: PasswordChecker
    recent_decisions: RecentDecisions
    feed: Feed
    clock: Callable[[], int]
