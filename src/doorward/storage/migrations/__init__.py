"""Schema versions, oldest first; each one expands, and contracts only what no running release still uses."""

HEAD = "0008"
"""The newest revision: a database that is at it starts without loading Alembic."""
