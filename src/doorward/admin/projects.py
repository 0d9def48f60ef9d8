"""Projects: their settings, and stopping or ending all that is theirs."""

from typing import Annotated

from pydantic import Field

from doorward.core.models import DEFAULT_SLUG, Project, RegistrationMode, ReusePolicy
from doorward.manage import projects, revocations
from doorward.manage.operator import get_project

from .paging import page_of
from .shapes import Answer, Body, Lines, Name, Page, Paging, Patch, Time
from .table import Call, Operation


class ProjectAnswer(Answer):
    """A project with its settings."""

    slug: str
    name: str
    path: str = Field(description="Prefix of its addresses.")
    default: bool
    stopped_at: Time | None = Field(description="Since when nothing of it is let in.")
    registration_mode: RegistrationMode
    access_token_seconds: int
    code_seconds: int
    refresh_idle_seconds: int
    refresh_absolute_seconds: int
    client_secret_seconds: int
    approved_redirects: list[str]
    documents: bool
    document_hosts: list[str]
    blocked_hosts: list[str]
    development: bool
    device_flow: bool
    dpop_nonces: bool
    require_second_factor: bool
    public_refresh_policy: ReusePolicy
    confidential_refresh_policy: ReusePolicy
    signing_key_days: int


class ProjectBody(Body):
    """A project to make."""

    slug: Annotated[str, Field(min_length=1, max_length=40)]
    name: Name = ""


class ProjectPatch(Patch):
    """Settings of a project to change."""

    name: Annotated[Name, Field(min_length=1)] = ""
    registration_mode: RegistrationMode = "open"
    access_token_seconds: int = 900
    code_seconds: int = 300
    refresh_idle_seconds: int = 0
    refresh_absolute_seconds: int = 0
    client_secret_seconds: int = 0
    approved_redirects: Lines = []
    documents: bool = True
    document_hosts: Lines = []
    blocked_hosts: Lines = []
    development: bool = False
    device_flow: bool = False
    dpop_nonces: bool = False
    require_second_factor: bool = False
    public_refresh_policy: ReusePolicy = "until_used"
    confidential_refresh_policy: ReusePolicy = "strict"
    signing_key_days: int = 0


class ProjectPage(Page[ProjectAnswer]):
    """Projects, oldest first."""


def _answer(project: Project) -> ProjectAnswer:
    shown = projects.describe(project)
    return ProjectAnswer(**{name: list(value) if isinstance(value, tuple) else value for name, value in shown.items()})


async def list_projects(call: Call, paging: Paging) -> ProjectPage:
    found = await projects.list_all(call.operator)
    items, cursor = page_of(found, paging, lambda project: (project.created_at, project.slug))
    return ProjectPage(items=[_answer(project) for project in items], next_cursor=cursor)


async def add_project(call: Call, body: ProjectBody) -> ProjectAnswer:
    return _answer(await projects.create_project(call.operator, body.slug, body.name))


async def show_project(call: Call) -> ProjectAnswer:
    return _answer(await _now(call))


async def change_project(call: Call, body: ProjectPatch) -> ProjectAnswer:
    return _answer(await projects.change_project(call.operator, call.project, body.chosen()))


async def revoke_project(call: Call) -> ProjectAnswer:
    await revocations.revoke_project(call.operator, call.project)
    return _answer(await _now(call))


async def stop_project(call: Call) -> ProjectAnswer:
    await revocations.stop_everything(call.operator, call.project)
    return _answer(await _now(call))


async def resume_project(call: Call) -> ProjectAnswer:
    await revocations.resume_everything(call.operator, call.project)
    return _answer(await _now(call))


async def _now(call: Call) -> Project:
    """The project as it is by now, which the view that found it need not be."""
    return await get_project(call.operator, call.project.slug or DEFAULT_SLUG)


OPERATIONS = (
    Operation(
        "GET",
        "/projects",
        "listProjects",
        "Every project of the server",
        "projects",
        list_projects,
        ProjectPage,
        query=Paging,
        least="owner",
        of_server=True,
    ),
    Operation(
        "POST",
        "/projects",
        "addProject",
        "Make a project with its own issuer and signing key",
        "projects",
        add_project,
        ProjectAnswer,
        ProjectBody,
        least="owner",
        once=True,
        of_server=True,
    ),
    Operation(
        "GET", "/project", "showProject", "This project with its settings", "project", show_project, ProjectAnswer
    ),
    Operation(
        "PATCH",
        "/project",
        "changeProject",
        "Change the name or settings of this project",
        "project",
        change_project,
        ProjectAnswer,
        ProjectPatch,
    ),
    Operation(
        "POST",
        "/project/revoke",
        "revokeProject",
        "End every grant, token and session of this project",
        "project",
        revoke_project,
        ProjectAnswer,
    ),
    Operation(
        "POST",
        "/project/stop",
        "stopProject",
        "Let nothing of this project in until it is resumed",
        "project",
        stop_project,
        ProjectAnswer,
    ),
    Operation(
        "POST",
        "/project/resume",
        "resumeProject",
        "Take a stop of this project back",
        "project",
        resume_project,
        ProjectAnswer,
    ),
)
