"""What the suite starts for each scenario in place of the example: `python handed_over.py PORT SERVER_URL`.

It hands the scenario over to the test that waits on PORT, which plays it with the example's own code: dozens of
interpreters that import the same libraries would take longer than all scenarios do.
"""

import json
import os
import socket
import sys

scenario = {
    "name": os.environ["MCP_CONFORMANCE_SCENARIO"],
    "revision": os.environ["MCP_CONFORMANCE_PROTOCOL_VERSION"],
    "given": json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}")),
    "url": sys.argv[2],
}
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    connection.sendall(json.dumps(scenario).encode() + b"\n")
    said = connection.makefile().read()
print(said, file=sys.stderr)
sys.exit(0 if said == "ok" else 1)
