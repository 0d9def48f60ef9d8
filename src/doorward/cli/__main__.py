"""`python -m doorward.cli`, for where the command is not on the PATH."""

from . import main

main()
