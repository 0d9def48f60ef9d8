"""Keys and secrets: those of the operator's own backends, shown once, and the keys that sign."""

from doorward.asgi import Response
from doorward.core.models import CAPABILITIES, Resource
from doorward.core.rotation import signs_at
from doorward.manage import keys, resources, signing_keys
from doorward.manage.operator import ActionRefused
from doorward.web.pages import ago

from .desk import OWNERS, Act, BoardPage, Desk, Done, Question

KEYS = "/dashboard/keys"


async def show_keys(desk: Desk) -> Response:
    """Project keys, never their secrets, and signing keys with what each is for now."""
    held = await keys.list_all(desk.operator, desk.project)
    published = await signing_keys.list_keys(desk.operator, desk.project)
    names = {resource.resource_id: resource.name for resource in desk.view.resources}
    return desk.render(
        "keys.html",
        "keys",
        keys=[
            {
                "id": key.key_id,
                "name": key.name or key.key_id,
                "capabilities": list(key.capabilities),
                "server": names.get(key.resource_id, key.resource_id) if key.resource_id else "",
                "created": ago(key.created_at, desk.now),
                "last_used": ago(key.last_used_at, desk.now),
                "revoked": ago(key.revoked_at, desk.now),
            }
            for key in sorted(held, key=lambda key: (key.revoked_at is not None, -key.created_at))
        ],
        signing=[
            {
                "kid": key.kid,
                "alg": key.alg,
                "created": ago(key.created_at, desk.now),
                "state": _state(desk.now, key.signs_from, key.removed_at),
            }
            for key in published
        ],
        servers=[(resource.resource_id, resource.name) for resource in desk.view.resources],
        capabilities=CAPABILITIES,
        days=desk.project.settings.signing_key_days,
    )


async def _create(desk: Desk) -> Done:
    given = desk.given
    chosen = tuple(name for name in CAPABILITIES if f"can_{name}" in given)
    if not chosen:
        raise ActionRefused("Say what the key may do.", about="capabilities")
    server: Resource | None = None
    if given.get("server", ""):
        server = await resources.get(desk.operator, desk.project, given["server"])
    _, secret = await keys.create(desk.operator, desk.project, chosen, name=given.get("name", ""), resource=server)
    return Done("The key is made.", secret=secret)


async def _revoke(desk: Desk) -> Done:
    await keys.revoke(desk.operator, desk.project, desk.given.get("key_id", ""))
    return Done("The key is revoked. Nothing that uses it is answered any more.")


async def _rotate(desk: Desk) -> Done:
    await signing_keys.rotate(desk.operator, desk.project)
    return Done("The next keys are published. They sign once everybody can have them, in ten minutes.")


async def _replace(desk: Desk) -> Done:
    await signing_keys.replace_at_once(desk.operator, desk.project)
    return Done("Every signing key is replaced. What the old ones signed is not believed any more.")


async def _ask_revoke(desk: Desk) -> Question:
    held = await keys.list_all(desk.operator, desk.project)
    key = next((k for k in held if k.key_id == desk.given.get("key_id", "") and k.revoked_at is None), None)
    if key is None:
        raise ActionRefused("There is no such key any more.")
    return Question(
        f"Revoke the key {key.name or key.key_id}?",
        ("Whatever uses it is refused at once.", "It cannot be taken back; make a new key instead."),
        "Revoke the key",
        KEYS,
    )


async def _ask_replace(_: Desk) -> Question:
    return Question(
        "Replace every signing key at once?",
        (
            "Do this when somebody else may have a signing key.",
            "Every access token that is signed ends now. Apps refresh and go on.",
            "Servers that keep the old public keys refuse new tokens until they read them again.",
        ),
        "Replace the keys",
        KEYS,
    )


def _state(now: int, signs_from: int, removed_at: int | None) -> str:
    if signs_at(now, signs_from, removed_at):
        return "signs"
    return "next" if removed_at is None or signs_from > now else "leaving"


KEYS_PAGE = BoardPage(
    show_keys,
    {
        "create": Act(_create),
        "revoke": Act(_revoke, ask=_ask_revoke),
        "rotate": Act(_rotate),
        "replace": Act(_replace, roles=OWNERS, ask=_ask_replace),
    },
)
