"""Any ASGI app behind the guard: here a Starlette app that speaks just enough MCP by hand to say who is calling.

    pip install '.[server]' uvicorn                 # in a checkout, where ./dev has done it
    doorward up                                     # the issuer, http://127.0.0.1:8400
    doorward admin resource add http://127.0.0.1:8502/mcp --scope tools:read
    python examples/protect_asgi.py
    curl -i http://127.0.0.1:8502/mcp               # 401, and where to get a token

In a checkout the commands are `.venv/bin/doorward` and `.venv/bin/python`. Tokens are verified here; what the issuer
revokes is refused within a second. With a key that may introspect in INTROSPECT_KEY, each token is looked up at the
issuer instead, which opaque tokens need.
"""

import os

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from doorward.resource import (
    PRINCIPAL,
    IntrospectionVerifier,
    JWKSKeys,
    JWTVerifier,
    Principal,
    ProtectMCP,
    RevocationFeed,
    Verifier,
)

ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:8400")
PORT = int(os.environ.get("PORT", "8502"))
RESOURCE = f"http://127.0.0.1:{PORT}/mcp"
KEY = os.environ.get("INTROSPECT_KEY")

WHOAMI = {"name": "whoami", "description": "Who is calling", "inputSchema": {"type": "object"}}


async def mcp(request: Request) -> Response:
    """Answer the three requests a client cannot do without."""
    principal: Principal = request.scope[PRINCIPAL]
    message = await request.json()
    if "id" not in message:
        return Response(status_code=202)
    if message["method"] == "initialize":
        version = message["params"]["protocolVersion"]
        result = {
            "protocolVersion": version,
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "whoami", "version": "1"},
        }
    elif message["method"] == "tools/list":
        result = {"tools": [WHOAMI]}
    elif message["method"] == "tools/call":
        text = f"{principal.subject}, through {principal.client_id}"
        result = {"content": [{"type": "text", "text": text}]}
    else:
        error = {"code": -32601, "message": "Method not found"}
        return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "error": error})
    return JSONResponse({"jsonrpc": "2.0", "id": message["id"], "result": result})


verifier: Verifier = (
    IntrospectionVerifier(issuer=ISSUER, resource=RESOURCE, key=KEY)
    if KEY
    else JWTVerifier(issuer=ISSUER, resource=RESOURCE, keys=JWKSKeys(ISSUER), revocations=RevocationFeed(issuer=ISSUER))
)
app = ProtectMCP(
    Starlette(routes=[Route("/mcp", mcp, methods=["POST"])]),
    verifier=verifier,
    resource=RESOURCE,
    issuer=ISSUER,
    challenge_scopes=["tools:read"],
)

if __name__ == "__main__":
    print(f"ready {RESOURCE}", flush=True)
    uvicorn.run(app, port=PORT, log_level="warning")
