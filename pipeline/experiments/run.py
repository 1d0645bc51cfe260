"""All of an experiment in one process."""

from pipeline.config.experiment import Experiment
from pipeline.experiments.evaluate import Evaluation, evaluate
from pipeline.experiments.impute_scale import impute_scale
from pipeline.experiments.ingest import ingest
from pipeline.experiments.log import Logging, unwatched
from pipeline.experiments.train import train
from pipeline.experiments.window import window
from pipeline.experiments.workers import ALONE, Workers
from pipeline.files.layout import Layout


def run_experiment(
    experiment: Experiment, layout: Layout, logging: Logging = unwatched, workers: Workers = ALONE
) -> Evaluation:
    """From the raw table to scores: the files of `dvc repro`, but for the report and what is usual.

    Args:
        layout: the data set is below its project, outputs go below its root.
        logging: what watches the training.
        workers: who fits the members of an ensemble; by default this process.
    """
    for step in (ingest, impute_scale, window):
        step(experiment, layout)
    train(experiment, layout, logging, workers=workers)
    return evaluate(experiment, layout)
