"""Names for strings that must not be mixed up. Every URL stays `str`: identity in OAuth is string comparison."""

from typing import NewType

ProjectId = NewType("ProjectId", str)
ResourceId = NewType("ResourceId", str)
ClientId = NewType("ClientId", str)
UserId = NewType("UserId", str)
GrantId = NewType("GrantId", str)
FamilyId = NewType("FamilyId", str)
KeyId = NewType("KeyId", str)
TokenHash = NewType("TokenHash", bytes)
"""SHA-256 of a secret that was handed out: the only form in which one is stored."""
