"""`doorward client bridge`: a protected server for programs that know only standard streams."""

from dataclasses import replace

from .common import NameOrUrl, Teller, build_auth_options, build_interaction, run


def bridge(server: NameOrUrl) -> None:
    """Speak MCP on standard input and output, and pass it on to a server; signs in where that is needed."""
    from doorward.client.bridge import run_bridge
    from doorward.client.connect import DoorwardClient
    from doorward.client.stores import DefaultStore

    from .known import ServersFile

    async def act() -> None:
        teller, known = Teller(), ServersFile().resolve(server)
        # Standard input carries messages: nobody can paste anything there.
        known = replace(known, way="browser" if known.way == "paste" else known.way)
        interaction = build_interaction(known.way, known.port, teller.say)
        options = await build_auth_options(known, DefaultStore(), interaction)
        await run_bridge(DoorwardClient(known.url, **options))

    run(act, server)
