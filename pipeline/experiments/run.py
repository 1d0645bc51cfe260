"""All of an experiment in one process."""

from pipeline.config.experiment import Experiment
from pipeline.experiments.evaluate import Evaluation, evaluate
from pipeline.experiments.impute_scale import impute_scale
from pipeline.experiments.ingest import ingest
from pipeline.experiments.train import Logging, Silent, train
from pipeline.experiments.window import window
from pipeline.files.layout import Layout
from pipeline.runtime.progress import Tell, say


def run_experiment(
    experiment: Experiment, layout: Layout, logging: Logging = Silent, tell: Tell = say
) -> Evaluation:
    """From the raw table to scores: the files that `dvc repro` makes, but for the report.

    Args:
        layout: the data set is below its project, outputs go below its root.
        logging: what watches the training.
        tell: takes each line on what was dropped or filled.
    """
    for step in (ingest, impute_scale, window):
        step(experiment, layout, tell)
    train(experiment, layout, logging)
    return evaluate(experiment, layout)
