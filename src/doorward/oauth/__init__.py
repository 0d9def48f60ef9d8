"""Words and pure rules of the protocols: what every side of the door agrees on.

Owns parsing, matching, building and signing of OAuth values. Must not do I/O, read a clock, log, or import a
framework: bytes and values come in, typed values or an `OAuthError` come out, so that the server, the resource
SDK and the client library can share one understanding of each rule.
"""
