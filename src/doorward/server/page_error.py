"""What only a person can be told."""


class PageError(Exception):
    """Something a person has to be told, because no client can be trusted to hear it. Spec: AUTHZ-04

    `reason` is for the operator, where the person is not told it all.
    """

    def __init__(
        self, heading: str, message: str, steps: tuple[str, ...] = (), *, status: int = 400, reason: str = ""
    ) -> None:
        super().__init__(heading)
        self.heading = heading
        self.message = message
        self.steps = steps
        self.status = status
        self.reason = reason or f"{heading}. {message}"


START_AGAIN = ("Go back to the app and connect again.",)


def request_over(reason: str = "") -> PageError:
    """A request that cannot be decided on, or not here; which of the three it is, is nobody else's business."""
    return PageError(
        "This request is over",
        "It was answered already, waited too long, or was opened in another browser.",
        START_AGAIN,
        reason=reason,
    )
