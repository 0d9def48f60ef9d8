"""How to connect an app to a server, to be copied."""

from doorward.core.models import Resource


def connect_commands(resource: Resource) -> list[dict[str, str]]:
    """What to type or paste, by the app it is for."""
    name = "".join(c if c.isalnum() else "-" for c in resource.name.lower()).strip("-") or "server"
    return [
        {"label": "Claude Code", "command": f"claude mcp add --transport http {name} {resource.uri}"},
        {"label": "VS Code, Cursor and other apps: paste the address", "command": resource.uri},
        {"label": "A terminal with Doorward installed", "command": f"doorward client login {resource.uri}"},
    ]
