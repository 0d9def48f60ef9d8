"""What each client does that others do not, and how it shows that we bear with it: by the name of a walk.

Each line is a sentence and what has to hold of everything that was sent and answered. It would not hold, or the walk
would not have got that far, if the server stopped tolerating what the sentence says.
"""

from collections.abc import Callable
from urllib.parse import urlsplit

from tests.registration.field.walk import Walked

Check = tuple[str, Callable[[Walked], bool]]
CODE_GRANTS = ["authorization_code", "refresh_token"]


def _lacks(*names: str) -> Callable[[Walked], bool]:
    """None of these were sent, and the answer says what was registered for each."""
    return lambda w: all(name not in w.sent and w.made.get(name) for name in names)


def _other_port(w: Walked) -> bool:
    registered = {urlsplit(uri).port for uri in w.sent["redirect_uris"]}
    return urlsplit(w.request["redirect_uri"]).port not in registered and "code" in w.answered


def _more_than_held(w: Walked) -> bool:
    asked, held = set(w.forms[-1]["scope"].split()), set(w.tokens[0]["scope"].split())
    return asked > held and set(w.tokens[-1]["scope"].split()) == held


def _names_no_resource(w: Walked) -> bool:
    return "resource" not in w.request and all("resource" not in form for form in w.forms)


def _no_secret_needed(w: Walked) -> bool:
    return "client_secret" not in w.made and len(w.tokens) == 3


def _by_secret(w: Walked) -> bool:
    return w.forms[0]["client_secret"] == w.made["client_secret"]


def _private(scheme: str) -> Callable[[Walked], bool]:
    return lambda w: w.target.startswith(f"{scheme}:") and "code" in w.answered


def _hosted(w: Walked) -> bool:
    return w.made["token_endpoint_auth_method"] == "none" and w.target.startswith("https://")


PECULIAR: dict[str, Check] = {
    "python-sdk-2": ("it never says how it authenticates", _lacks("token_endpoint_auth_method")),
    "python-sdk-2/web": (
        "it sends Basic and its client_id in the body as well, and the resource with a slash",
        lambda w: "client_id" in w.forms[0] and "authorization" in w.headers and w.request["resource"].endswith("/"),
    ),
    "python-sdk-2/post": ("without a scope to ask for, it has no scope member", _lacks("scope")),
    "fastmcp-client-4": (
        "it fetches the authorization URL before the browser does, and a 400 would make it register again",
        lambda w: [look.status for look in w.looks] != [400] and "code" in w.answered,
    ),
    "typescript-sdk-2": (
        "it stops at null, and adds prompt=consent to nothing we ask for",
        lambda w: None not in w.made.values() and None not in w.metadata.values(),
    ),
    "typescript-sdk-2/web": (
        "its Basic credentials are raw, with no client_id in the body",
        lambda w: "client_id" not in w.forms[0] and "authorization" in w.headers,
    ),
    "typescript-sdk-1": ("it asks for no grant types", _lacks("grant_types", "response_types", "application_type")),
    "ai-sdk-mcp": ("nor does the AI SDK", _lacks("grant_types", "token_endpoint_auth_method")),
    "ai-sdk-mcp/web": (
        "it says native whatever its redirect URI is",
        lambda w: w.made["application_type"] == "native" and w.target.startswith("https://"),
    ),
    "mcp-remote": (
        "it registers scopes that exist nowhere, and asks for others later",
        lambda w: set(w.sent["scope"].split()).isdisjoint(w.tokens[0]["scope"].split()),
    ),
    "mcp-remote/older": ("its port was another one when it registered", _other_port),
    "mcporter": ("its state is a UUID, and comes back as it is", lambda w: len(w.answered["state"]) == 36),
    "mcporter/later": ("it comes back on another port", _other_port),
    "mcp-inspector-2": ("its state is 64 characters", lambda w: len(w.answered["state"]) == 64),
    "mcp-inspector-2/web": (
        "its scope may be the empty string",
        lambda w: w.sent["scope"] == "" and w.made["scope"] != "",
    ),
    "codex-cli": ("its refresh asks for more than was granted", _more_than_held),
    "codex-cli/callback": (
        "its document and its redirect URI have a part of their own for each server",
        lambda w: urlsplit(w.made["client_id"]).path.split("/")[3] == urlsplit(w.target).path.split("/")[2],
    ),
    "codex-cli/dcr": ("its refresh asks for more than was granted", _more_than_held),
    "claude-code": ("its document lists loopback without a port", _other_port),
    "claude-code/stored": ("with nothing published it has no scope member", _lacks("scope")),
    "claude-code/configured": ("a configured secret is sent in the body", _by_secret),
    "opencode": ("it says nothing of its type", _lacks("application_type")),
    "gemini-cli": (
        "its refresh asks for less than was granted",
        lambda w: set(w.tokens[-1]["scope"].split()) < set(w.tokens[0]["scope"].split()),
    ),
    "gemini-cli/empty": ("its scope may be the empty string", lambda w: w.sent["scope"] == "" != w.made["scope"]),
    "vscode": (
        "its document lists a grant that we do not have",
        lambda w: any(grant.startswith("urn:") for grant in w.sent["grant_types"]) and len(w.tokens) == 3,
    ),
    "vscode/dcr": (
        "it lists four redirect URIs and a grant that we do not have",
        lambda w: len(w.made["redirect_uris"]) == 4 and w.made["grant_types"] == CODE_GRANTS,
    ),
    "vscode/ephemeral": ("it asks for no scope", lambda w: "scope" not in w.request and w.tokens[0]["scope"] != ""),
    "vscode/shown": (
        "people copy its loopback address without the slash",
        lambda w: not urlsplit(w.request["redirect_uri"]).path and "code" in w.answered,
    ),
    "vscode/hosted": ("its state is a URI", lambda w: w.answered["state"].startswith("vscode://")),
    "zed": ("its document lists 127.0.0.1 without a port", _other_port),
    "zed/dcr": ("it sends no scope", _lacks("scope", "application_type")),
    "zed/older": ("it asked for codes only", lambda w: w.made["grant_types"] == ["authorization_code"]),
    "rmcp-3": (
        "it needs the redirect URIs in the answer",
        lambda w: w.made["redirect_uris"] == w.sent["redirect_uris"],
    ),
    "rmcp-3/1.x": (
        "it names no resource when it refreshes, and asks for a scope it was not granted",
        lambda w: "resource" not in w.forms[-1] and _more_than_held(w),
    ),
    "goose": (
        "its document asks for no refresh token",
        lambda w: w.sent["grant_types"] == ["authorization_code"] and "refresh_token" not in w.tokens[0],
    ),
    "goose/ipv6": ("it listens on IPv6 loopback", lambda w: urlsplit(w.target).hostname == "::1"),
    "csharp-sdk": ("it asks for its secret in the body, native or not", _by_secret),
    "csharp-sdk/pre-registered": (
        "it sends an empty secret where it holds none",
        lambda w: w.forms[0]["client_secret"] == "" and _no_secret_needed(w),
    ),
    "csharp-sdk/document": (
        "it asks for offline_access alone",
        lambda w: w.request["scope"] == "offline_access" and "tools:read" in w.tokens[0]["scope"].split(),
    ),
    "go-sdk": (
        "it tries Basic with an empty secret, and refreshes without a resource",
        lambda w: _no_secret_needed(w) and w.forms[-1].keys() == {"grant_type", "refresh_token"},
    ),
    "mcp-go": (
        "it registers a resource and an empty scope, and sends an empty secret",
        lambda w: "resource" in w.sent and "resource" not in w.made and w.forms[0]["client_secret"] == "",
    ),
    "mcp-go/configured": (
        "it appends its query with a question mark",
        lambda w: "?" not in w.metadata["authorization_endpoint"] and _by_secret(w),
    ),
    "ruby-sdk": ("it sends form-encoded Basic and its client_id", lambda w: "client_id" in w.forms[0]),
    "ruby-sdk/document": (
        "it proves itself by a key and leaves its client_id out",
        lambda w: "client_id" not in w.forms[0] and "client_assertion" in w.forms[0],
    ),
    "swift-sdk": (
        "it sends a scope with the code, and asks for no refresh token",
        lambda w: "scope" in w.forms[0] and w.made["grant_types"] == ["authorization_code"],
    ),
    "swift-sdk/document": (
        "its refresh asks for a scope it was not granted",
        lambda w: "offline_access" in w.forms[-1]["scope"] and len(w.tokens) == 3,
    ),
    "spring-mcp-security": (
        "it takes the first grant and the first redirect URI of the answer",
        lambda w: (
            (w.made["grant_types"][0], w.made["redirect_uris"][0]) == ("authorization_code", w.sent["redirect_uris"][0])
        ),
    ),
    "q-cli-kiro-cli": (
        "its redirect URI has no path, and no scope it knows exists here but offline_access",
        lambda w: not urlsplit(w.target).path and "tools:read" in w.tokens[0]["scope"].split(),
    ),
    "q-cli-kiro-cli/early": (
        "it sends no state, and comes back on another port",
        lambda w: "state" not in w.request and "state" not in w.answered and _other_port(w),
    ),
    "cline": ("it sends no scope", _lacks("scope", "application_type")),
    "cline/next port": ("it takes the next port that is free", _other_port),
    "use-mcp": (
        "it reads the answer of a popup, from another origin",
        lambda w: all(
            not look.header("cross-origin-opener-policy") and not look.header("access-control-allow-origin")
            for look in w.looks
        ),
    ),
    "librechat": (
        "it picks Basic from our list, repeats our response types, and its state can be guessed",
        lambda w: w.sent["token_endpoint_auth_method"] == "client_secret_basic" and ":" in w.answered["state"],
    ),
    "open-webui": (
        "it asks only for the scope of the registration's answer, and has a colon in its path",
        lambda w: w.made["scope"] == w.sent["scope"] and ":" in urlsplit(w.target).path,
    ),
    "n8n": ("it takes the first method of our list", _by_secret),
    "n8n/manual": ("it may name no resource for its tokens", lambda w: all("resource" not in form for form in w.forms)),
    "claude-ai": (
        "its document lists a grant that we do not have",
        lambda w: any(grant.endswith("jwt-bearer") for grant in w.sent["grant_types"]) and len(w.tokens) == 3,
    ),
    "claude-ai/dcr": ("it is hosted and holds no secret", _hosted),
    "claude-ai/static": ("it may come back to its other host", lambda w: urlsplit(w.target).netloc == "claude.com"),
    "chatgpt": (
        "its document names keys first, and it may come without one",
        lambda w: w.sent["token_endpoint_auth_method"] == "private_key_jwt" and _no_secret_needed(w),
    ),
    "chatgpt/key": ("it proves itself by its key as well", lambda w: "client_assertion" in w.forms[0]),
    "chatgpt/dcr": ("each connection has a path of its own", _hosted),
    "cursor": (
        "it lists an app's link, a web address and loopback at once, and says nothing of its type",
        lambda w: len(w.made["redirect_uris"]) == 3 and "application_type" not in w.sent,
    ),
    "cursor/older": ("older builds come back by an app's link", _private("cursor")),
    "cursor/web": ("the web comes back to its host", _hosted),
    "copilot-cli": ("its document lists loopback without a port", _other_port),
    "copilot-cli/dcr": ("it sends no scope, and comes back on another port", _other_port),
    "copilot-studio": (
        "it says nothing of how it authenticates, is given the default, and uses the other",
        lambda w: w.made["token_endpoint_auth_method"] == "client_secret_basic" and _by_secret(w),
    ),
    "m365-copilot": ("an operator adds it with a secret", _by_secret),
    "kiro-ide": (
        "it names neither resource nor scope",
        lambda w: _names_no_resource(w) and "scope" not in w.request,
    ),
    "windsurf": ("it comes back by an app's link", _private("windsurf")),
    "lm-studio": ("it asks for neither grants nor response types", _lacks("grant_types", "response_types")),
    "warp": ("it names no resource anywhere", lambda w: _names_no_resource(w) and _private("warp")(w)),
    "raycast": ("its link has a scheme and no host", lambda w: w.target.startswith("com.raycast:/oauth?")),
    "antigravity": ("a native app comes back to a hosted page", _hosted),
    "gemini-enterprise": ("an operator adds it with a secret", _by_secret),
    "grok": ("its redirect URI ends in a slash", lambda w: urlsplit(w.target).path.endswith("/")),
    "grok/bot": ("its bot comes back by an app's link", _private("grokbot")),
    "perplexity": ("it is hosted and holds no secret", _hosted),
    "mistral-le-chat": ("it is hosted and holds no secret", _hosted),
    "devin": ("it is hosted and holds no secret", _hosted),
    "notion-ai": ("it is known by a document", lambda w: w.made.keys() == {"client_id"}),
    "amp": ("it has a name in brackets, and says nothing else", _lacks("grant_types", "token_endpoint_auth_method")),
    "factory-droid": ("its document has no file name, and loopback without a port", _other_port),
    "hermes": ("its document lies deep in a site of many", lambda w: urlsplit(w.made["client_id"]).path.count("/") > 3),
    "mcpjam": ("its document lists an app's link", _private("mcpjam")),
    "kimi-code": ("it comes back on another port with the client it stored", _other_port),
}
