"""Answering an authorization request: where the answer goes, what is in it, and whether it may go there by itself.

An error goes out by itself only to places that cannot be an attacker's web site: this machine, or a client an operator
vouches for.

Spec: RFC 9207 (ISS-01 … ISS-03); OAuth 2.1 §7.13.2 (AUTHZ-06, T50)
"""

from dataclasses import dataclass, field, replace
from typing import Literal

from doorward.core.models import Client
from doorward.oauth.errors import OAuthError
from doorward.oauth.ids import GrantId
from doorward.oauth.redirects import RedirectKind, add_parameters, display_host, redirect_kind

from .tenancy import ProjectView

Outcome = Literal["allowed", "denied", "error"]


@dataclass(frozen=True, slots=True)
class ReturnToClient:
    """The answer for the client. `automatic` is False where a person must choose to follow it."""

    redirect_uri: str
    parameters: dict[str, str]
    host: str
    kind: RedirectKind
    client_name: str
    outcome: Outcome
    automatic: bool
    error: OAuthError | None = field(default=None)
    grant_id: GrantId | None = None
    """The connection that was made."""

    @property
    def target(self) -> str:
        """The address that takes the answer to the client."""
        return add_parameters(self.redirect_uri, self.parameters)

    def quoting(self, reference: str) -> "ReturnToClient":
        """The same answer with the reference under which the operator's timeline tells the whole reason."""
        if self.error is None:
            return self
        description = f"{self.parameters['error_description']} (reference {reference})"
        return replace(self, parameters={**self.parameters, "error_description": description})


def build_refusal(
    view: ProjectView,
    client: Client,
    redirect_uri: str,
    state: str | None,
    error: OAuthError,
    outcome: Outcome = "error",
) -> ReturnToClient:
    """The answer that says no. Spec: AUTHZ-11, CON-06"""
    return build_answer(view, client, redirect_uri, state, error.body(), outcome=outcome, error=error)


def build_answer(
    view: ProjectView,
    client: Client,
    redirect_uri: str,
    state: str | None,
    parameters: dict[str, str],
    *,
    outcome: Outcome,
    error: OAuthError | None = None,
) -> ReturnToClient:
    """Build the answer; `iss` is in every one. Spec: ISS-01 … ISS-03, AUTHZ-12"""
    kind = redirect_kind(redirect_uri)
    if state is not None:
        parameters = {**parameters, "state": state}
    return ReturnToClient(
        redirect_uri=redirect_uri,
        parameters={**parameters, "iss": view.issuer},
        host=display_host(redirect_uri),
        kind=kind,
        client_name=client.metadata.client_name or display_host(redirect_uri),
        outcome=outcome,
        automatic=outcome == "allowed" or client.is_verified or kind == "loopback",
        error=error,
    )
