"""What the columns of every table are made of, and the metadata that holds the tables."""

from sqlalchemy import BigInteger, Column, ForeignKeyConstraint, LargeBinary, MetaData, Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def key(name: str) -> Column[str]:
    """Text of the primary key."""
    return Column(name, Text, primary_key=True)


def hash_key(name: str) -> Column[bytes]:
    """A hash of the primary key."""
    return Column(name, LargeBinary, primary_key=True)


def text(name: str, *, nullable: bool = False) -> Column[str]:
    """Text, ids and JSON."""
    return Column(name, Text, nullable=nullable)


def number(name: str, *, nullable: bool = False) -> Column[int]:
    """Epoch milliseconds, counters, and yes or no."""
    return Column(name, BigInteger, nullable=nullable)


def bytes_(name: str, *, nullable: bool = False) -> Column[bytes]:
    """Hashes and ciphertexts."""
    return Column(name, LargeBinary, nullable=nullable)


def epoch(name: str) -> Column[int]:
    """A number that starts at 0 for the rows that were there before it, too."""
    return Column(name, BigInteger, nullable=False, server_default="0")


def belongs_to(table: str, key: str) -> ForeignKeyConstraint:
    """Goes with the row of `table` that it names."""
    return ForeignKeyConstraint(["project_id", key], [f"{table}.project_id", f"{table}.{key}"], ondelete="CASCADE")


def of_project() -> ForeignKeyConstraint:
    """Goes with its project."""
    return ForeignKeyConstraint(["project_id"], ["projects.project_id"], ondelete="CASCADE")
