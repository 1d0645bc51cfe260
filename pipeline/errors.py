"""The one exception a user is meant to read, and how a command ends on it."""

import sys
from collections.abc import Callable


class PipelineError(Exception):
    """What is wrong, in one line: the file, column, row or key, what was expected and found."""


def run(main: Callable[[], object]) -> None:
    """Call `main`; end with exit code 1 and one line on standard error if the user must act."""
    try:
        main()
    except PipelineError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
