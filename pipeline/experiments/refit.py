"""Refit: the model of an experiment once more, to all rows, for the epochs that validation chose.

Nothing is left to score it or to make its intervals: those of the model before are kept.
"""

import io
import shutil
from collections.abc import Mapping, Sequence
from contextlib import redirect_stderr
from dataclasses import replace
from pathlib import Path

import pandas as pd

from pipeline.config import automatic
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline
from pipeline.errors import PipelineError
from pipeline.experiments.impute_scale import impute_scale
from pipeline.experiments.task import prepared
from pipeline.experiments.window import window
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.forecasting.forecaster import CALIBRATION, USUAL
from pipeline.runtime import determinism


def check(experiment: Experiment) -> None:
    """PipelineError of a model for which validation chose something beside the epochs."""
    train = experiment.params.train
    what = f"train.model.name: {train.model.name}" if isinstance(train.model, Baseline) else ""
    if what or train.mixed:
        raise PipelineError(
            f"--refit: expected a network or an ensemble, whose epochs validation chose, found "
            f"{what or 'train.mix'}; retrain without --refit promotes it as it is"
        )


def chosen(layout: Layout) -> list[int]:
    """How many epochs validation chose, of a network or of each member, as history.csv has it."""
    history = pd.read_csv(layout.history)
    if "member" not in history:
        history.insert(0, "member", 1)
    kept = history[history["kept"] == 1]
    return [int(epoch) + 1 for epoch in kept.groupby("member")["epoch"].first()]


def refit(
    experiment: Experiment,
    before: Layout,
    layout: Layout,
    epochs: Sequence[int],
    kept: Mapping[str, Path],
) -> pd.DataFrame:
    """The series of a layout -> data/model, data/prepared and data/calibration of another.

    Imputer and scaler learn from all rows as well.

    Args:
        before: whose data/ingested it is.
        epochs: that validation chose, of the network or of each member.
        kept: calibration.json and usual.json of the model before, as far as it has them.

    Returns:
        A row an epoch: train/loss.
    """
    check(experiment)
    every = replace(experiment, params=experiment.asked, refit=True)
    for old, new in (
        (before.series, layout.series),
        (before.quality, layout.quality),
        (kept.get(CALIBRATION), layout.calibration),
        (kept.get(USUAL), layout.usual),
    ):
        if old and old.exists():
            new.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(old, new)
    with redirect_stderr(io.StringIO()):  # of gaps it was told before
        impute_scale(every, layout)
        window(every, layout)
    task = prepared(every, layout)
    determinism.settle(every.params.train.seed)
    from pipeline.training.refit import refit_networks  # TensorFlow comes with it

    model, history = refit_networks(task, every.params.train, epochs)
    with artifacts.replacing(layout.weights) as beside:
        model.save_weights(beside)
    own = {key: value for key, value in every.chosen.items() if key in automatic.TRAIN}
    spec = task.spec.model_copy(update={"chosen": own})
    artifacts.write_json(layout.model_json, spec.model_dump(mode="json"))
    return pd.DataFrame(history)
