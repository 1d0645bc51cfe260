"""The one exception a user is meant to read."""


class PipelineError(Exception):
    """What is wrong, a line each: the file, column, row or key, what was expected and found."""

    def __init__(self, *lines: str) -> None:
        # a name may hold a line break
        super().__init__("\n".join(" ".join(line.splitlines()) for line in lines))

    def within(self, before: str = "", after: str = "") -> "PipelineError":
        """The same with words before its first line and after its last."""
        return PipelineError(*f"{before}{self}{after}".splitlines())
