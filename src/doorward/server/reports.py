"""What is told to the timeline: by this server of each request, and by protected servers of theirs.

Spec: product.md, feature 1; complaint 36
"""

from functools import lru_cache
from typing import Any, cast

from doorward.asgi import Request, Response, json_response
from doorward.core.timeline import MAX_REASON_LENGTH, STEPS, TimelineEvent, TimelineOutcome, TimelineStep
from doorward.oauth.errors import OAuthError, invalid_request
from doorward.oauth.forms import parse_json_object
from doorward.oauth.ids import ProjectId
from doorward.oauth.metadata import clean_name

from .context import Context
from .limiter import source_of
from .page_error import PageError
from .registration import authenticate_key, unauthorized
from .tenancy import ProjectView

MAX_REPORTED = 100
MAX_AGENT_LENGTH = 200
_REPORTED_STEPS = frozenset({"challenge", "resource_metadata", "call"})
_WAITING = frozenset({"authorization_pending", "slow_down"})
_MAX_FACT_LENGTH = 2048


def note_answer(context: Context, request: Request, step: TimelineStep | None, response: Response) -> None:
    """Note a request that was answered: as it hoped, with a refusal on its way, or that what it seeks is not here."""
    reason = request.learned.get("refusal", "")
    if not reason and response.status >= 400:
        reason = f"{response.status} at {request.path[:_MAX_FACT_LENGTH]}"
    _note(context, request, step, "refused" if reason else "ok", reason)


def note_refusal(context: Context, request: Request, step: TimelineStep | None, error: Exception) -> None:
    """Note a request that was refused, with the whole reason; one that shall ask again in a moment is no refusal."""
    if isinstance(error, OAuthError):
        if error.code not in _WAITING:
            _note(
                context, request, step, "failed" if error.status >= 500 else "refused", f"{error.code}: {error.reason}"
            )
    elif isinstance(error, PageError):
        _note(context, request, step, "refused", error.reason)
    else:
        _note(context, request, step, "failed", type(error).__name__)


async def answer_reports(context: Context, view: ProjectView, request: Request) -> Response:
    """Take what a protected server saw of clients: invitations, refusals, first calls. Bearer: a key with introspect.

    Its word is kept beside ours, never above it: a report names steps of its own kind only.
    """
    body = await request.body()
    key = await authenticate_key(context, view, request, "introspect")
    if key is None:
        raise unauthorized("Reports need a project key that may introspect.", presented=False)
    events = parse_json_object(body, request.header("content-type")).get("events")
    if not isinstance(events, list) or len(events) > MAX_REPORTED:
        raise invalid_request(f"Send an array of at most {MAX_REPORTED} events.")
    for report in map(_parse_report, events):
        event = TimelineEvent(at=min(report.pop("at"), request.now), **report)
        project_id = view.project.project_id
        if context.timeline.has_room(project_id, event.step, event.outcome, event.source, event.at):
            context.timeline.note(project_id, event)
    return json_response({})


def _note(context: Context, request: Request, step: TimelineStep | None, outcome: TimelineOutcome, reason: str) -> None:
    facts = request.learned
    project_id, learned_step = facts.get("project_id"), facts.get("step")
    chosen = cast("TimelineStep | None", learned_step) or step
    if project_id is None or chosen is None:
        return
    if chosen == "sign_in" and learned_step is None and request.method != "POST":
        return  # looking at the form is no step
    source = source_of(context, request)
    if not context.timeline.has_room(ProjectId(project_id), chosen, outcome, source, request.now):
        return
    event = TimelineEvent(
        at=request.now,
        step=chosen,
        outcome=outcome,
        source=source,
        agent=_clean_agent(request.header("user-agent")[:MAX_AGENT_LENGTH]),
        reference=request.reference,
        client_id=facts.get("client_id"),
        flow=facts.get("flow"),
        grant_id=facts.get("grant_id"),
        user_id=facts.get("user_id"),
        reason=reason[:MAX_REASON_LENGTH],
    )
    context.timeline.note(ProjectId(project_id), event)


@lru_cache(maxsize=1024)
def _clean_agent(agent: str) -> str:
    """A program's name for itself, fit to be shown; most requests come from few programs."""
    return clean_name(agent) or ""


def _parse_report(report: Any) -> dict[str, Any]:
    """The members of one reported event; everything else that a server may say of a client is left out."""
    if not isinstance(report, dict):
        raise invalid_request("An event must be an object.")
    step, outcome, at = report.get("step"), report.get("outcome"), report.get("at")
    if step not in STEPS or step not in _REPORTED_STEPS or outcome not in ("ok", "refused", "failed"):
        raise invalid_request("An event's step or outcome is not one that servers report.")
    if not isinstance(at, int) or isinstance(at, bool) or at < 0:
        raise invalid_request("An event's at must be epoch milliseconds.")
    texts = {name: _text(report, name) for name in ("source", "agent", "reason", "client_id", "grant_id", "user_id")}
    required = {name: texts[name] or "" for name in ("source", "agent", "reason")}
    known = {name: texts[name] for name in ("client_id", "grant_id", "user_id")}
    return {"at": at, "step": step, "outcome": outcome, **required, **known}


def _text(report: dict[str, Any], name: str) -> str | None:
    value = report.get(name)
    if value is not None and (not isinstance(value, str) or len(value) > _MAX_FACT_LENGTH or not value.isprintable()):
        raise invalid_request(f"An event's {name} must be printable text.")
    return value or None
