"""The device code grant: a device asks, again and again, whether its person has decided.

Asking too early makes it wait longer for good; what was decided is told however early it asks. The code works for the
client that it was given to, once: of many questions at once one gets the tokens.

Spec: RFC 8628 §3.4, §3.5 (DEV-06, DEV-07); T42
"""

from dataclasses import dataclass

from doorward.core import audit
from doorward.core.models import DEVICE_CODE as DEVICE_GRANT
from doorward.core.models import Authorization, DeviceCode, Grant, Refused, Resource
from doorward.core.policy import check_resource_within
from doorward.core.secrets import DEVICE_CODE, hash_secret, is_well_formed
from doorward.oauth.errors import (
    ACCESS_DENIED,
    AUTHORIZATION_PENDING,
    EXPIRED_TOKEN,
    SLOW_DOWN,
    OAuthError,
    invalid_grant,
)
from doorward.oauth.forms import Form
from doorward.oauth.ids import TokenHash
from doorward.storage.database import Transaction
from doorward.storage.device_codes import consume_device_code, find_device_code, poll_device_code
from doorward.storage.grants import find_live_grant

from .authorization_code import open_connection
from .call import TokenCall

GRANT_TYPE = DEVICE_GRANT


@dataclass(frozen=True, slots=True)
class DeviceCodeRequest:
    """The grant's parameters; an impossible code is carried as None, so that it is refused like an unknown one."""

    device_hash: TokenHash | None
    resources: tuple[str, ...]


def parse(form: Form) -> DeviceCodeRequest:
    """Read the parameters; `scope` was settled when the device asked first."""
    code = form.require("device_code")
    return DeviceCodeRequest(hash_secret(code) if is_well_formed(code, DEVICE_CODE) else None, form.resources)


async def authorize(tx: Transaction, call: TokenCall, request: DeviceCodeRequest) -> Authorization | Refused:
    """Tell the device how things stand, and give it what it was allowed, once."""
    code = await _find_own(tx, call, request)
    if isinstance(code, Refused):
        return code
    if code.used_at is not None:
        return Refused(invalid_grant("the device has had its tokens already"), code.grant_id)
    if call.now >= code.expires_at:
        return Refused(OAuthError(EXPIRED_TOKEN, "The code has run out; ask for a new one."), code.grant_id)
    if code.decision == "denied":
        return Refused(OAuthError(ACCESS_DENIED, "The person declined."))
    if code.decision == "waiting":
        return Refused(await _keep_waiting(tx, call, code))
    judged = await _judge(tx, call, request, code)
    if isinstance(judged, Refused):
        return judged
    grant, resource = judged
    if await consume_device_code(tx, code.project_id, code.device_hash, call.client.client_id, call.now) is None:
        return Refused(invalid_grant("the device asked twice at once, and the other question was answered"))
    return await open_connection(tx, call, grant, resource, audit.DEVICE_CODE_REDEEMED)


async def _find_own(tx: Transaction, call: TokenCall, request: DeviceCodeRequest) -> DeviceCode | Refused:
    """The code, if it was given to this client and, where it is bound to a key, that key was proved. Spec: DEV-07"""
    project_id = call.view.project.project_id
    code = await find_device_code(tx, project_id, request.device_hash) if request.device_hash else None
    if code is None:
        return Refused(invalid_grant("there is no such device code"))
    if code.client_id != call.client.client_id:
        return Refused(invalid_grant("the device code was given to another client"), code.grant_id)
    if code.dpop_jkt is not None and code.dpop_jkt != call.jkt:
        return Refused(invalid_grant("the device code is bound to a key that was not proved"), code.grant_id)
    return code


async def _keep_waiting(tx: Transaction, call: TokenCall, code: DeviceCode) -> OAuthError:
    if await poll_device_code(tx, code.project_id, code.device_hash, code.client_id, call.now):
        return OAuthError(AUTHORIZATION_PENDING, "The person has not decided yet; ask again after the interval.")
    return OAuthError(SLOW_DOWN, "Asked too early: wait 5 seconds longer from now on.")


async def _judge(
    tx: Transaction, call: TokenCall, request: DeviceCodeRequest, code: DeviceCode
) -> tuple[Grant, Resource] | Refused:
    """Everything that can refuse an allowed device without spending its code."""
    grant = await find_live_grant(tx, code.project_id, code.grant_id or "", even_stopped=True)
    resource = call.view.resource(grant.resource_id) if grant else None
    if grant is None or resource is None:
        return Refused(invalid_grant("the connection was ended"), code.grant_id)
    try:
        call.check_time(grant)
        call.check_open(resource)
        check_resource_within(request.resources, resource)
    except OAuthError as error:
        return Refused(error, grant.grant_id)
    return grant, resource
