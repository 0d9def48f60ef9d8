"""What people prove themselves with: a device with passkeys and an authenticator app, both made of software."""

import html
import json
import os
import re
from dataclasses import dataclass, field
from typing import Any

import pyotp
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from fido2.cose import ES256
from fido2.utils import sha256, websafe_decode, websafe_encode
from fido2.webauthn import (
    Aaguid,
    AttestationObject,
    AttestedCredentialData,
    AuthenticatorData,
    CollectedClientData,
)

from tests.inside import ISSUER, Door
from tests.person import Page, Person

Flag = AuthenticatorData.FLAG
SECURITY = "/account/security"
_SECRET = re.compile(r'id="secret">([A-Z2-7 ]+)<')
_CODE = re.compile(r">([a-z2-7]{4}(?:-[a-z2-7]{4}){3})<")
_OPTIONS = re.compile(r'data-options="([^"]+)"')


@dataclass
class Device:
    """A telephone or laptop that holds one passkey. What it says of itself can be set to be wrong."""

    origin: str = ISSUER
    rp_id: str = ""
    is_verified: bool = True
    is_cross_origin: bool = False
    sign_count: int = 0
    user_handle: bytes = b""
    credential_id: bytes = field(default_factory=lambda: os.urandom(16))
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def make(self, options: dict[str, Any]) -> str:
        """A new passkey for what a page asks."""
        self.user_handle = websafe_decode(options["user"]["id"])
        public_key = ES256.from_cryptography_key(self.key.public_key())  # type: ignore[no-untyped-call]  # the library has no types here
        credential = AttestedCredentialData.create(Aaguid.NONE, self.credential_id, public_key)
        data = self._data(options["rp"]["id"], Flag.AT, credential)
        response = {
            "clientDataJSON": websafe_encode(self._client_data("webauthn.create", options)),
            "attestationObject": websafe_encode(AttestationObject.create("none", data, {})),
        }
        return self._write(response)

    def sign(self, options: dict[str, Any]) -> str:
        """The passkey's answer to what a page asks."""
        data = self._data(options["rpId"])
        client_data = self._client_data("webauthn.get", options)
        response = {
            "clientDataJSON": websafe_encode(client_data),
            "authenticatorData": websafe_encode(data),
            "signature": websafe_encode(self.key.sign(data + client_data.hash, ec.ECDSA(SHA256()))),
            "userHandle": websafe_encode(self.user_handle),
        }
        return self._write(response)

    def _data(self, rp_id: str, flags: Flag = Flag(0), credential: bytes = b"") -> AuthenticatorData:  # noqa: B008
        flags = flags | Flag.UP | Flag.BE | Flag.BS | (Flag.UV if self.is_verified else Flag(0))
        return AuthenticatorData.create(sha256((self.rp_id or rp_id).encode()), flags, self.sign_count, credential)

    def _client_data(self, kind: str, options: dict[str, Any]) -> CollectedClientData:
        return CollectedClientData.create(kind, options["challenge"], self.origin, cross_origin=self.is_cross_origin)

    def _write(self, response: dict[str, str]) -> str:
        name = websafe_encode(self.credential_id)
        return json.dumps({"id": name, "rawId": name, "type": "public-key", "response": response})


def options_of(page: Page) -> dict[str, Any]:
    """What the page's script is told to ask the browser for."""
    found = _OPTIONS.search(page.html)
    assert found is not None, page.text
    options: dict[str, Any] = json.loads(html.unescape(found[1]))
    return options


def form_of(page: Page, path: str, **fields: str) -> dict[str, str]:
    """The form of a page that goes to `path`, and holds these fields."""
    for form in page.forms:
        if form["action"].endswith(path) and fields.items() <= form.items():
            return form
    raise AssertionError(f"no form to {path}: {page.text}")


async def add_passkey(person: Person, device: Device, name: str = "Telephone") -> Page:
    """Add a passkey on the page for that, as somebody who just signed in."""
    page = await person.open(SECURITY)
    form = form_of(page, "/passkeys/add")
    return await person.submit(page, form, name=name, answer=device.make(options_of(page)))


async def use_passkey(person: Person, device: Device, page: Page | None = None) -> Page:
    """Sign in with a passkey."""
    page = page or await person.open("/login")
    return await person.submit(page, form_of(page, "/login/passkey"), answer=device.sign(options_of(page)))


@dataclass
class App:
    """An authenticator app with one account in it, and the recovery codes that were shown with it."""

    secret: str
    codes: list[str]

    def code(self, door: Door, *, periods: int = 0) -> str:
        """What the app shows now, or some half minutes away."""
        return pyotp.TOTP(self.secret).generate_otp(door.clock() // 30_000 + periods)


async def start_app(person: Person) -> tuple[Page, str]:
    """The page with the picture, and the secret in it."""
    page = await person.open(SECURITY)
    page = await person.submit(page, form_of(page, "/account/security/authenticator"))
    return page, read_app(page).secret


def read_app(page: Page) -> App:
    """An app that scanned the picture of the page."""
    found = _SECRET.search(page.html)
    assert found is not None, page.text
    return App(found[1].replace(" ", ""), [])


async def add_app(door: Door, person: Person) -> App:
    """Set up an authenticator app; afterwards its next code is due."""
    page, secret = await start_app(person)
    app = App(secret, [])
    page = await person.submit(page, code=app.code(door))
    app.codes = _CODE.findall(page.html)
    assert len(app.codes) == 10, page.text
    door.clock.advance(seconds=30)
    return app
