"""Providers of OpenID Connect: metadata, code exchange, and the ID token that says who it is.

Addresses and keys are those of the metadata of exactly the issuer that an operator wrote down; everything goes through
the guard. What the provider's tokens open stays here: they are used for one question at most, and kept nowhere.

Spec: OpenID Connect Core 1.0 §3.1.3, §5.3; RFC 6749 §2.3.1 (PXY-07; T33, T37)
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote_plus

from doorward.core.upstream import UpstreamIdentity, UpstreamProvider
from doorward.fetch import Fetched, FetchFailed, FetchRefused
from doorward.oauth.errors import OAuthError
from doorward.oauth.id_tokens import Claims, check_id_token, read_claims, read_id_token
from doorward.oauth.jwt import InvalidToken, verify_with_any
from doorward.oauth.provider_metadata import InvalidProvider, ProviderMetadata, parse_provider_metadata, well_known_url
from doorward.server.context import Context
from doorward.server.document_source import DocumentUnavailable
from doorward.server.published_keys import find_published_keys

from .failing import MAX_ANSWER_BYTES, ProviderFailed, name_error, parse_answer


@dataclass(frozen=True, slots=True, repr=False)
class Answered:
    """A code that came back, with all that is needed to exchange it. Nothing ever shows it."""

    provider: UpstreamProvider
    secret: str
    code: str
    verifier: str
    nonce: str
    redirect_uri: str
    now: int


async def find_metadata(context: Context, provider: UpstreamProvider) -> ProviderMetadata:
    """What the provider publishes, fresh or as fresh as it can be had. Raises `ProviderFailed`."""
    url = well_known_url(provider.issuer)
    try:
        document = await context.providers.documents.get(url)
    except DocumentUnavailable as unavailable:
        raise ProviderFailed(f"its metadata cannot be had: {unavailable}", is_away=True) from None
    try:
        return parse_provider_metadata(parse_answer(document.body, "its metadata"), issuer=provider.issuer)
    except (InvalidProvider, ProviderFailed) as invalid:
        context.providers.documents.forget(url)
        raise ProviderFailed(f"its metadata is not usable: {invalid}") from None


async def identify(context: Context, answered: Answered) -> UpstreamIdentity:
    """Who the provider says it is, once its signature and every claim hold. Raises `ProviderFailed`."""
    provider = answered.provider
    metadata = await find_metadata(context, provider)
    tokens = await _exchange(context, metadata, answered)
    try:
        claims = await _verify(context, metadata, answered, tokens)
        if not claims.email and "email" in provider.scopes and metadata.userinfo_endpoint:
            claims = await _ask_for_more(context, metadata.userinfo_endpoint, claims, tokens)
    except InvalidToken as invalid:
        raise ProviderFailed(f"its answer does not hold: {invalid}") from None
    proven = claims.email if claims.is_email_proven else None
    return UpstreamIdentity(claims.issuer, claims.subject, proven, claims.name, "" if proven else claims.email)


async def _exchange(context: Context, metadata: ProviderMetadata, answered: Answered) -> dict[str, Any]:
    fields = {
        "grant_type": "authorization_code",
        "code": answered.code,
        "redirect_uri": answered.redirect_uri,
        "code_verifier": answered.verifier,
    }
    authorization = ""
    client_id, secret = answered.provider.client_id, answered.secret
    if metadata.posts_secret:
        fields |= {"client_id": client_id, "client_secret": secret}
    else:
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        authorization = f"Basic {b64encode(pair.encode()).decode()}"
    return await post_for_tokens(context, metadata.token_endpoint, fields, authorization=authorization)


async def post_for_tokens(
    context: Context, url: str, fields: Mapping[str, str], *, authorization: str = ""
) -> dict[str, Any]:
    """The members of a token answer; the request is sent once. Raises `ProviderFailed`."""
    try:
        fetched = await context.providers.fetcher.post_form(
            url, fields, max_bytes=MAX_ANSWER_BYTES, authorization=authorization
        )
    except (FetchRefused, FetchFailed) as failed:
        raise ProviderFailed(f"its token endpoint: {failed}", is_away=True) from None
    members = parse_answer(fetched.body, f"its token endpoint ({fetched.status})")
    if fetched.status != 200 or not isinstance(members, dict) or "error" in members:
        error = name_error(members.get("error") if isinstance(members, dict) else None)
        raise ProviderFailed(f"its token endpoint answered {fetched.status}: {error}")
    return members


async def get_as_bearer(context: Context, url: str, tokens: Mapping[str, Any], *, accept: str) -> object:
    """What an endpoint of the provider says with the access token it just gave. Raises `ProviderFailed`."""
    token = tokens.get("access_token")
    if not isinstance(token, str) or not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ProviderFailed("its token endpoint gave no access token")
    try:
        fetched: Fetched = await context.providers.fetcher.get(
            url, max_bytes=MAX_ANSWER_BYTES, accept=accept, authorization=f"Bearer {token}"
        )
    except (FetchRefused, FetchFailed) as failed:
        raise ProviderFailed(f"what it knows of the person cannot be had: {failed}", is_away=True) from None
    if fetched.status != 200:
        raise ProviderFailed(f"what it knows of the person was answered with {fetched.status}")
    return parse_answer(fetched.body, "what it knows of the person")


async def _verify(
    context: Context, metadata: ProviderMetadata, answered: Answered, tokens: Mapping[str, Any]
) -> Claims:
    token = tokens.get("id_token")
    if not isinstance(token, str):
        raise InvalidToken("there is no ID token in it")
    kid = read_id_token(token)
    try:
        keys = await find_published_keys(context, None, metadata.jwks_uri, kid, documents=context.providers.documents)
    except OAuthError as unavailable:
        raise ProviderFailed(f"its keys cannot be had: {unavailable.description}", is_away=True) from None
    verified = verify_with_any(token, keys, kid)
    provider = answered.provider
    return check_id_token(
        verified,
        issuer=provider.issuer,
        client_id=provider.client_id,
        nonce=answered.nonce,
        now=answered.now // 1000,
    )


async def _ask_for_more(context: Context, url: str, claims: Claims, tokens: Mapping[str, Any]) -> Claims:
    """The claims with address and name of the userinfo endpoint, which must be about the same person.

    Spec: OpenID Connect Core 1.0 §5.3.2
    """
    members = await get_as_bearer(context, url, tokens, accept="application/json")
    if not isinstance(members, dict):
        raise InvalidToken("its userinfo is not an object")
    more = read_claims(members, claims.issuer)
    if more.subject != claims.subject:
        raise InvalidToken("its userinfo is about somebody else")
    return replace(claims, email=more.email, is_email_proven=more.is_email_proven, name=claims.name or more.name)
