"""`doorward protect` with a certificate of its own."""

import datetime as dt
import ipaddress
import ssl
from pathlib import Path

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.needs import find_free_port
from tests.running import start_protect


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that speaks for itself, and its key as PKCS #8."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "door")])
    now = dt.datetime.now(dt.UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, private = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    private.chmod(0o600)
    return chain, private


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
