"""`python bridge_program.py URL FOLDER`: a bridge to a server, with what is kept in a folder and nobody to ask."""

import sys
from pathlib import Path

import anyio

from doorward.client import DoorwardClient, FileStore, NoInteraction
from doorward.client.bridge import run_bridge


async def main() -> None:
    client = DoorwardClient(sys.argv[1], store=FileStore(Path(sys.argv[2])), interaction=NoInteraction())
    await run_bridge(client)


if __name__ == "__main__":
    anyio.run(main)
