"""Where a client may register to be answered: what can be used at all, and what the operator approved.

A program that registers keeps the addresses that pass and is told of the others. A change of a registration is whole
or refused, since the one that works stays.

Spec: RFC 7591 §3.2.1, §5 (DCR-09); RFC 7592 §2.2; product.md, registration modes
"""

from typing import Any

from doorward.core.policy import is_approved_redirect
from doorward.oauth.errors import INVALID_REDIRECT_URI, OAuthError
from doorward.oauth.metadata import ClientMetadata, keep_redirect_uris
from doorward.oauth.redirects import check_redirect_uri

from .tenancy import ProjectView

REFUSED = "refused_redirect_uris"
"""The member of the answer, ours and only there when it says something."""


def keep_redirects(
    view: ProjectView, members: dict[str, Any], *, is_vouched_for: bool
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the registration without the redirect URIs that are refused, what the answer tells of these).

    Whom somebody vouches for need not be approved. Raises `invalid_redirect_uri` when none is left.
    """

    def check(uri: str) -> None:
        check_redirect_uri(uri)
        if not is_vouched_for:
            _check_approved(view, uri)

    kept, refused = keep_redirect_uris(members, check)
    told = [{"uri": each.uri, "reason": each.reason} for each in refused]
    return kept, {REFUSED: told} if told else {}


def check_redirects(view: ProjectView, metadata: ClientMetadata, *, held: tuple[str, ...]) -> None:
    """In the mode that asks for it, nobody unknown changes to a place that the operator has not approved.

    `held` are the places a client was registered for before. Raises `invalid_redirect_uri`.
    """
    for uri in metadata.redirect_uris:
        if uri not in held:
            _check_approved(view, uri)


def _check_approved(view: ProjectView, uri: str) -> None:
    settings = view.project.settings
    if settings.registration_mode == "approved_redirects" and not is_approved_redirect(
        uri, settings.approved_redirects
    ):
        raise OAuthError(
            INVALID_REDIRECT_URI, f"The redirect URI {uri[:200]} is not one that this server's operator approved."
        )
