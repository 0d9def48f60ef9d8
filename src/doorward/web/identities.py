"""The account page's list of identity providers: which of them let a person in."""

from typing import Any

from doorward.core.models import User
from doorward.manage import providers
from doorward.manage.operator import Operator
from doorward.oauth.redirects import display_host

from .pages import ago
from .visit import Visit


async def describe_ways_in(operator: Operator, visit: Visit, user: User) -> list[dict[str, Any]]:
    """Every provider of the project, with each of the person's identities at it, or none."""
    linked = await providers.list_own(operator, user)
    found: list[dict[str, Any]] = []
    for provider in visit.view.providers:
        shown = {"slug": provider.slug, "name": provider.name, "issuer": provider.issuer}
        shown["host"] = display_host(provider.issuer)
        own = [identity for identity in linked if identity.issuer == provider.issuer]
        found += [
            {**shown, "subject": identity.subject, "linked": ago(identity.created_at, visit.request.now)}
            for identity in own
        ] or [{**shown, "subject": "", "linked": None}]
    return found
