"""One request of a browser: its cookies, who is signed in, and whether a form may be believed.

Spec: PXY-03, CON-04; security defaults, session and cookies (T2, T36)
"""

import os
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from doorward.asgi import Request, Response, cookie
from doorward.core.factors import PENDING_LIFE_MS, RECENT_MS
from doorward.core.models import DEFAULT_SLUG, Session, User
from doorward.core.secrets import sign_value, verify_value
from doorward.core.upstream import PENDING_LIFE_MS as AWAY_MS
from doorward.oauth.forms import MAX_FIELDS, Form, parse_form
from doorward.server.context import Context
from doorward.server.limiter import source_of
from doorward.server.page_error import PageError
from doorward.server.sessions import HalfSignedIn, SignedIn, SignInTry, find_signed_in
from doorward.server.tenancy import ProjectView

from .pages import render

_CSRF = "csrf"
_DEVICE_LIFE_SECONDS = 400 * 86_400


@dataclass(slots=True)
class Visit:
    """A browser's request with what its cookies say. `new_cookies` go out with the answer."""

    context: Context
    view: ProjectView
    request: Request
    session: Session | None
    user: User | None
    browser: str
    """The cookie that forms of this browser are bound to: its session, or what it was given before signing in."""
    kept: str
    """The cookie that this browser keeps whoever signs in; empty when it came without and was given none yet."""
    is_browser: bool
    """Whether the request has a mark of a person's browser: it came with a cookie of ours, or says it navigates.

    Programs that fetch a link ahead of the person have neither (clients.md no. 31). A post tells nothing: other sites
    can have a browser send one, without its cookies.
    """
    new_cookies: list[str] = field(default_factory=list)

    @property
    def csrf(self) -> str:
        """The token for forms of this browser. Spec: CON-04"""
        return sign_value(self.context.form_key, _CSRF, self.browser)

    @property
    def source(self) -> str:
        return source_of(self.context, self.request)

    @property
    def signed_in(self) -> tuple[Session, User] | None:
        return (self.session, self.user) if self.session is not None and self.user is not None else None

    @property
    def is_recent(self) -> bool:
        """Whether the person signed in so lately that they may change how they sign in."""
        return self.session is not None and 0 <= self.request.now - self.session.created_at <= RECENT_MS

    def attempt(self) -> SignInTry:
        """What is known of this browser when somebody tries to sign in with it."""
        return SignInTry(
            source=self.source,
            agent=self.request.header("user-agent"),
            device_token=self.device_token(),
            browser=self.browser,
            now=self.request.now,
        )

    def keep(self) -> str:
        """What this browser keeps whoever signs in, given to it now when it has none; empty where it cannot be."""
        if not self.kept and self.request.method in ("GET", "HEAD"):
            self.kept = urlsafe_b64encode(os.urandom(24)).decode()
            name = _cookie_name(self.view, "browser")
            self.new_cookies.append(cookie(name, self.kept, secure=self.context.settings.is_secure))
        return self.kept

    def require_signed_in(self) -> tuple[Session, User]:
        """Session and person of a page that is only for people who are signed in."""
        found = self.signed_in
        if found is None:
            raise PageError("Your session is over", "Sign in again to go on.", status=403)
        return found

    async def form(self, *, lists: Iterable[str] = (), max_fields: int = MAX_FIELDS) -> Form:
        """The posted form, once it is clear that a page of ours, shown to this browser, sent it.

        Fields named in `lists` may repeat. Raises `PageError` 403 where it is not so. A same-origin form may say
        `Origin: null`, because our pages send no referrer; the fetch metadata and the token tell it from a foreign one.
        """
        body, media_type = await self.request.body(), self.request.header("content-type")
        form = parse_form(body, media_type, lists=lists, max_fields=max_fields)
        site = self.request.header("sec-fetch-site")
        token_is_ours = verify_value(self.context.form_key, _CSRF, self.browser, form.get("csrf", ""))
        if site not in ("", "same-origin", "none") or not self.browser or not token_is_ours:
            raise PageError(
                "This form is out of date",
                "It was opened in another browser or session, or too long ago.",
                ("Go back, reload the page and try again.",),
                status=403,
            )
        return form

    def render(self, template: str, **values: Any) -> Response:
        """A page for this browser."""
        response = render(
            template, self.view, reference=self.request.reference, user=self.user, csrf=self.csrf, **values
        )
        return self.finish(response)

    def finish(self, response: Response) -> Response:
        """The answer with this visit's new cookies."""
        for line in self.new_cookies:
            response.set("set-cookie", line)
        return response

    def device_token(self) -> str:
        """What this browser was given at an earlier sign-in."""
        return self.request.cookies().get(_cookie_name(self.view, "device"), "")

    def pending_token(self) -> str:
        """What this browser was given after a right password, until the second step."""
        return self.request.cookies().get(_cookie_name(self.view, "pending"), "")

    def hold(self, half: HalfSignedIn) -> None:
        """Set the cookie of a half-done sign-in."""
        name, secure = _cookie_name(self.view, "pending"), self.context.settings.is_secure
        self.new_cookies.append(cookie(name, half.pending_token, secure=secure, max_age=PENDING_LIFE_MS // 1000))

    def drop_pending(self) -> None:
        """Remove the cookie of a half-done sign-in, where there is one."""
        if self.pending_token():
            name, secure = _cookie_name(self.view, "pending"), self.context.settings.is_secure
            self.new_cookies.append(cookie(name, "", secure=secure, max_age=0))

    def traveller(self) -> str:
        """What this browser was given when it left for an identity provider."""
        return self.request.cookies().get(_cookie_name(self.view, "away"), "")

    def send_away(self, browser_token: str) -> None:
        """Set the cookie that lets this browser, and no other, come back from an identity provider."""
        name, secure = _cookie_name(self.view, "away"), self.context.settings.is_secure
        self.new_cookies.append(cookie(name, browser_token, secure=secure, max_age=AWAY_MS // 1000))

    def remember(self, signed_in: SignedIn) -> None:
        """Set the cookies of a new session."""
        self.drop_pending()
        secure = self.context.settings.is_secure
        self.new_cookies.append(cookie(_cookie_name(self.view, "session"), signed_in.session_token, secure=secure))
        self.new_cookies.append(
            cookie(
                _cookie_name(self.view, "device"), signed_in.device_token, secure=secure, max_age=_DEVICE_LIFE_SECONDS
            )
        )

    def forget(self) -> None:
        """Remove the session's cookie."""
        name = _cookie_name(self.view, "session")
        self.new_cookies.append(cookie(name, "", secure=self.context.settings.is_secure, max_age=0))


async def open_visit(context: Context, view: ProjectView, request: Request) -> Visit:
    """Read a browser's cookies; one that has none yet gets one to bind its forms to."""
    cookies = request.cookies()
    session_token = cookies.get(_cookie_name(view, "session"), "")
    found = await find_signed_in(context, view, session_token, now=request.now) if session_token else None
    session, user = found if found is not None else (None, None)
    kept = cookies.get(_cookie_name(view, "browser"), "")
    browser = session_token if session is not None else kept
    navigates = request.header("sec-fetch-mode") == "navigate"
    is_browser = request.method == "GET" and (bool(browser) or navigates)
    visit = Visit(context, view, request, session, user, browser, kept, is_browser)
    if not browser:
        visit.browser = visit.keep()
    return visit


def _cookie_name(view: ProjectView, purpose: str) -> str:
    """`__Host-mcpas` and its siblings, one set per project; without the prefix on plain http, where it cannot be."""
    prefix = "__Host-" if view.issuer.startswith("https://") else ""
    tenant = "" if view.project.slug == DEFAULT_SLUG else f"_{view.project.slug}"
    suffix = "" if purpose == "session" else f"-{purpose}"
    return f"{prefix}mcpas{suffix}{tenant}"
