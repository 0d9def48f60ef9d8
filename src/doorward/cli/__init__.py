"""The `doorward` command: a stable contract that scripts rely on.

Owns options, output and exit codes. Must not decide anything: it calls `manage` and `app`. Imports are lazy, so that
`doorward --help` answers at once.
"""

import sys

_OF_CLIENTS = ("client", "doctor")
"""Commands that need nothing of the authorization server."""


def main() -> None:
    """Run the command line. What is not installed is named, with what to install."""
    try:
        from .commands import app

        app()
    except ImportError as error:
        missing = error if isinstance(error, ModuleNotFoundError) else error.__cause__
        package = (missing.name or "").partition(".")[0] if isinstance(missing, ModuleNotFoundError) else ""
        if package in {"", "doorward"}:
            raise
        extras = "client" if sys.argv[1:2] and sys.argv[1] in _OF_CLIENTS else "server,proxy"
        sys.exit(f"doorward: this needs a package that is not installed, {package}: pip install 'doorward[{extras}]'")
