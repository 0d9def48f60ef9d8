"""Every setting, once: defaults < TOML file < environment < command line, in one frozen value made at start.

`DOORWARD_SECTION__NAME` names a setting in the environment (`DOORWARD_ISSUER`, `DOORWARD_LOG__LEVEL`); a secret may
be given as a file by adding `_FILE`. `DOORWARD_CONFIG` names the TOML file. An unsafe or unknown setting stops the
start and is named (exit code 78).
"""

import ipaddress
import json
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from doorward.oauth.redirects import LOOPBACK_HOSTS

EX_CONFIG = 78
"""Exit code of a refused configuration (sysexits.h)."""
MIN_PASSWORD_LENGTH = 15

_PREFIX = "DOORWARD_"
_SECRETS = frozenset({"admin_password", "master_key"})
_NOT_SETTINGS = frozenset({"DOORWARD_CONFIG", "DOORWARD_CLIENT_HOME"})
# urlsplit forgives blanks, line ends and quotes; an issuer is compared and sent as the string it is.
_ORIGIN = re.compile(r"https?://(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")


class UnsafeConfiguration(Exception):  # noqa: N818  # names what is wrong, and stops the start
    """A setting that must not be started with: its name, and what to change."""

    def __init__(self, setting: str, message: str) -> None:
        super().__init__(f"{setting}: {message}")
        self.setting = setting


class LogSettings(BaseModel):
    """How the server reports."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severity that is logged.")
    format: Literal["console", "json"] = Field("console", description="Lines for people, or JSON for machines.")


class DocumentSettings(BaseModel):
    """How metadata documents of clients are fetched."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_cidrs: tuple[str, ...] = Field(
        (),
        description="Networks that documents may come from although they are not public (JSON list); for development.",
    )
    ca_file: str = Field("", description="File of an extra certificate authority for fetching documents.")
    proxy: str = Field("", description="Egress proxy for fetching documents, such as http://proxy.example.com:3128.")
    max_bytes: int = Field(5120, ge=1024, le=65536, description="Largest document that is read, in bytes.")

    @field_validator("allow_cidrs", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return split_list(value)


class UpstreamSettings(BaseModel):
    """How identity providers that people sign in by are reached."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    allow_cidrs: tuple[str, ...] = Field(
        (), description="Networks that identity providers may be in although they are not public (JSON list)."
    )
    ca_file: str = Field("", description="File of an extra certificate authority for identity providers.")

    @field_validator("allow_cidrs", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return split_list(value)


class Settings(BaseModel):
    """The configuration of one server process."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    data: Path = Field(Path("doorward-data"), description="Folder of the database and the master key; mode 0700.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8400, ge=1, le=65535, description="Port to listen on.")
    issuer: str = Field(
        "", description="The server's public URL, without trailing slash. Empty: http on the host and port listened on."
    )
    trusted_proxies: tuple[str, ...] = Field(
        (), description="Addresses or networks (comma separated) whose X-Forwarded-For is believed."
    )
    admin_email: str = Field("", description="First administrator, made at the first start instead of a set-up link.")
    admin_password: str = Field("", repr=False, description="Password of that administrator; prefer the _FILE form.")
    master_key: str = Field(
        "",
        repr=False,
        description="64 hex digits that encrypt private keys at rest; while they are changed several, comma separated, "
        "the newest first. Empty: a file in the data folder.",
    )
    log: LogSettings = Field(LogSettings(), description="How the server reports.")
    cimd: DocumentSettings = Field(DocumentSettings(), description="How metadata documents of clients are fetched.")
    upstream: UpstreamSettings = Field(
        UpstreamSettings(), description="How identity providers that people sign in by are reached."
    )

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _split_list(cls, value: Any) -> Any:
        return split_list(value)

    @property
    def public_url(self) -> str:
        """Where people and clients reach the server, the issuer of the default project. No trailing slash."""
        if self.issuer:
            return self.issuer
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def is_secure(self) -> bool:
        """Whether people reach the server by https, so that cookies are marked Secure."""
        return self.public_url.startswith("https://")

    @property
    def database_path(self) -> Path:
        return self.data / "doorward.db"


def load_settings(options: Mapping[str, Any] | None = None, environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the configuration and refuse an unsafe one. Raises `UnsafeConfiguration` naming the setting.

    `options` are those of the command line; None means not given.
    """
    layers = _read_toml(environ.get("DOORWARD_CONFIG"))
    _merge(layers, _read_environment(environ))
    layers.update({name: value for name, value in (options or {}).items() if value is not None})
    try:
        settings = Settings.model_validate(layers)
    except ValidationError as error:
        problem = error.errors(include_url=False, include_input=False)[0]
        name = "__".join(str(part) for part in problem["loc"]).upper()
        message = "there is no such setting" if problem["type"] == "extra_forbidden" else problem["msg"]
        raise UnsafeConfiguration(f"{_PREFIX}{name}", message) from None
    _check_issuer(settings)
    _check_admin(settings)
    _check_master_key(settings)
    _check_proxies(settings)
    return settings


def split_list(value: Any) -> Any:
    """A list as the environment spells it: JSON, or separated by commas."""
    if not isinstance(value, str):
        return value
    return json.loads(value) if value.startswith("[") else [part.strip() for part in value.split(",") if part.strip()]


def is_loopback_host(host: str) -> bool:
    """Whether a host name or address means this machine."""
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_issuer(settings: Settings) -> None:
    """Spec: AUTHZ-19, ASM-02, choice C18"""
    name = f"{_PREFIX}ISSUER"
    try:
        parts = urlsplit(settings.public_url)
        parts.port  # noqa: B018  # raises for ports that are not numbers
    except ValueError:
        raise UnsafeConfiguration(name, "is not a valid URL") from None
    if not settings.public_url.startswith(("http://", "https://")) or not parts.hostname:
        raise UnsafeConfiguration(name, "must be an absolute https URL such as https://auth.example.com")
    if parts.path or parts.query or parts.fragment or "@" in parts.netloc or settings.public_url.endswith(("?", "#")):
        raise UnsafeConfiguration(name, "must be a bare origin: no path, trailing slash, query, fragment or user")
    if not _ORIGIN.fullmatch(settings.public_url):
        raise UnsafeConfiguration(name, "is not a valid URL")
    if parts.scheme == "http" and not is_loopback_host(parts.hostname):
        hint = " (set it when listening on a public address)" if not settings.issuer else ""
        raise UnsafeConfiguration(name, f"must be https unless it is this machine{hint}")
    if parts.scheme == "http" and not is_loopback_host(settings.host):
        raise UnsafeConfiguration(f"{_PREFIX}HOST", "a public address needs an https DOORWARD_ISSUER")


def _check_admin(settings: Settings) -> None:
    if bool(settings.admin_email) != bool(settings.admin_password):
        missing = "ADMIN_PASSWORD_FILE" if settings.admin_email else "ADMIN_EMAIL"
        raise UnsafeConfiguration(f"{_PREFIX}{missing}", "give the first administrator's e-mail and password together")
    if settings.admin_password and len(settings.admin_password) < MIN_PASSWORD_LENGTH:
        raise UnsafeConfiguration(
            f"{_PREFIX}ADMIN_PASSWORD", f"must have at least {MIN_PASSWORD_LENGTH} characters; a sentence is fine"
        )


def _check_master_key(settings: Settings) -> None:
    if not settings.master_key:
        return
    for text in re.split(r"[\s,]+", settings.master_key.strip()):
        try:
            key = bytes.fromhex(text)
        except ValueError:
            key = b""
        if len(key) != 32 or len(set(key)) < 8:
            raise UnsafeConfiguration(f"{_PREFIX}MASTER_KEY", "must be 64 random hex digits (openssl rand -hex 32)")


def _check_proxies(settings: Settings) -> None:
    for name, networks in (
        ("TRUSTED_PROXIES", settings.trusted_proxies),
        ("CIMD__ALLOW_CIDRS", settings.cimd.allow_cidrs),
        ("UPSTREAM__ALLOW_CIDRS", settings.upstream.allow_cidrs),
    ):
        for network in networks:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise UnsafeConfiguration(f"{_PREFIX}{name}", "must be IP addresses or networks") from None
    for name, file in (("CIMD__CA_FILE", settings.cimd.ca_file), ("UPSTREAM__CA_FILE", settings.upstream.ca_file)):
        if file and not Path(file).is_file():
            raise UnsafeConfiguration(f"{_PREFIX}{name}", "is not a file")


def _read_toml(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    try:
        return tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UnsafeConfiguration("DOORWARD_CONFIG", f"cannot be read: {error}") from None


def _read_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for variable, text in environ.items():
        if not variable.startswith(_PREFIX) or variable in _NOT_SETTINGS:
            continue
        name = variable.removeprefix(_PREFIX).lower()
        secret = name.removesuffix("_file")
        if secret in _SECRETS and name != secret:
            name, text = secret, _read_secret(variable, text)  # noqa: PLW2901  # the file stands for the value
        section, separator, rest = name.partition("__")
        if not separator:
            values[name] = text
        elif isinstance(values.setdefault(section, {}), dict):
            values[section][rest] = text
    return values


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnsafeConfiguration(variable, f"cannot be read: {error}") from None


def _merge(base: dict[str, Any], over: dict[str, Any]) -> None:
    """Lay `over` on `base`, section by section."""
    for name, value in over.items():
        if isinstance(value, dict) and isinstance(base.get(name), dict):
            base[name].update(value)
        else:
            base[name] = value
