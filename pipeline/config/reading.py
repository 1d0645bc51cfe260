"""Reads an experiment from its files: params.yaml, and the card of the data set that it names."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from pipeline.config import checks, versions
from pipeline.config.cards import read_card
from pipeline.config.experiment import Experiment
from pipeline.config.params import Baseline, Params
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE, Layout, require
from pipeline.files.records import flatten, parse
from pipeline.files.yaml import read_yaml


def read_params(path: Path = HERE.params) -> Params:
    """The experiment in params.yaml; PipelineError names the key that is wrong."""
    tree = read_yaml(require(path, "expected the parameters here"))
    _check_keys(dict(flatten(tree)), path)
    return parse(tree, Params, str(path))


def _check_keys(given: dict[str, Any], path: Path) -> None:
    """PipelineError of a network's keys beside a baseline's name, as by `-S`, or of a moved one."""
    model = given.get("train.model.name")
    names: Any = [kind.model_fields["name"].annotation for kind in Baseline.__subclasses__()]
    if "train.model.units" in given and any(model in get_args(own) for own in names):
        raise PipelineError(
            f"{path}: train.model: expected no key of a network beside the baseline {model}; "
            f"set -S '~train.model' -S '+train.model={{name: {model}}}' -S train.residual=none"
        )
    if any(key.startswith("impute_scale.log1p") for key in given):
        raise PipelineError(
            f"{path}: impute_scale.log1p: expected in the data set's card (transform: log1p, "
            "beside the column's unit), not here; for an experiment without the card's transforms: "
            "-S 'impute_scale.transforms=[]'"
        )


def read_experiment(layout: Layout = HERE) -> Experiment:
    """The parameters and their data set's card, each checked, and one against the other."""
    params = read_params(layout.params)
    experiment = Experiment(params, read_card(params.ingest.dataset, layout))
    checks.check(experiment, layout)
    return experiment


def stage(main: Callable[[Experiment, Layout], object]) -> Callable[[], None]:
    """A stage: `main`, called with the experiment that is written here.

    The installed libraries have to be those that DVC will remember.
    """

    def run() -> None:
        if changes := versions.changes(HERE):
            remedy = "write the installed versions with: python -m pipeline check"
            raise PipelineError(f"{HERE.versions}: {changes[0]}; {remedy}")
        experiment = read_experiment()
        main(experiment, HERE)
        check_unchanged(experiment)

    return run


def check_unchanged(experiment: Experiment) -> None:
    """PipelineError if params.yaml or the card is no longer what a stage began with.

    DVC reads them after the stage ends, and would record its outputs as made from them.
    """
    if read_experiment() != experiment:
        raise PipelineError(
            "params.yaml or the card was changed while the stage ran: run it again, or undo "
            "the change and keep the outputs with: dvc commit -f STAGE"
        )


def raw_table(experiment: Experiment, layout: Layout) -> Path:
    """The data set's raw table; PipelineError with the way to get it if it is absent."""
    dataset, card = experiment.dataset, experiment.card
    table, flat = layout.raw_table(dataset, card.file), layout.raw / f"{dataset}.csv"
    remedy = "expected the data set's table here"
    if flat.exists():
        remedy = f"a data set is a directory: {moved(flat, table)}"
    elif card.fetch:
        remedy = f"get it with: {card.fetch}"
    elif card.query:
        remedy = f"dvc pull {table.parent} gets it, or python -m pipeline snapshot {dataset}"
    elif pinned := [place for place in (table.parent, flat) if Path(f"{place}.dvc").exists()]:
        remedy = f"get it with: dvc pull {pinned[0]}; without a remote, from whoever pinned it"
    return require(table, remedy)


def moved(flat: Path, table: Path) -> str:
    """The commands that move a table which lies in data/raw itself, and its pin, into place."""
    old, new, folder = (shlex.quote(str(path)) for path in (flat, table, table.parent))
    if Path(f"{flat}.dvc").exists():
        pin = shlex.quote(f"{flat}.dvc")
        return f"mkdir -p {folder} && mv {old} {new} && rm {pin} && dvc add {folder}"
    return f"mkdir -p {folder} && git mv {old} {new} || mv {old} {new}"
