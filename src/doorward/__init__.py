"""Doorward lets any MCP client into any MCP server, safely, with nobody filling in a form.

Owns the version and nothing else: the three sides of the door are subpackages that are imported by name
(`doorward.resource` protects a server, `doorward.client` gets in, `doorward.app` is the authorization server),
so that importing one never pays for the others.
"""

__version__ = "0.1.0.dev0"

__all__ = ["__version__"]
