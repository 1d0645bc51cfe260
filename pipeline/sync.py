"""Send what the MLflow store lacks of the present experiment, exactly once."""

import argparse

from pipeline import page, publishing, tracking
from pipeline.config import read_experiment
from pipeline.errors import PipelineError, run


def main() -> None:
    """After a server that was down, a restore from DVC's cache or a deleted database."""
    argparse.ArgumentParser(prog="python -m pipeline.sync", description=main.__doc__).parse_args()
    try:
        run_id = publishing.publish(page.of_report(*read_experiment()))
    except tracking.UNAVAILABLE as error:
        reason = str(error).splitlines()[0]
        raise PipelineError(
            f"{tracking.store()}: the store did not take the run: {reason}"
        ) from None
    print(f"sent as run {run_id}" if run_id else "nothing to send: the store has it all")


if __name__ == "__main__":
    run(main)
