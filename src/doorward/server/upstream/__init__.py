"""Signing people in by an identity provider that they already have."""
