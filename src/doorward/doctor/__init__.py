"""The doctor: tells which MCP clients will get into a server, which will not, why, and what to change.

Owns the checks of a server and its authorization servers from outside, the ways of known clients, and the reports.
Must not know the authorization server's floors: it sees what any client sees.
"""
