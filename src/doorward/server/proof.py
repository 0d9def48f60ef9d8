"""Proofs of possession at our own endpoints: read before anything else, spent with what they were sent for.

Spec: RFC 9449 §4.3, §5, §8, §11.1 (DPOP-01 … DPOP-10)
"""

from doorward.asgi import Request, Response
from doorward.core.models import Refused
from doorward.core.secrets import hash_secret
from doorward.oauth.dpop import DpopProof, InvalidProof, build_nonce, is_current_nonce, verify_proof
from doorward.oauth.errors import INVALID_DPOP_PROOF, USE_DPOP_NONCE, OAuthError
from doorward.oauth.ids import ProjectId
from doorward.storage.database import Transaction
from doorward.storage.spent_ids import claim_id

from .context import Context
from .tenancy import ProjectView

NONCE_HEADER = "dpop-nonce"


def read_proof(context: Context, view: ProjectView, request: Request) -> DpopProof | None:
    """The proof that a request carries, if any. Raises `invalid_dpop_proof` and `use_dpop_nonce`.

    Where the project asks for nonces, a proof without a current one is answered with one, and is never good: it may
    have been made long ahead (DPOP-10).
    """
    headers = request.headers("dpop")
    if not headers:
        return None
    now = request.now // 1000
    try:
        proof = verify_proof(headers, method=request.method, url=f"{view.issuer}{request.path}", now=now)
    except InvalidProof as refusal:
        raise OAuthError(INVALID_DPOP_PROOF, str(refusal)) from None
    if view.project.settings.dpop_nonces and not is_current_nonce(context.form_key, proof.nonce, now):
        nonce = build_nonce(context.form_key, now)
        raise OAuthError(USE_DPOP_NONCE, "Send the nonce of this answer in the proof.", headers={NONCE_HEADER: nonce})
    return proof


async def spend_proof(tx: Transaction, project_id: ProjectId, proof: DpopProof) -> Refused | None:
    """Spend a proof in the transaction of what it was sent for; a refusal when it was spent before (T35).

    It is remembered for as long as it could be accepted, whatever happens to the request, and nothing is pushed out.
    """
    space, expires_at = f"dpop:{proof.jkt}", proof.replay_until * 1000
    if await claim_id(tx, project_id, space, hash_secret(proof.jti), expires_at):
        return None
    return Refused(OAuthError(INVALID_DPOP_PROOF, "The proof was used before; make a fresh one for each request."))


def give_nonce(context: Context, view: ProjectView, response: Response, *, now: int) -> None:
    """Tell a client that proves its key the nonce of its next proof. Spec: RFC 9449 §8.2"""
    if view.project.settings.dpop_nonces:
        response.set(NONCE_HEADER, build_nonce(context.form_key, now // 1000))
