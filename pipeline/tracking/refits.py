"""A refit in the MLflow store: a run without scores, which names the run whose model it repeats."""

from collections.abc import Mapping

import pandas as pd
from mlflow.entities import RunTag

from pipeline.config.experiment import Experiment
from pipeline.files.layout import Layout
from pipeline.repository import provenance
from pipeline.tracking import logged_runs, publishing, store
from pipeline.tracking.logged_runs import Trial


def log(
    experiment: Experiment, layout: Layout, of: Trial, history: pd.DataFrame, rows: int
) -> Trial:
    """Log the refit that lies in a layout, its loss by epoch and its model; its run.

    Args:
        experiment: with `refit`, so that the run says up to when it has learned.
        of: the run whose scores and intervals it keeps.
        rows: how many it has learned from, for its note.
    """
    client = store.connect()
    tags = provenance.tags(experiment.dataset)
    run_id = store.create(client, experiment, layout, tags)
    note = (
        f"The model of run {of.id}, fitted to all {rows:,} rows. Nothing scores it; its intervals "
        "and what monitor compares it with are those of that run."
    )
    about: Mapping[str, str] = {
        store.REFIT: of.id,
        store.CONTENT: store.content(layout),
        "mlflow.note.content": note,
        "mlflow.runName": f"refit of {of.name}",
    }
    store.describe(client, run_id, experiment, layout)
    for step, loss in enumerate(history["train/loss"], start=1):
        client.log_batch(run_id, store.metrics({store.LOSS: loss}, step))
    publishing.log_model(run_id, experiment, layout, None)
    client.log_batch(run_id, tags=[RunTag(key, value) for key, value in about.items()])
    client.set_terminated(run_id, "FINISHED")
    return logged_runs.unscored(run_id)
