"""A web site of strangers: a real TLS server on loopback that serves what a test says, and counts who comes."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

HOST = "app.example"
HOSTS = (HOST, "other.example", "keys.example", "localhost")
DAY = dt.timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority for one test run, with a certificate for every name of `HOSTS`."""

    trust: str
    certificate: str


@dataclass(frozen=True)
class Page:
    """One answer. `raw` is sent as it is instead; `endless` repeats the body, `silent` says nothing more."""

    body: bytes = b"{}"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    media: str = "application/json"
    raw: bytes | None = None
    endless: bool = False
    silent: bool = False


@dataclass
class Site:
    """What is served by path. While `gate` is not set, requests wait for it."""

    port: int = 0
    pages: dict[str, Page] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    heads: list[bytes] = field(default_factory=list)
    connections: int = 0
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    def url(self, path: str = "/client.json", host: str = HOST) -> str:
        return f"https://{host}:{self.port}{path}"

    def publish(self, path: str = "/client.json", *, host: str = HOST, cache: str = "", **members: Any) -> str:
        """Serve a client's document, a public one on loopback unless said otherwise; its client_id.

        A member given as None is left out.
        """
        client_id = self.url(path, host)
        document = {
            "client_id": client_id,
            "client_name": "Sample app",
            "redirect_uris": ["http://localhost/callback"],
            "token_endpoint_auth_method": "none",
            "grant_types": ["authorization_code", "refresh_token"],
            **members,
        }
        body = json.dumps({name: value for name, value in document.items() if value is not None}).encode()
        self.pages[path] = Page(body, headers=(("cache-control", cache),) if cache else ())
        return client_id

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        path = head.split(b" ")[1].decode()
        self.requests.append(path)
        self.heads.append(head)
        self.asked.set()
        await self.gate.wait()
        page = self.pages.get(path, Page(b"nothing here", 404, media="text/plain"))
        writer.write(page.raw if page.raw is not None else _head(page) + page.body)
        await writer.drain()
        while page.endless:
            writer.write(page.body)
            await writer.drain()
        if page.silent:
            await self.over.wait()


def _head(page: Page) -> bytes:
    lines = [f"HTTP/1.1 {page.status} OK", f"content-type: {page.media}", "connection: close"]
    if not page.endless and not any(name == "content-length" for name, _ in page.headers):
        lines.append(f"content-length: {len(page.body)}")
    return "\r\n".join([*lines, *(f"{name}: {value}" for name, value in page.headers), "", ""]).encode()


@asynccontextmanager
async def open_site(authority: Authority, certificate: str | None = None) -> AsyncIterator[Site]:
    """The site on a free port of 127.0.0.1."""
    site = Site()
    site.gate.set()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate or authority.certificate)
    answering: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        site.connections += 1
        task = asyncio.create_task(site.answer(reader, writer))
        answering.add(task)
        task.add_done_callback(answering.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    site.port = server.sockets[0].getsockname()[1]
    try:
        yield site
    finally:
        site.gate.set()
        site.over.set()
        server.close()
        await server.wait_closed()
        if answering:
            await asyncio.wait(answering, timeout=5)


def make_authority(folder: Path) -> Authority:
    """Keys and certificates in files of `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Throwaway CA")])
    ca = _certificate(name, name, key, key, x509.BasicConstraints(ca=True, path_length=None))
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    names = x509.SubjectAlternativeName([*map(x509.DNSName, HOSTS), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    leaf = _certificate(leaf_name, name, leaf_key, key, names)
    trust, certificate = folder / "ca.pem", folder / "site.pem"
    trust.write_bytes(ca.public_bytes(serialization.Encoding.PEM))
    private = leaf_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    certificate.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
    return Authority(str(trust), str(certificate))


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
        .add_extension(extension, critical=True)
        .sign(signer, hashes.SHA256())
    )
