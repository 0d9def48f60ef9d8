"""A client's metadata document on this machine, served by TLS with a certificate authority that lives for a test."""

import datetime as dt
import json
import socket
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
from anyio.abc import SocketAttribute
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSListener, TLSStream
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

LONGEST_HEAD = 1 << 14
CERTIFICATE_DAYS = 2


@dataclass(frozen=True)
class Authority:
    """A certificate authority and a certificate of it for `localhost`, as files."""

    trust: Path
    chain: Path


def make_authority(folder: Path) -> Authority:
    """Make both anew."""
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "An authority of one test")])
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    ca = (
        _begin(ca_name, ca_name, ca_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    certificate = (
        _begin(name, ca_name, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    trust, chain = folder / "authority.pem", folder / "localhost.pem"
    trust.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain.write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))
    return Authority(trust, chain)


def _begin(subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=CERTIFICATE_DAYS))
    )


@dataclass
class Document:
    """One that is being served."""

    url: str
    requests: list[str] = field(default_factory=list)
    """The first line of each request for it."""


@asynccontextmanager
async def serve_document(authority: Authority, redirect_uris: Sequence[str]) -> AsyncIterator[Document]:
    """Serve the document of a public client at a free port of `localhost`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.chain)
    # The first address of the name: that is the one the server dials.
    host = str(socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)[0][4][0])
    async with await anyio.create_tcp_listener(local_host=host) as plain, anyio.create_task_group() as tasks:
        port = plain.extra(SocketAttribute.local_port)  # noqa: S610  # anyio's, not Django's
        document = Document(f"https://localhost:{port}/client.json")
        body = json.dumps(_describe(document.url, redirect_uris)).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"

        async def answer(stream: TLSStream) -> None:
            async with stream:
                request = await BufferedByteReceiveStream(stream).receive_until(b"\r\n\r\n", LONGEST_HEAD)
                document.requests.append(request.decode().partition("\r\n")[0])
                await stream.send(head.encode() + b"Connection: close\r\n\r\n" + body)

        tasks.start_soon(TLSListener(plain, context, standard_compatible=False).serve, answer)
        yield document
        tasks.cancel_scope.cancel()


def _describe(url: str, redirect_uris: Sequence[str]) -> dict[str, Any]:
    return {
        "client_id": url,
        "client_name": "An app with a document",
        "redirect_uris": list(redirect_uris),
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": "none",
        "application_type": "native",
    }
