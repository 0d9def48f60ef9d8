# ruff: noqa: N818  # they name what happened, in the words of the RFCs
"""What can keep a client out, each with a name of its own. No message ever holds a secret, a code or a token."""

from doorward.oauth.errors import printable


class ClientError(Exception):
    """The client did not get in; the message says why and what to do, for the person who runs it."""


class AddressRefused(ClientError):
    """An address that must not be contacted, or not be opened in a browser. Nothing was. Spec: CLI-05, AUTHZ-16, T11"""


class AnswerRefused(ClientError):
    """An answer that is too large, too slow, redirected elsewhere or not what was asked for. Spec: T8"""


class Unreachable(AnswerRefused):
    """There was no whole answer at all: no connection, none in time, or it broke. Another try may get one."""


class RedirectRefused(AnswerRefused):
    """The answer sends on to somewhere else, and was not followed: what was asked for is not there. Spec: T8"""


class DiscoveryFailed(ClientError):
    """The server's protection could not be understood: no usable metadata was found."""


class ResourceMismatch(DiscoveryFailed):
    """The metadata describes another resource than the server it was asked of. Spec: RFC 9728 §3.3 (PRM-17)"""


class IssuerMismatch(DiscoveryFailed):
    """The metadata names another issuer than it was asked of. Spec: RFC 8414 §3.3 (ASM-20)"""


class PkceUnsupported(DiscoveryFailed):
    """The authorization server does not say that it supports PKCE with S256. Spec: ASM-21"""


class IssuerChanged(ClientError):
    """Credentials given for one issuer would go to another. They did not. Spec: CRED-02, CRED-04, T7"""


class RegistrationFailed(ClientError):
    """The authorization server refused to register this client. Spec: DCR-17"""


class RegistrationNeeded(RegistrationFailed):
    """There is no way to register here without a person: a client id has to be given. Spec: REG-02"""


class LoginRequired(ClientError):
    """A person has to sign in, and nobody can be asked here."""


class AuthorizationFailed(ClientError):
    """The authorization did not succeed; `code` is the error code of the answer, empty where there was none."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = printable(code)


class AccessDenied(AuthorizationFailed):
    """The person, or a policy, said no."""


class StateMismatch(AuthorizationFailed):
    """An answer to a request that this client did not make. Spec: AUTHZ-17, T36"""


class CallbackIssuerMismatch(AuthorizationFailed):
    """An answer of another issuer than the one that was asked, or one that does not say. Spec: ISS-05, RFC 9207"""


class TokenRequestFailed(ClientError):
    """The token endpoint refused. `code` is its error code, `status` its HTTP status (0: it could not be reached)."""

    def __init__(self, message: str, *, code: str = "", status: int = 0) -> None:
        super().__init__(message)
        self.code = printable(code)
        self.status = status


class StepUpFailed(ClientError):
    """More scopes were needed, and asking for them did not help. Spec: STEP-07"""


class StoreUnavailable(ClientError):
    """What was kept cannot be read, or cannot be kept safely; the message names the file or keyring."""


class ServerUnreachable(ClientError):
    """The MCP server did not answer: nothing listens, the connection broke, or it took too long to open one."""


class ServerRefused(ClientError):
    """The MCP server answered with an HTTP error and no message of MCP; `status` says which."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status
