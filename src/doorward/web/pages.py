"""Rendering: templates, and the headers every page carries.

Spec: AUTHZ-08, AUTHZ-09; OWASP ASVS 5.0 §3.4; security defaults, CSP
"""

import json
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from doorward.asgi import Response
from doorward.core.models import User
from doorward.server.authorization_answer import ReturnToClient
from doorward.server.page_error import PageError
from doorward.server.tenancy import ProjectView

STATIC = Path(__file__).parent / "static"
_CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; object-src 'none'; "
    "frame-ancestors 'none'; form-action {}"
)
_OWN_SCRIPT = "; script-src 'self'"
_HEADERS = (
    ("content-type", "text/html; charset=utf-8"),
    ("cache-control", "no-store"),
    ("x-frame-options", "DENY"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
)


def render(
    template: str,
    view: ProjectView,
    *,
    reference: str,
    user: User | None = None,
    csrf: str = "",
    status: int = 200,
    form_action: str = "'self'",
    in_flow: bool = False,
    **values: Any,
) -> Response:
    """A page with its headers. `in_flow` pages may be in a popup of a web client, so they are not cut off from it.

    Pages with `passkey_options` may run the one file that passkeys need; all others run nothing.
    """
    with_script = values.get("passkey_options") is not None
    html = _environment().get_template(template)
    body = html.render(
        project_name=view.project.name,
        css_href=f"/static/{_assets()['css']}",
        script_href=f"/static/{_assets()['passkeys']}" if with_script else None,
        base=view.project.path,
        user=user,
        csrf=csrf,
        reference=reference,
        status=status,
        **values,
    )
    policy = _CSP.format(form_action) + (_OWN_SCRIPT if with_script else "")
    headers = [*_HEADERS, ("content-security-policy", policy)]
    if not in_flow:
        headers.append(("cross-origin-opener-policy", "same-origin"))
    if view.issuer.startswith("https://"):
        headers.append(("strict-transport-security", "max-age=31536000"))
    return Response(status, body.encode(), headers)


def render_error(view: ProjectView, error: PageError, *, reference: str) -> Response:
    """A page for something only a person can be told."""
    return render(
        "error.html",
        view,
        reference=reference,
        status=error.status,
        in_flow=True,
        heading=error.heading,
        message=error.message,
        steps=list(error.steps),
        return_url=None,
        return_host=None,
    )


def render_return(view: ProjectView, answer: ReturnToClient, *, reference: str, status: int = 200) -> Response:
    """The page between a decision and the client.

    The answer travels by a refresh or a click, never as the redirect of a form: browsers apply `form-action` along
    redirects and would stop it. Nothing on this page can be posted.
    """
    return render(
        "return_to_client.html",
        view,
        reference=reference,
        status=status,
        form_action="'none'",
        in_flow=True,
        target=answer.target,
        display_host=answer.host,
        redirect_kind=answer.kind,
        client_name=answer.client_name,
        outcome=answer.outcome,
        error_description=answer.error.description if answer.outcome == "error" and answer.error else None,
        auto=answer.automatic,
    )


def ago(then: int | None, now: int) -> str | None:
    """A time as people say it: minutes and hours near, a date far."""
    if then is None:
        return None
    minutes = max(0, now - then) // 60_000
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} minute{'s' if minutes != 1 else ''} ago"
    if minutes < 24 * 60:
        hours = minutes // 60
        return f"{hours} hour{'s' if hours != 1 else ''} ago"
    return f"on {datetime.fromtimestamp(then / 1000, UTC):%d %B %Y}"


def ahead(then: int | None, now: int) -> str | None:
    """A time to come as people say it, never later than it is: `in 40 minutes`, `in 23 hours`."""
    if then is None:
        return None
    minutes = max(0, then - now) // 60_000
    if minutes < 1:
        return "in less than a minute"
    count, unit = (minutes, "minute") if minutes < 120 else (minutes // 60, "hour")
    return f"in {count} {unit}{'s' if count != 1 else ''}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("doorward.web"),
        autoescape=select_autoescape(("html",)),
        extensions=["jinja2.ext.i18n"],
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.install_null_translations(newstyle=True)  # type: ignore[attr-defined]
    return environment


@cache
def _assets() -> dict[str, str]:
    assets: dict[str, str] = json.loads((STATIC / "assets.json").read_text())
    return assets
