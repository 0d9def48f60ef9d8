"""Asking a person on another device, or nobody at all. Spec: RFC 8628 §3.3"""

import re
from contextlib import AbstractAsyncContextManager

from .addresses import check_browsable
from .browser import Announce, announce_on_stderr
from .effects import ShowUserCode
from .errors import AddressRefused, AnswerRefused, LoginRequired
from .interaction import Redirect

_NOBODY = "This server wants a person to sign in, and nobody can be asked here."
_USER_CODE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?")


class DeviceInteraction:
    """Shows an address and a code, for machines that have no browser."""

    uses_device_grant = True

    def __init__(self, announce: Announce = announce_on_stderr) -> None:
        self._announce = announce

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:  # noqa: ARG002  # the interface's
        """Never called: no answer comes back to this machine."""
        raise LoginRequired("Nobody can be sent anywhere from here: a code is used to sign in.")

    async def show_user_code(self, shown: ShowUserCode) -> None:
        """Print where to sign in, and the code.

        Both are the server's words on a terminal: an address that may be opened, and a line of printable characters.
        Raises `AddressRefused` or `AnswerRefused`.
        """
        check_browsable(shown.verification_uri, loopback_http=True)
        if _USER_CODE.fullmatch(shown.user_code) is None:
            raise AnswerRefused("The authorization server gave a code that cannot be shown.")
        lines = [
            "To sign in, open this address on any device and enter the code:",
            "",
            f"  {shown.verification_uri}",
            f"  Code: {shown.user_code}",
            "",
        ]
        if _may_be_opened(shown.verification_uri_complete):
            lines += [f"Or open {shown.verification_uri_complete} and compare the code.", ""]
        lines.append(f"The code is good for {_duration(shown.expires_in)}. Waiting …")
        self._announce("\n".join(lines))


class NoInteraction:
    """There is nobody to ask: whatever needs a person fails, at once and by name."""

    uses_device_grant = False

    def open(self, *, registered: tuple[str, ...] = ()) -> AbstractAsyncContextManager[Redirect]:  # noqa: ARG002  # the interface's
        """Raises `LoginRequired`."""
        raise LoginRequired(_NOBODY)

    async def show_user_code(self, shown: ShowUserCode) -> None:  # noqa: ARG002  # the interface's
        """Raises `LoginRequired`."""
        raise LoginRequired(_NOBODY)


def _may_be_opened(url: str | None) -> bool:
    if url is None:
        return False
    try:
        check_browsable(url, loopback_http=True)
    except AddressRefused:
        return False
    return True


def _duration(seconds: int) -> str:
    return f"{seconds // 60} minutes" if seconds >= 120 else f"{seconds} seconds"
