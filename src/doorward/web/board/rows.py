"""Connections and stories as rows of a page."""

from typing import Any

from doorward.core.timeline import Story
from doorward.manage.connections import PersonsApp
from doorward.oauth.redirects import display_host
from doorward.web.pages import ago, ahead

from .fixes import find_fix


def describe_connection(each: PersonsApp, now: int) -> dict[str, Any]:
    """A connection: whose, of which app, to which server, and since when."""
    grant, app = each.app.grant, each.app
    return {
        "grant_id": grant.grant_id,
        "user_id": grant.user_id,
        "person": each.person,
        "client_id": grant.client_id,
        "app": app.client.client_name or app.client.host or grant.client_id,
        "host": display_host(grant.redirect_uri) if grant.redirect_uri else "",
        "server": app.resource_name,
        "resource_id": grant.resource_id,
        "scopes": list(app.scope_titles),
        "kind": grant.kind,
        "device": grant.device_label,
        "created": ago(grant.created_at, now),
        "last_used": ago(app.last_used_at, now),
        "ends": ahead(app.expires_at, now),
    }


def describe_story(story: Story, names: dict[str, str], now: int) -> dict[str, Any]:
    """A story: how far an attempt came, why not further, and what helps."""
    last = story.events[-1]
    refused = [event for event in story.events if event.outcome != "ok"]
    return {
        "verdict": story.verdict[:1].upper() + story.verdict[1:],
        "is_stopped": last.outcome != "ok",
        "is_on_its_way": last.outcome == "ok" and last.step not in ("token", "refresh", "revoke", "call"),
        "fix": find_fix(last) if last.outcome != "ok" else "",
        "app": names.get(story.client_id or "", "") or last.agent or "Unknown program",
        "client_id": story.client_id if story.client_id in names else None,
        "person": names.get(story.user_id or "", ""),
        "user_id": story.user_id if story.user_id in names else None,
        "when": ago(last.at, now),
        "reference": (refused or story.events)[-1].reference,
        "steps": [
            {
                "when": ago(event.at, now),
                "step": event.step.replace("_", " "),
                "is_ok": event.outcome == "ok",
                "outcome": event.outcome,
                "reason": event.reason,
                "source": event.source,
                "agent": event.agent,
                "reference": event.reference,
            }
            for event in story.events
        ],
    }
