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
from pipeline.models import mix, weights
from pipeline.models.network import Network
from pipeline.models.spec import Spec
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler
from pipeline.runtime import determinism
from pipeline.runtime.progress import say


def check(experiment: Experiment) -> None:
    """PipelineError of a baseline, for which validation chose something else than epochs."""
    model = experiment.params.train.model
    if isinstance(model, Baseline):
        raise PipelineError(
            "--refit: expected a network or an ensemble, whose epochs validation chose, found "
            f"train.model.name: {model.name}; retrain without --refit promotes it as it is"
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

    Imputer and scaler learn from all rows as well. Not where baselines are mixed in: these stay as
    they are, with their shares, which validation chose too, and so does the scale they speak of.

    Args:
        before: whose data/ingested it is.
        epochs: that validation chose, of the network or of each member.
        kept: the files of the model before by `stage_files`' names, its calibration.json and
            usual.json as far as it has them.

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
    mixed, learned = artifacts.read_json_record(kept["model.json"], Spec).mix, None
    if mixed:
        say(f"refit: {', '.join(one.name for one in mixed)}, the shares and the scale are kept")
        imputer = artifacts.read_json_record(kept["imputer.json"], Imputer)
        learned = imputer, artifacts.read_json_record(kept["scaler.json"], Scaler)
    with redirect_stderr(io.StringIO()):  # of gaps it was told before
        impute_scale(every, layout, learned)
        window(every, layout)
    task = prepared(every, layout)
    determinism.settle(every.params.train.seed)
    from pipeline.training.refit import refit_networks  # TensorFlow comes with it

    model, history = refit_networks(task, every.params.train, epochs)
    own = {key: value for key, value in every.chosen.items() if key in automatic.TRAIN}
    spec = task.spec.model_copy(update={"chosen": own, "mix": mixed})
    with artifacts.replacing(layout.weights) as beside:
        weights.save(model, beside)
        if mixed:
            network = Network(spec, task.scaler, model.predict_on_batch)
            mix.load(network, kept["model.weights.h5"]).save(beside)
    artifacts.write_json(layout.model_json, spec.model_dump(mode="json"))
    return pd.DataFrame(history)
