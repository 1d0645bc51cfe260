"""Send what the MLflow store lacks of the present experiment, exactly once.

After an outage, a restore from DVC's cache or the loss of the database.
"""

import argparse
import os

from pipeline.config.reading import read_experiment
from pipeline.errors import PipelineError
from pipeline.experiments.chosen import trained
from pipeline.files.layout import HERE, require
from pipeline.reports import page
from pipeline.repository import dvc, provenance
from pipeline.tracking import database, logged_runs, publishing


def main() -> None:
    """Send, or have the runs find their files, and say so."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--moved",
        action="store_true",
        help="send nothing, but point the runs to their files after this directory was moved",
    )
    if parser.parse_args().moved:
        print(database.mend_moved(database.own()))
        return
    experiment = read_experiment()
    for file in (HERE.weights, HERE.metrics, HERE.report):
        require(file, "there is nothing to send yet; run make first")
    if stale := dvc.stale():
        raise PipelineError(
            f"nothing is sent: the files here were not made by the present code and params.yaml "
            f"({stale[0]}); run make, or dvc exp apply NAME for an earlier experiment"
        )
    if name := provenance.experiment():
        os.environ.setdefault(provenance.EXPERIMENT, name)  # as its training had it
    made = trained(experiment, HERE)
    with logged_runs.answering():
        run_id = publishing.publish(made, HERE, page.of_report(made, HERE))
    print(f"sent as run {run_id}" if run_id else "nothing to send: the store has everything")
