"""What the doctor has to say of each broken server: the checks that fail, and the clients that do not get in.

`PLAYED` are the clients of the issue and those that were recorded; the profiles have more. Who is hurt follows from
what was recorded of a client or read in its source, and from nothing else: of ChatGPT it is not known whether it compares
`resource`, so a document with one slash too many is not said to stop it.
"""

from dataclasses import dataclass

PLAYED = frozenset(
    {
        "claude-ai",
        "claude-code",
        "chatgpt",
        "vscode",
        "cursor",
        "codex-cli",
        "mcp-inspector-2",
        "mcp-remote",
        "python-sdk-2",
        "fastmcp-client-4",
        "typescript-sdk-1",
        "typescript-sdk-2",
        "ai-sdk-mcp",
        "mcporter",
        "opencode",
        "gemini-cli",
    }
)
_COMPARE_ISS = frozenset(
    {
        "python-sdk-2",
        "fastmcp-client-4",
        "typescript-sdk-2",
        "mcp-remote",
        "mcp-inspector-2",
        "codex-cli",
        "claude-code",
        "gemini-cli",
        "chatgpt",
    }
)
_USE_DOCUMENTS = frozenset({"claude-ai", "claude-code", "chatgpt", "vscode", "codex-cli"})
_ASK_FOR_OFFLINE_ACCESS = frozenset(
    {
        "claude-ai",
        "claude-code",
        "codex-cli",
        "python-sdk-2",
        "fastmcp-client-4",
        "mcp-remote",
        "mcp-inspector-2",
        "opencode",
        "gemini-cli",
    }
)
_START_OVER_AFTER_ANY_ERROR = frozenset({"python-sdk-2", "fastmcp-client-4", "gemini-cli"})


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one fault. `complaint` numbers what people report. `needs_login`: it shows to who goes through a login only."""

    complaint: int
    checks: frozenset[str]
    hurts: frozenset[str]
    needs_login: bool = False


def _expect(complaint: int, checks: str, hurts: frozenset[str] | set[str]) -> Expected:
    return Expected(complaint, frozenset(checks.split()), frozenset(hurts))


EXPECTED = {
    # `resource` of the document is the server's URL and a slash.
    "resource-slash": _expect(5, "resource-equals-url", PLAYED - {"python-sdk-2", "fastmcp-client-4", "chatgpt"}),
    # `resource` is another server's URL. Who does not compare asks for a token for it, and is told invalid_target.
    "resource-elsewhere": _expect(5, "resource-equals-url", PLAYED),
    # A proxy's prefix is before `/.well-known/`; the challenge names that address, so that most clients find it.
    "metadata-behind-prefix": _expect(6, "resource-metadata-path", {"claude-code"}),
    # Behind TLS, and the endpoints in the issuer's metadata are http.
    "http-endpoints": _expect(6, "endpoints-https", PLAYED),
    # The flag of CIMD, and no public clients: who checks both registers instead, ChatGPT proves itself by its keys.
    "documents-without-none": _expect(8, "documents-need-none", {"claude-code", "vscode"}),
    # The flag of CIMD, and a page that knows none of them, because their documents cannot be fetched from there.
    "documents-not-fetched": _expect(9, "document-accepted", _USE_DOCUMENTS),
    # A document names http://127.0.0.1/callback and the request has a port.
    "loopback-port-exact": _expect(10, "loopback-port", {"claude-code", "codex-cli"}),
    # The same for `localhost` alone, as RFC 8252 is read by some.
    "localhost-port-exact": _expect(10, "loopback-port", {"claude-code"}),
    # One redirect URI of three has a scheme of its own, and the whole registration is refused.
    "private-scheme-refused": _expect(11, "private-schemes", {"cursor"}),
    # `offline_access` is in the issuer's scopes, and whoever asks for it is told invalid_scope.
    "offline-access-refused": _expect(13, "offline-access", _ASK_FOR_OFFLINE_ACCESS),
    # No CORS where a page's script has to read: its challenge and both documents.
    "no-cors": _expect(16, "cors-challenge cors-resource-metadata cors-issuer-metadata", {"mcp-inspector-2"}),
    # `iss` is promised in the metadata, and no answer has it.
    "iss-missing": _expect(34, "iss-sent", _COMPARE_ISS),
    # `iss` is another issuer's.
    "iss-wrong": _expect(34, "iss-sent", _COMPARE_ISS),
    # Whatever is wrong at the token endpoint is a page of HTML, status 500: no client knows whether to start over.
    "opaque-token-errors": _expect(36, "token-errors", PLAYED - _START_OVER_AFTER_ANY_ERROR - {"chatgpt"}),
}
