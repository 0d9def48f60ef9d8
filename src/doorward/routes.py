"""The one route table: every address with its methods, whether other origins may call it, and what it answers in."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from doorward.admin.answer import BODY_LIMIT as ADMIN_BODY_LIMIT
from doorward.admin.answer import OPENAPI_PATH, answer_admin, answer_openapi
from doorward.admin.table import PREFIX as ADMIN
from doorward.asgi import BODY_LIMIT, Request, Response
from doorward.core.timeline import TimelineStep
from doorward.server import registration_management
from doorward.server.context import Context
from doorward.server.device import answer_device_authorization
from doorward.server.introspection import answer_introspect
from doorward.server.mint import answer_mint
from doorward.server.pushed import answer_push
from doorward.server.registration import answer_register
from doorward.server.reports import answer_reports
from doorward.server.revocation import answer_revoke
from doorward.server.revocations import answer_revocations
from doorward.server.tenancy import ProjectView, split_path
from doorward.server.token import answer_token
from doorward.server.tools import TOOLS_BODY_LIMIT, answer_tools
from doorward.web import security
from doorward.web.account import (
    post_end_session,
    post_end_sessions,
    post_reopen_connection,
    post_revoke_connection,
    show_account,
)
from doorward.web.authorize import post_authorize, post_consent, show_authorize
from doorward.web.board.serving import serve
from doorward.web.board.table import BOARD
from doorward.web.device import post_device, post_device_decision, show_device
from doorward.web.home import show_home
from doorward.web.second_step import (
    post_confirm_app,
    post_second_step,
    post_set_up_app,
    post_start_over,
    show_second_step,
)
from doorward.web.setup import post_setup, show_setup
from doorward.web.sign_in import post_passkey, post_sign_in, post_sign_out, show_sign_in
from doorward.web.upstream import CALLBACK, LINK, UNLINK, VIA, post_link, post_unlink, post_via, show_callback, show_via

REGISTRATION = registration_management.PATH
Endpoint = Callable[[Context, ProjectView, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """One address of a project. `cors`: browsers of any origin may call it, without credentials (O21 §3.2)."""

    methods: Mapping[str, Endpoint]
    cors: bool = False
    html: bool = False
    problems: bool = False
    """Whether refusals are problem details (RFC 9457), and not in the words of OAuth."""
    step: TimelineStep | None = None
    """What of a client's way in it is, for the timeline."""
    body_limit: int = BODY_LIMIT


ROUTES: Mapping[str, Route] = {
    # Protocol
    "/api/oauth/register": Route({"POST": answer_register}, cors=True, step="register"),
    f"{REGISTRATION}{{client_id}}": Route(
        {
            "GET": registration_management.answer_read,
            "PUT": registration_management.answer_update,
            "DELETE": registration_management.answer_delete,
        },
        cors=True,
    ),
    "/api/oauth/par": Route({"POST": answer_push}, cors=True, step="push"),
    "/api/oauth/token": Route({"POST": answer_token}, cors=True, step="token"),
    "/api/oauth/device": Route({"POST": answer_device_authorization}, cors=True, step="device"),
    # For an operator's own backend, and never for a browser (finding 7)
    "/api/oauth/token/exchange": Route({"POST": answer_mint}, step="token"),
    "/api/oauth/revoke": Route({"POST": answer_revoke}, cors=True, step="revoke"),
    "/api/oauth/timeline": Route({"POST": answer_reports}),
    "/api/oauth/tools": Route({"PUT": answer_tools}, body_limit=TOOLS_BODY_LIMIT),
    "/api/oauth/introspect": Route({"POST": answer_introspect}),
    "/api/oauth/revocations": Route({"GET": answer_revocations}),
    # Where clients without metadata look: those of 2025-03-26, and some after a restart (LEG-02, clients.md no. 59)
    "/register": Route({"POST": answer_register}, cors=True, step="register"),
    "/token": Route({"POST": answer_token}, cors=True, step="token"),
    "/authorize": Route({"GET": show_authorize, "POST": post_authorize}, html=True, step="authorize"),
    # The authorization endpoint never allows other origins (AUTHZ-05)
    "/oauth/authorize": Route({"GET": show_authorize, "POST": post_authorize}, html=True, step="authorize"),
    "/oauth/consent": Route({"POST": post_consent}, html=True, step="consent"),
    # People
    "/": Route({"GET": show_home}, html=True),
    "/device": Route({"GET": show_device, "POST": post_device}, html=True),
    "/device/decide": Route({"POST": post_device_decision}, html=True, step="consent"),
    "/setup": Route({"GET": show_setup, "POST": post_setup}, html=True),
    "/login": Route({"GET": show_sign_in, "POST": post_sign_in}, html=True, step="sign_in"),
    "/login/passkey": Route({"POST": post_passkey}, html=True, step="sign_in"),
    "/login/second-step": Route({"GET": show_second_step, "POST": post_second_step}, html=True, step="sign_in"),
    "/login/set-up-app": Route({"POST": post_set_up_app}, html=True),
    "/login/set-up-app/confirm": Route({"POST": post_confirm_app}, html=True, step="sign_in"),
    "/login/start-over": Route({"POST": post_start_over}, html=True),
    f"{VIA}{{provider}}": Route({"GET": show_via, "POST": post_via}, html=True, step="sign_in"),
    f"{CALLBACK}{{provider}}": Route({"GET": show_callback}, html=True, step="sign_in"),
    "/logout": Route({"POST": post_sign_out}, html=True),
    "/account": Route({"GET": show_account}, html=True),
    "/account/connections/revoke": Route({"POST": post_revoke_connection}, html=True),
    "/account/connections/reopen": Route({"POST": post_reopen_connection}, html=True),
    LINK: Route({"POST": post_link}, html=True),
    UNLINK: Route({"POST": post_unlink}, html=True),
    "/account/sessions/revoke": Route({"POST": post_end_sessions}, html=True),
    "/account/sessions/end": Route({"POST": post_end_session}, html=True),
    "/account/security": Route({"GET": security.show_security}, html=True),
    "/account/security/passkeys/add": Route({"POST": security.post_add_passkey}, html=True),
    "/account/security/passkeys/rename": Route({"POST": security.post_rename_passkey}, html=True),
    "/account/security/passkeys/remove": Route({"POST": security.post_remove_passkey}, html=True),
    "/account/security/authenticator": Route({"POST": security.post_start_authenticator}, html=True),
    "/account/security/authenticator/confirm": Route({"POST": security.post_confirm_authenticator}, html=True),
    "/account/security/authenticator/remove": Route({"POST": security.post_remove_authenticator}, html=True),
    "/account/security/recovery-codes": Route({"POST": security.post_make_codes}, html=True),
    "/account/security/password": Route({"POST": security.post_change_password}, html=True),
    "/account/security/password/remove": Route({"POST": security.post_remove_password}, html=True),
    # An operator's programs: a bearer token, never a cookie, never another origin
    OPENAPI_PATH: Route({"GET": answer_openapi}, problems=True),
    f"{ADMIN}/{{operation}}": Route(
        dict.fromkeys(("GET", "POST", "PATCH", "DELETE", "PUT"), answer_admin),
        problems=True,
        body_limit=ADMIN_BODY_LIMIT,
    ),
    **{path: Route(serve(path, BOARD), html=True) for path in BOARD},
}
"""Addresses below a project's prefix. Well-known documents, `/static/`, `/livez` and `/readyz` are of the server."""


_BELOW = {
    REGISTRATION: ROUTES[f"{REGISTRATION}{{client_id}}"],
    VIA: ROUTES[f"{VIA}{{provider}}"],
    CALLBACK: ROUTES[f"{CALLBACK}{{provider}}"],
}
"""Addresses that end in a name of something."""


def find_route(path: str) -> Route | None:
    """The route of a path below a project's prefix."""
    if path.startswith(f"{ADMIN}/") and path != OPENAPI_PATH:
        return ROUTES[f"{ADMIN}/{{operation}}"]
    return ROUTES.get(path) or next((route for prefix, route in _BELOW.items() if path.startswith(prefix)), None)


def is_admin(path: str) -> bool:
    """Whether an address, prefix of a project included, is of the admin API, whose ids may look like any address."""
    return split_path(path)[1].startswith(f"{ADMIN}/")
