"""What helps when an attempt to connect stopped, by where it did and the words of the reason."""

from doorward.core.timeline import TimelineEvent, TimelineStep

_BY_WORDS = (
    ("never registered", "Remove the connection in the app and make it anew: the app registers by itself then."),
    ("stopped", "A server or the project is stopped. Look at the emergency stop, and resume it."),
    ("approval", "The app waits for approval. Decide about it on the page of apps."),
    ("redirect", "It sends people to an address it did not register. Remove the app and let it register anew."),
    ("resource", "The app asks for a server that is not known here. Compare the addresses in the app and here."),
    ("pkce", "The app does not use PKCE, which is required. Update the app."),
    ("code_challenge", "The app does not use PKCE, which is required. Update the app."),
    ("scope", "The app asks for a scope that the server does not have. Compare the scopes on the server's page."),
    ("expired", "It came too late. Connecting again is enough."),
    ("password", "The e-mail and password did not match. Set a new password on the person's page if they forgot it."),
)  # fmt: skip
_BY_STEP: dict[TimelineStep, str] = {
    "register": "Check how apps may register in this project: doorward admin project change --help.",
    "authorize": "Connect again in the app. If it stops at the same place, remove the app and let it register anew.",
    "sign_in": "Have the person sign in again; too many tries have to wait a few minutes.",
    "consent": "The person said no, or left. They can start again in the app.",
    "token": "Start the connection in the app again. Codes are good once and for a few minutes.",
    "refresh": "The app has to be connected again: what it kept is over, or was used by somebody else.",
    "call": "The server turned the call away. Compare the addresses in the app and here, and connect again.",
}
_ELSE = "Start the connection in the app again."


def find_fix(event: TimelineEvent) -> str:
    """What to do about a step that went no further, in a sentence or two."""
    reason = event.reason.lower()
    for word, fix in _BY_WORDS:
        if word in reason:
            return fix
    return _BY_STEP.get(event.step, _ELSE)
