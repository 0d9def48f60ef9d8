"""What the doctor has to say of each broken server: the checks that fail, and the clients that do not get in.

Who is hurt follows from what was recorded of a client or read in its source. Where a habit is not known, a client is
taken to do what the specification says.
"""

from dataclasses import dataclass


def _ids(words: str) -> frozenset[str]:
    return frozenset(words.split())


PLAYED = _ids(
    """
    claude-ai claude-code chatgpt vscode cursor codex-cli mcp-inspector-2 mcp-remote python-sdk-2 fastmcp-client-4
    typescript-sdk-1 typescript-sdk-2 ai-sdk-mcp mcporter opencode gemini-cli zed rmcp-3 goose q-cli-kiro-cli
    copilot-cli cline raycast warp lm-studio use-mcp csharp-sdk go-sdk ruby-sdk swift-sdk spring-mcp-security
    """
)
_COMPARE_ISS = _ids(
    """
    python-sdk-2 fastmcp-client-4 typescript-sdk-2 mcp-remote mcp-inspector-2 codex-cli claude-code gemini-cli chatgpt
    rmcp-3 goose csharp-sdk go-sdk ruby-sdk
    """
)
_USE_DOCUMENTS = _ids("claude-ai claude-code chatgpt vscode codex-cli zed goose copilot-cli")
_ASK_FOR_OFFLINE_ACCESS = _ids(
    """
    claude-ai claude-code codex-cli python-sdk-2 fastmcp-client-4 mcp-remote mcp-inspector-2 opencode gemini-cli rmcp-3
    goose q-cli-kiro-cli warp csharp-sdk ruby-sdk
    """
)
_START_OVER_AFTER_ANY_ERROR = _ids("python-sdk-2 fastmcp-client-4 gemini-cli")
_READ_NO_RESOURCE_METADATA = frozenset({"raycast"})


@dataclass(frozen=True, slots=True)
class Expected:
    """Of one fault; `complaint` is its number in the list of what people report."""

    complaint: int
    checks: frozenset[str]
    hurts: frozenset[str]
    lets_in: frozenset[str] = frozenset()
    """Which of those get in all the same, and are warned of what comes later or what they have to go around."""


def _expect(
    complaint: int, checks: str, hurts: frozenset[str] | str, lets_in: frozenset[str] = frozenset()
) -> Expected:
    return Expected(complaint, _ids(checks), _ids(hurts) if isinstance(hurts, str) else hurts, lets_in)


EXPECTED = {
    # `resource` of the document is the server's URL and a slash; Python's SDK forgives it.
    "resource-slash": _expect(
        5, "resource-equals-url", PLAYED - {"python-sdk-2", "fastmcp-client-4"} - _READ_NO_RESOURCE_METADATA
    ),
    # `resource` is another server's URL. Who does not compare asks for a token for it, and is told invalid_target.
    "resource-elsewhere": _expect(5, "resource-equals-url", PLAYED - _READ_NO_RESOURCE_METADATA),
    # A proxy forwards its prefix alone, and the documents are behind it. The challenge names their address, and most
    # clients find them; who asks at the well-known addresses of the origin does not.
    "metadata-behind-prefix": _expect(6, "resource-metadata-path legacy-metadata", "claude-code raycast"),
    # Behind TLS, and the endpoints in the issuer's metadata are http.
    "http-endpoints": _expect(6, "endpoints-https", PLAYED),
    # The flag of CIMD, and no public clients: who checks both registers instead, ChatGPT proves itself by its keys.
    "documents-without-none": _expect(8, "documents-need-none", "claude-code vscode zed goose copilot-cli"),
    # The flag of CIMD, and a page that knows none of them, because their documents cannot be fetched from there.
    "documents-not-fetched": _expect(9, "document-accepted", _USE_DOCUMENTS),
    # A document names http://127.0.0.1/callback and the request has a port.
    "loopback-port-exact": _expect(10, "loopback-port", "claude-code codex-cli zed goose copilot-cli"),
    # The same for `localhost` alone, as RFC 8252 is read by some.
    "localhost-port-exact": _expect(10, "loopback-port", "claude-code"),
    # One redirect URI of three has a scheme of its own, and the whole registration is refused.
    "private-scheme-refused": _expect(11, "private-schemes", "cursor raycast warp"),
    # `offline_access` is in the issuer's scopes, and whoever asks for it is told invalid_scope.
    "offline-access-refused": _expect(13, "offline-access", _ASK_FOR_OFFLINE_ACCESS),
    # No CORS where a page's script has to read: the challenge and both documents. The Inspector has a proxy of its own.
    "no-cors": _expect(
        16,
        "cors-challenge cors-resource-metadata cors-issuer-metadata",
        "mcp-inspector-2 use-mcp",
        _ids("mcp-inspector-2"),
    ),
    # `iss` is promised in the metadata, and no answer has it.
    "iss-missing": _expect(34, "iss-sent", _COMPARE_ISS),
    # `iss` is another issuer's.
    "iss-wrong": _expect(34, "iss-sent", _COMPARE_ISS),
    # Whatever is wrong at the token endpoint is a page of HTML, status 500: clients get in once, and no client knows
    # whether to start over when its token ends.
    "opaque-token-errors": _expect(
        36, "token-errors", PLAYED - _START_OVER_AFTER_ANY_ERROR, PLAYED - _START_OVER_AFTER_ANY_ERROR
    ),
}
