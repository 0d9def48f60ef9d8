"""What only a person can be told."""


class PageError(Exception):
    """Something a person has to be told, because no client can be trusted to hear it. Spec: AUTHZ-04"""

    def __init__(self, heading: str, message: str, steps: tuple[str, ...] = (), *, status: int = 400) -> None:
        super().__init__(heading)
        self.heading = heading
        self.message = message
        self.steps = steps
        self.status = status


START_AGAIN = ("Go back to the app and connect again.",)
