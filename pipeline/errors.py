"""The one exception a user is meant to read."""


class PipelineError(Exception):
    """What is wrong, in one line: the file, column, row or key, what was expected and found."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.splitlines()))  # a name may hold a line break
