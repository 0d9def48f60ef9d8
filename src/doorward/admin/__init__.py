"""The admin REST API: operator actions as JSON, described by the very table that routes them.

Owns reading requests strictly, who may do what, and the words of refusals; everything that is done is done by
`manage`. Must not know storage, cookies or pages.
"""
