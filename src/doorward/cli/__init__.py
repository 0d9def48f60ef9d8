"""The `doorward` command: a stable contract that scripts rely on.

Owns options, output and exit codes. Must not decide anything: it calls `manage` and `app`. Imports are lazy, so that
`doorward --help` answers at once.
"""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from .commands import app  # needs the server extra, and says so when it is missing
    except ModuleNotFoundError as missing:
        sys.exit(f"The doorward command needs more packages ({missing.name}): pip install 'doorward[server,mcp]'")
    app()
