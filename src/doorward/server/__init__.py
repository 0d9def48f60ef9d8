"""The authorization server's protocol endpoints.

Owns what happens between a parsed request and an answer: who the client is, what it gets, what is recorded. One
pipeline owns every check that grants share, and one module makes tokens. Must not render HTML, know the dashboard,
or be imported by the SDK sides.
"""
