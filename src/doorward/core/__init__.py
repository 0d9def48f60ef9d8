"""The server's nouns and decisions: projects, clients, grants, and what is allowed between them.

Owns values and pure rules. Must not do I/O, read a clock or know HTTP: time enters as `now` (epoch milliseconds
wherever a value is stored, seconds where a protocol says so).
"""
