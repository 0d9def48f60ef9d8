"""`doorward protect` with a certificate of its own."""

import ssl
from pathlib import Path

import httpx2

from tests.certificates import make_certificate
from tests.needs import find_free_port
from tests.running import start_protect


async def test_with_a_certificate_all_of_it_is_https_rs_14(tmp_path: Path) -> None:
    chain, key = make_certificate(tmp_path)
    port = find_free_port()
    origin = f"https://127.0.0.1:{port}"
    words = ["--public-url", origin, "--tls-certificate", str(chain), "--tls-key", str(key)]
    door = start_protect(tmp_path / "data", "http://127.0.0.1:9/mcp", *words, port=port)
    try:
        trusting = ssl.create_default_context(cafile=str(chain))
        async with httpx2.AsyncClient(verify=trusting) as http:
            invited = await http.get(f"{origin}/mcp")
            metadata = (await http.get(f"{origin}/.well-known/oauth-authorization-server")).json()
        assert invited.status_code == 401
        assert (
            f'resource_metadata="{origin}/.well-known/oauth-protected-resource/mcp"'
            in invited.headers["www-authenticate"]
        )
        assert metadata["issuer"] == origin
    finally:
        assert door.stop() == 0
