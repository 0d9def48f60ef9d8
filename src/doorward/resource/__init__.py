"""The side of a protected server: who is calling, may they, and what to answer when not.

Owns token verification, the guard in front of an MCP server (`ProtectMCP`), which scopes a tool call needs, and the
adapters to the MCP frameworks. Works with any issuer that follows the standards. Must not import the authorization
server, not even indirectly, nor a web framework: it is installed where the protected server runs, with few
dependencies. The adapters, and the ways to servers elsewhere (`forward`, `stdio`), need packages of their own, and
nothing here imports them.
"""

from doorward.oauth.budgets import Budget
from doorward.oauth.dpop import DpopProof
from doorward.oauth.jwt import InvalidToken, VerificationKey

from .budgets import Budgets
from .counters import Charge, Counters, CountersUnavailable, Short
from .introspection import IntrospectionVerifier
from .jwks import JWKSKeys
from .middleware import PRINCIPAL, ProtectMCP
from .principal import Principal
from .reports import Report, Reporter, TimelineReporter
from .revocations import RevocationFeed
from .verifier import (
    BoundTokenVerifier,
    JWTVerifier,
    KeyRevocationSource,
    KeySource,
    RevocationSource,
    Verifier,
    VerifierUnavailable,
)

__all__ = [
    "PRINCIPAL",
    "BoundTokenVerifier",
    "Budget",
    "Budgets",
    "Charge",
    "Counters",
    "CountersUnavailable",
    "DpopProof",
    "IntrospectionVerifier",
    "InvalidToken",
    "JWKSKeys",
    "JWTVerifier",
    "KeyRevocationSource",
    "KeySource",
    "Principal",
    "ProtectMCP",
    "Report",
    "Reporter",
    "RevocationFeed",
    "RevocationSource",
    "Short",
    "TimelineReporter",
    "VerificationKey",
    "Verifier",
    "VerifierUnavailable",
]
