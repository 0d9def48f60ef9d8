"""Where state lives: one schema, verbs that decide who wins, and executors that run them.

Owns every SQL statement of Doorward. A verb takes the transaction first, then the project, and returns a value or an
outcome; it never raises to refuse, because raising would roll back what the refusal has to record. Must not know
HTTP, OAuth errors, or which database runs it.
"""
