"""The client side: gets itself into any protected MCP server.

Owns discovery, registration, authorization and tokens as a client sees them. Must not know the authorization server's
floors, nor look inside an access token. Flows are generators without I/O; `session` drives them.
"""
