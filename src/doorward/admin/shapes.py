"""What every body and answer is made of."""

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")
SHOWN_ONCE = "x-shown-once"
MAX_PAGE = 1000

Time = Annotated[int, Field(description="Milliseconds since 1970-01-01 UTC.")]
Line = Annotated[str, Field(max_length=2048, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A line of text, without control characters."""
Name = Annotated[str, Field(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]
Lines = Annotated[list[Line], Field(max_length=200)]
Secret = Annotated[
    str | None,
    Field(
        description="Shown this once; null where the answer is a repeated one.", json_schema_extra={SHOWN_ONCE: True}
    ),
]


class Body(BaseModel):
    """What a request says; a member that is not known is refused, and no type stands for another."""

    model_config = ConfigDict(extra="forbid", strict=True, defer_build=True)


class Patch(Body):
    """What is to change; a member that is not given stays as it is."""

    def chosen(self) -> dict[str, Any]:
        """The members that were given, lists as tuples."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}


class Query(BaseModel):
    """Parameters of an address."""

    model_config = ConfigDict(extra="forbid", defer_build=True)


class Paging(Query):
    """Which part of a list: so many, after what an earlier answer ended with."""

    limit: int = Field(default=100, ge=1, le=MAX_PAGE, description="How many at most.")
    cursor: str = Field(default="", max_length=4096, description="`next_cursor` of the page before; empty: the first.")


class Answer(BaseModel):
    """What is answered, and nothing beside it."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, defer_build=True)


class Page(Answer, Generic[T]):
    """A part of a list."""

    items: list[T]
    next_cursor: str | None = Field(default=None, description="Asks for what comes after; null at the end.")


class FieldError(Answer):
    """What is wrong with one member."""

    member: str
    message: str


class ProblemDetails(Answer):
    """A refusal, as RFC 9457 has it."""

    type: str
    title: str
    status: int
    detail: str
    code: str = Field(description="For programs; it does not change.")
    reference: str = Field(
        description="To quote when asking about it; for faults, it is in the log of the server, too."
    )
    errors: list[FieldError] = Field(default=[], description="What is wrong with which member.")
