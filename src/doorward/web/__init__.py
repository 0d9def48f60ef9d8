"""The pages people see: sign-in, consent, account, dashboard. Server-rendered, no script needed.

Owns cookies, forms, CSRF and HTML. Must not touch storage or decide anything of the protocol: a page parses a form,
calls `server` or `manage`, and renders what came back.
"""
