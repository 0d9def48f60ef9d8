"""Sample data for preview.py: page name → (template, context). Honest cases first, then names chosen to do harm."""

from typing import Any

import segno
from markupsafe import Markup

ADA = {"email": "ada@example.org", "name": "Ada Lovelace", "role": "owner"}
LONG = "Totally Official Assistant " * 4 + "by The Real Platform"  # 128 characters
UNBROKEN = "W" * 128
MIXED = "مساعد السفر 🧳✈️👩🏽‍💻 TravelPal 旅行アシスタント"

READ = {
    "name": "travel:read",
    "title": "Look up weather, prices and flights",
    "description": "Answers from public sources; nothing about you is read.",
    "kind": "read",
    "tools": [
        {"name": "weather_forecast", "title": "Weather forecast", "kind": "read"},
        {"name": "stock_quotes", "title": "Stock quotes", "kind": "read"},
        {"name": "flight_search", "title": "Flight search", "kind": "read"},
    ],
}
WRITE = {
    "name": "travel:book",
    "title": "Book flights",
    "description": "Reserves seats in your name.",
    "kind": "write",
    "tools": [{"name": "book_flight", "title": "Book a flight", "kind": "write"}],
}
DESTRUCTIVE = {
    "name": "travel:manage",
    "title": "Manage your bookings",
    "description": "",
    "kind": "destructive",
    "tools": [
        {"name": "list_bookings", "title": "List bookings", "kind": "read"},
        {"name": "cancel_booking", "title": "Cancel a booking", "kind": "destructive"},
    ],
}
CLIENT = {
    "name": "Claude Code",
    "host": None,
    "verified": False,
    "kind": "self-registered",
    "registered": "first seen 3 minutes ago",
}
LOOPBACK = {"host": "127.0.0.1", "kind": "loopback", "display": "http://127.0.0.1:33418/callback"}
HTTPS = {"host": "claude.ai", "kind": "https", "display": "https://claude.ai/api/mcp/auth_callback"}
PRIVATE = {"host": "cursor", "kind": "private", "display": "cursor://anysphere.cursor-mcp/oauth/callback"}
RESOURCE = {"name": "Travel desk", "is_named": True, "uri": "https://mcp.acme.example/travel/mcp"}
KINDS = ("read", "write", "destructive")
EVIL_HOST = "login.claude.ai.account-verification.security-check.xn--80ak6aa92e.attacker.example"


def group(scopes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The scopes in the groups of the page, as the server makes them."""
    groups: dict[str, list[dict[str, Any]]] = {"read": [], "write": [], "destructive": []}
    for scope in scopes:
        for kind, found in groups.items():
            tools = [
                tool | {"id": tool["name"]}
                for tool in scope["tools"]
                if max(scope["kind"], tool["kind"], key=KINDS.index) == kind
            ]
            if tools:
                found.append(scope | {"tools": tools})
    return [{"kind": kind, "scopes": found} for kind, found in groups.items() if found]


def question(scopes: list[dict[str, Any]]) -> dict[str, Any]:
    """What the page has of the scopes that are asked for."""
    kinds = {max((tool["kind"] for tool in scope["tools"]), key=KINDS.index) == "read" for scope in scopes}
    return {
        "groups": group(scopes),
        "can_allow_reading": kinds == {True, False},
        "tools_at": 0,
        "budgets": [],
        "news": None,
        "choices": choices(scopes),
        "can_be_limited": True,
    }


def choices(scopes: list[dict[str, Any]], **changes: Any) -> dict[str, Any] | None:
    """The tools to tick, the first of each group as one that is new."""
    parts = [(part["kind"], [tool for scope in part["scopes"] for tool in scope["tools"]]) for part in group(scopes)]
    if sum(len(tools) for _, tools in parts) < 2:
        return None
    groups = [
        {
            "kind": kind,
            "tools": [tool | {"ticked": kind == "read", "is_new": place == 0} for place, tool in enumerate(tools)],
        }
        for kind, tools in parts
    ]
    return {"groups": groups, "kept": [], "left_out": [], "at_most": None} | changes


def consent(scopes: list[dict[str, Any]] | None = None, **changes: Any) -> tuple[str, dict[str, Any]]:
    context = {
        "action": "/oauth/consent",
        "flow": "f",
        "client": CLIENT,
        "redirect": LOOPBACK,
        "resource": RESOURCE,
        **question([READ, WRITE] if scopes is None else scopes),
        "offline": True,
        "access_minutes": 10,
        "dropped": [],
        "user": ADA,
        "switch_href": "/login?switch=1",
    }
    return "consent.html", context | changes


def back(
    outcome: str, kind: str = "loopback", host: str = "127.0.0.1:33418", **changes: Any
) -> tuple[str, dict[str, Any]]:
    context = {
        "target": "http://127.0.0.1:33418/callback?code=sample&state=a%22b&iss=https%3A%2F%2Fauth.acme.example",
        "display_host": host,
        "redirect_kind": kind,
        "client_name": "Claude Code",
        "outcome": outcome,
        "error_description": None,
        "auto": True,
    }
    return "return_to_client.html", context | changes


def device(**changes: Any) -> tuple[str, dict[str, Any]]:
    context = {"action": "/device", "shown": "", "typed": "", "error": None, "user": ADA, "switch_href": "/login"}
    return "device.html", context | changes


def device_consent(scopes: list[dict[str, Any]] | None = None, **changes: Any) -> tuple[str, dict[str, Any]]:
    client = CLIENT | {"impersonated": None}
    origin = {"source": "203.0.113.9", "is_elsewhere": False, "agent": "node", "asked": "1 minute ago"}
    context = consent(scopes, client=client, action="/device/decide")[1] | {"user_code": "WDJB-MJHT", "origin": origin}
    return "device_consent.html", context | changes


def login(**changes: Any) -> tuple[str, dict[str, Any]]:
    context = {"action": "/login", "next": "/", "email": "", "error": None, "client": None, "for_device": False}
    return "login.html", context | {"is_confirming": False, "passkey_options": "{}", "providers": []} | changes


def second_step(**changes: Any) -> tuple[str, dict[str, Any]]:
    context = {
        "action": "/login/second-step",
        "next": "",
        "email": ADA["email"],
        "error": None,
        "passkey_options": "{}",
    }
    return "second_step.html", context | {"needs_app": False} | changes


def security(**changes: Any) -> tuple[str, dict[str, Any]]:
    return "security.html", SECURITY | changes


PASSKEY = {
    "id": "p1",
    "name": "Safari on iPhone",
    "is_backed_up": True,
    "added": "on 03 May 2026",
    "last_used": "2 hours ago",
}
SECURITY: dict[str, Any] = {
    "user": ADA,
    "problem": None,
    "password_problem": None,
    "passkeys": [],
    "passkey_options": "{}",
    "suggested_name": "Chrome on Windows",
    "has_password": True,
    "has_authenticator": False,
    "codes_left": 0,
    "codes_in_all": 0,
    "code_used": None,
    "min_password": 15,
}
SECURED = {
    "passkeys": [PASSKEY, PASSKEY | {"id": "p2", "name": UNBROKEN[:64], "is_backed_up": False, "last_used": None}],
    "has_authenticator": True,
    "codes_left": 8,
    "codes_in_all": 10,
    "code_used": "3 minutes ago",
}
AUTHENTICATOR = {
    "picture": Markup(  # noqa: S704  # made here
        segno.make("otpauth://totp/sample?secret=ABCD", error="m").svg_inline(border=3, omitsize=True, light="#fff")
    ),
    "secret": "HSBE BPIJ CKQ7 PSQD MFBZ S3C5 F7RM 7T4M",
    "uri": "otpauth://totp/sample",
    "action": "/account/security/authenticator/confirm",
    "next": "",
    "can_cancel": True,
    "error": None,
}
RECOVERY = ["cduq-od7v-dj5z-whly", "izzo-df43-o5z6-rkxw", "tfw6-iwkv-5fjq-n7xf", "zd2r-ffrf-fffd-vqvj"]


PROVIDERS = [
    {"slug": "google", "name": "Google", "host": "accounts.google.com", "issuer": "", "subject": "", "linked": None},
    {"slug": "github", "name": "GitHub", "host": "github.com", "issuer": "", "subject": "1", "linked": "on 3 November"},
    {"slug": "acme", "name": "Acme single sign-on", "host": EVIL_HOST, "issuer": "", "subject": "", "linked": None},
]


def refused(refusal: str, *, provider: str = "Google", **changes: Any) -> tuple[str, dict[str, Any]]:
    context = {
        "refusal": refusal,
        "provider": {"slug": "google", "name": provider, "host": "accounts.google.com"},
        "email": "ada@example.org" if refusal == "address_taken" else "",
        "next": "",
        "is_link": False,
        "reference": "7kq2m9xdab",
        "status": 403,
    }
    return "upstream_refused.html", context | changes


def setup(**changes: Any) -> tuple[str, dict[str, Any]]:
    return "setup.html", {"action": "/setup", "values": {}, "errors": {}, "min_password": 15} | changes


def error(**changes: Any) -> tuple[str, dict[str, Any]]:
    context = {"status": 400, "steps": [], "return_url": None, "return_host": None, "reference": "7KQ2-M9XD"}
    return "error.html", context | changes


SESSIONS = [
    {"name": "1", "agent": "Firefox on Linux", "created": "today at 09:12", "last_seen": "now", "current": True},
    {
        "name": "2",
        "agent": "Safari on iPhone",
        "created": "on 3 November",
        "last_seen": "2 days ago",
        "current": False,
    },
]
CONNECTION = {
    "budgets": [],
    "grant_id": "g1",
    "client_name": "Claude Code",
    "client_host": None,
    "resource_name": "Travel desk",
    "scopes": ["Look up weather, prices and flights", "Book flights"],
    "created": "on 12 November",
    "device": "Firefox on Linux",
    "let_in_by": "",
    "last_used": "4 minutes ago",
    "ends": None,
}
CONNECTIONS = [
    CONNECTION,
    CONNECTION
    | {"grant_id": "g5", "device": "Samsung Internet on Android", "last_used": "2 days ago", "ends": "in 23 hours"},
    CONNECTION
    | {"grant_id": "g2", "client_name": "ChatGPT", "client_host": "chatgpt.com", "device": "", "last_used": None},
    CONNECTION | {"grant_id": "g6", "client_name": "Nightly report", "device": "", "let_in_by": "login.acme.example"},
    CONNECTION | {"grant_id": "g3", "client_name": UNBROKEN, "client_host": EVIL_HOST, "scopes": [UNBROKEN]},
    CONNECTION | {"grant_id": "g4", "client_name": MIXED},
]
KEPT_OUT = {
    "grant_id": "g7",
    "client_name": "Old assistant",
    "resource_name": "Travel desk",
    "ended": "on 3 November",
}
BOARD = {
    "user": ADA,
    "may_change": True,
    "is_owner": True,
    "secret": None,
    "failed": "",
    "errors": {},
    "values": {},
}
FAILURE = {
    "verdict": "Stopped at the token: invalid_grant: The code was used before.",
    "is_stopped": True,
    "is_on_its_way": False,
    "fix": "Start the connection in the app again. Codes are good once and for a few minutes.",
    "app": UNBROKEN,
    "client_id": "mcl_x",
    "person": "Ada",
    "user_id": "usr_x",
    "when": "4 minutes ago",
    "reference": "k3jd8s0plq",
    "steps": [],
}
OVERVIEW = BOARD | {
    "section": "overview",
    "issuer": "https://auth.acme.example",
    "counts": {"servers": 2, "apps": 3, "people": 3, "connections": 14},
    "waiting": 2,
    "stopped": None,
    "stopped_servers": ["Notes"],
    "steps": [],
    "origin": "https://mcp.acme.example",
    "connect_commands": [
        {"label": "Claude Code", "command": f"claude mcp add --transport http travel {RESOURCE['uri']}"},
        {"label": "Any other app: paste the address", "command": RESOURCE["uri"]},
    ],
    "failures": [FAILURE],
    "recent": 20,
}
STEPS = [
    {"key": "server", "done": True, "is_next": False},
    {"key": "guard", "done": False, "is_next": True},
    {"key": "app", "done": False, "is_next": False},
]
QUESTION = BOARD | {
    "section": "",
    "action": "/dashboard/stop",
    "fields": {"act": "stop"},
    "question": {
        "heading": "Stop everything in Acme Travel?",
        "effects": [
            "Every call to 2 servers is refused from now on.",
            "Nothing is lost: once you resume, all goes on.",
        ],
        "button": "Stop everything",
        "back": "/dashboard/stop",
        "tone": "danger",
    },
}

PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "home": ("home.html", {}),
    "home-signed-in": ("home.html", {"user": ADA}),
    "setup": setup(),
    "setup-errors": setup(
        values={"email": "ada@example", "name": "Ada"},
        errors={
            "form": "Two things need another look.",
            "email": "This is not a complete email address.",
            "password": "That password has 9 characters; it needs at least 15.",
        },
    ),
    "login": login(),
    "login-client": login(client={"name": "Claude Code", "host": None}),
    "login-error": login(
        client={"name": "ChatGPT", "host": "chatgpt.com"}, email="ada@example.org", error="Email or password is wrong."
    ),
    "login-hostile": login(client={"name": UNBROKEN, "host": EVIL_HOST}),
    "login-providers": login(client={"name": "Claude Code", "host": None}, providers=PROVIDERS),
    "login-leaving": ("leaving.html", {"provider": "Acme single sign-on", "target": "https://id.acme.example/x"}),
    "upstream-merge": refused("address_taken"),
    "upstream-unknown": refused("unknown", provider=UNBROKEN),
    "upstream-stopped": refused("stopped"),
    "upstream-failed": refused("failed", is_link=True),
    "consent": consent(),
    "consent-https": consent(
        client=CLIENT | {"name": "Claude", "host": "claude.ai"}, redirect=HTTPS, offline=False, can_be_limited=False
    ),
    "consent-verified": consent(
        client=CLIENT | {"name": "Acme portal", "verified": True, "kind": "pre-registered"},
        redirect={"host": "portal.acme.example", "kind": "https", "display": "portal.acme.example"},
        scopes=[READ],
    ),
    "consent-private": consent(
        client=CLIENT | {"name": "Cursor"},
        redirect=PRIVATE,
        scopes=[READ, WRITE, DESTRUCTIVE],
        dropped=["admin", "openid"],
    ),
    "consent-again": consent(
        scopes=[READ, WRITE, DESTRUCTIVE],
        news={
            "kind": "destructive",
            "new": [{"kind": "read", "tools": ["Stock quotes", "Flight search"]}],
            "more": [{"kind": "destructive", "tools": ["Cancel a booking"]}],
            "is_everything": False,
            "kept": 3,
        },
    ),
    "consent-all-new": consent(news={"kind": "write", "new": [], "more": [], "is_everything": True, "kept": 0}),
    "consent-long": consent(
        client=CLIENT | {"name": LONG, "host": EVIL_HOST},
        redirect={"host": EVIL_HOST, "kind": "https", "display": f"https://{EVIL_HOST}/callback"},
        scopes=[DESTRUCTIVE | {"title": UNBROKEN, "description": LONG}],
        dropped=[UNBROKEN],
    ),
    "consent-unbroken": consent(client=CLIENT | {"name": UNBROKEN}, resource=RESOURCE | {"name": UNBROKEN}, scopes=[]),
    "consent-mixed": consent(client=CLIENT | {"name": MIXED}, resource=RESOURCE | {"name": "مكتب السفر"}),
    "device": device(),
    "device-compare": device(shown="WDJB-MJHT"),
    "device-wrong": device(typed="wdjb mjhx", error="No device waits with this code."),
    "device-consent": device_consent(),
    "device-consent-elsewhere": device_consent(
        client=CLIENT | {"name": UNBROKEN, "impersonated": "Claude"},
        origin={"source": "2001:db8:1234:5678::/64", "is_elsewhere": True, "agent": UNBROKEN, "asked": "9 minutes ago"},
        scopes=[READ, WRITE, DESTRUCTIVE],
    ),
    "device-consent-verified": device_consent(
        client=CLIENT | {"name": "Acme portal", "verified": True, "kind": "pre-registered", "impersonated": None},
        scopes=[READ],
    ),
    "device-allowed": ("device_decided.html", {"allowed": True, "client_name": "Claude Code"}),
    "device-denied": ("device_decided.html", {"allowed": False, "client_name": MIXED}),
    "login-device": login(for_device=True),
    "login-confirm": login(is_confirming=True, email=ADA["email"]),
    "second-step": second_step(),
    "second-step-error": second_step(error="That code is not right, or it was used before."),
    "second-step-new": second_step(needs_app=True),
    "security": security(**SECURED, notice="“Safari on iPhone” was added."),
    "security-empty": security(),
    "security-error": security(password_problem="Use at least 15 characters.", problem="Use at least 15 characters."),
    "authenticator": ("authenticator.html", AUTHENTICATOR),
    "recovery-codes": (
        "recovery_codes.html",
        {"codes": RECOVERY * 2 + RECOVERY[:2], "is_new": True, "onward": "/account/security"},
    ),
    "return-allowed": back("allowed"),
    "return-denied": back("denied", "https", "claude.ai"),
    "return-error": back(
        "error", "private", "cursor", error_description="The server this app asked for is not known here."
    ),
    "return-no-refresh": back("error", "https", "claude.ai", error_description="No scope it named exists.", auto=False),
    "return-hostile": back("allowed", "https", EVIL_HOST, client_name=UNBROKEN),
    "error": error(
        heading="We do not know this app",
        message="It used an identity that was never given out here, or that has expired. Nothing was shared with it.",
        steps=[
            "In Claude Code, run /mcp, choose this server and then “Clear authentication”.",
            "Connect again: the app then introduces itself anew.",
        ],
    ),
    "error-return": error(
        heading="This app asked for something that does not exist",
        message="None of the permissions it named are known to the Travel desk server.",
        return_url="https://claude.ai/cb?error=invalid_scope",
        return_host="claude.ai",
    ),
    "error-plain": error(
        status=404, heading="There is nothing here", message="The address may have a typing error.", reference=None
    ),
    "account": (
        "account.html",
        {
            "user": ADA,
            "connections": CONNECTIONS,
            "kept_out": [KEPT_OUT],
            "sessions": SESSIONS,
            "providers": PROVIDERS,
            "ways_in": ["2 passkeys", "a password and an authenticator app"],
            "has_second_step": True,
            "notice": "Notes app revoked.",
        },
    ),
    "account-empty": (
        "account.html",
        {
            "user": ADA | {"name": None, "role": "member"},
            "connections": [],
            "kept_out": [],
            "sessions": SESSIONS[:1],
            "ways_in": ["a password"],
            "has_second_step": False,
            "providers": [],
        },
    ),
    "dashboard": ("board/overview.html", OVERVIEW),
    "dashboard-empty": (
        "board/overview.html",
        OVERVIEW | {"steps": STEPS, "failures": [], "recent": 0, "waiting": 0, "stopped_servers": []},
    ),
    "dashboard-question": ("board/question.html", QUESTION),
}
