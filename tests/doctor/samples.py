"""Reports as the doctor makes them, for what shows them."""

from doorward.doctor.findings import ClientVerdict, Finding, Report

GOOD = (
    Finding("challenge-status", "Challenge", "A request without a token is answered 401", "passed"),
    Finding("resource-metadata-path", "Resource metadata", "The document is at the address of the path", "passed"),
    Finding("issuer-equal", "Issuer metadata", "The issuer is the one that was asked", "passed"),
    Finding("endpoints-https", "Issuer metadata", "Every endpoint is https", "passed"),
)
PORT = Finding(
    "loopback-port",
    "Registration",
    "A program on the person's machine may use any port",
    "failed",
    why="A program listens on the port that its machine gives it. This server compares the port with the one in the "
    "client's document, so the person sees an error page instead of the sign-in.",
    change="Compare redirect URIs of http://127.0.0.1, http://[::1] and http://localhost without their port.",
    requirements=("RDU-04", "RDU-05"),
    hurts=("claude-code", "codex-cli"),
    evidence="GET https://auth.example.com/authorize?client_id=https%3A%2F%2Fclaude.ai%2Foauth%2Fclaude-code-client-metadata"
    "&redirect_uri=http%3A%2F%2Flocalhost%3A49321%2Fcallback answered 400\n<h1>Invalid redirect_uri</h1>",
)
CACHE = Finding(
    "metadata-cache",
    "Issuer metadata",
    "The document says how long it is good for",
    "warning",
    why="Without Cache-Control some clients read it anew for every connection.",
    change="Send Cache-Control: max-age=300 with it.",
    requirements=("ASM-13",),
    evidence="cache-control is missing",
)
REFRESH = Finding(
    "refresh-race", "Token", "Two processes may refresh at once", "skipped", why="Seen only with --login."
)
CLIENTS = (
    ClientVerdict("claude-ai", "Claude.ai, Claude Desktop, mobile", "2026", "passed"),
    ClientVerdict("claude-code", "Claude Code", "2.1.330", "failed", "Registration", ("loopback-port",)),
    ClientVerdict("chatgpt", "ChatGPT", "2026", "passed"),
    ClientVerdict("vscode", "VS Code", "1.106", "passed"),
    ClientVerdict("codex-cli", "Codex CLI", "0.169.0", "failed", "Registration", ("loopback-port",)),
    ClientVerdict("cursor", "Cursor", "3.14", "warning", "", ("metadata-cache",)),
    ClientVerdict("use-mcp", "use-mcp", "0.0.21", "skipped"),
)
URL = "https://mcp.example.com/mcp"


def build_report(
    *findings: Finding,
    clients: tuple[ClientVerdict, ...] = (),
    url: str = URL,
    registered: tuple[tuple[str, bool], ...] = (),
) -> Report:
    return Report(url, 1_795_900_000.0, 1_795_900_004.25, "0.1.0", findings, clients, registered)


MIXED = build_report(
    *GOOD, PORT, CACHE, REFRESH, clients=CLIENTS, registered=(("client-one", True), ("client-two", False))
)
HEALTHY = build_report(*GOOD, clients=tuple(client for client in CLIENTS if client.outcome == "passed"))
