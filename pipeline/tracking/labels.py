"""What a run says of itself: name, note, parameters, scores."""

import hashlib
import json
import os
import re
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from statistics import fmean
from typing import Any

from pipeline.config import members
from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.params import Stack
from pipeline.evaluation.metrics import METRICS, Metric, brief, deciding, of_intervals
from pipeline.files.records import flatten
from pipeline.reports import markdown
from pipeline.reports.formatting import escape_markdown, number
from pipeline.repository import changed_params, provenance

VIEW = "best"  # the id of the view that `view` describes, in the UI's addresses
# What follows a metric's name and _ where it is no column's name.
RESERVED = re.compile(
    "|".join([r"h\d+", *(m.name.partition("_")[2] for m in METRICS if not m.each)])
)
CARD = "ingest.card"  # the parameter that stands for what the card decides
# Of a card: prose, the table's own sum, and what stands among the parameters as it was resolved.
NOT_DECISIVE = re.compile(
    r"(title|source|attribution|licence|fetch|query|file|sha256|targets|inputs|known_ahead|split\..*|"
    r".*\.(description|transform))"
)
NAMED = (
    "ingest.dataset",
    "window.look_back",
    "window.horizon",
    "train.seed",
    "train.model.name",
    "train.ensemble",
)
LONGEST = 200  # characters of a name inside a metric's, which may have 250

# How a model is served, on its page in the UI.
SERVING = (
    "Takes raw rows, gaps included, and returns a long table: origin, time, target, forecast, and "
    "the bounds of its intervals, as lo-80 and hi-80. "
    "`python -m pipeline serve --model URI` takes the rows as CSV, written as the data set's card "
    "says, or as JSON; `mlflow models serve` takes JSON only, under `dataframe_split` or "
    "`dataframe_records`. Give the time stamps to forecast from under `params`, as `origins`; "
    "the default is the last row with a value. Beside them, `levels` chooses intervals, in percent "
    "and of those that were calibrated; the default is all."
)


def hyperparameters(experiment: Experiment) -> dict[str, Any]:
    """Every parameter flat by section, with the card's defaults in the place of null."""
    own = {
        name: ", ".join(map(str, value)) if isinstance(value, list) else value
        for name, value in experiment.params.flat().items()
        # What a report draws changes no result; a split is logged as one.
        if not name.startswith(("evaluate.", "window.split."))
    }
    bent = (f"{name}:{column}" for column, name in experiment.transforms.items())
    resolved = {
        "impute_scale.transforms": ", ".join(bent) or "none",
        "window.inputs": ", ".join(experiment.inputs),
        "window.targets": ", ".join(experiment.targets),
        "window.known_ahead": ", ".join(experiment.known_ahead) or "none",
        "window.split": json.dumps(experiment.split.model_dump(mode="json", exclude_none=True)),
        # auto is decided when a run is logged already, whose tag then tells it
        "train.mix": "auto" if experiment.asked.train.mix == "auto" else own["train.mix"] or "none",
        "train.members": own["train.members"] or "none",
    }
    decided = json.dumps(decisive(card_tree(experiment.card)), sort_keys=True)
    return own | resolved | {CARD: hashlib.sha256(decided.encode()).hexdigest()[:12]}


def card_tree(card: Card) -> dict[str, Any]:
    """A card as a run keeps it: JSON, without what it leaves at its default."""
    return card.model_dump(mode="json", by_alias=True, exclude_defaults=True)


def decisive(tree: dict[str, Any]) -> dict[str, Any]:
    """What a card decides beside the parameters, flat by its keys: units, bounds, season, ..."""
    return {key: value for key, value in flatten(tree) if not NOT_DECISIVE.fullmatch(key)}


def name(experiment: Experiment) -> str:
    """What tells runs apart at a glance.

    The DVC experiment's name leads, what else differs from the committed parameters follows, of
    what is `auto` in both nothing.
    """
    params, model = experiment.params, experiment.params.train.model
    units = " " + "-".join(map(str, model.units)) if isinstance(model, Stack) else ""
    leads = os.environ.get(provenance.EXPERIMENT, "")
    own = {
        key.split(".", 1)[1]: value
        for key, value in changed_params.changed(experiment.asked).items()
        if key not in (*NAMED, "train.model.units") and not key.startswith("evaluate.")
    }
    described = (
        f"{members.title(params.train)}{units}, "
        f"{params.window.look_back} to {params.window.horizon}, "
        f"seed {params.train.seed}{''.join(f'; {key} {value}' for key, value in own.items())}"
    )
    return textwrap.shorten(f"{leads}: {described}" if leads else described, LONGEST)


def note(experiment: Experiment) -> str:
    """What the UI shows above a run."""
    params, card = experiment.params, experiment.card
    return (
        f"**{escape_markdown(card.title)}**\n\n"
        f"Forecasts {escape_markdown(', '.join(experiment.targets))} "
        f"{card.step.far(params.window.horizon)} ahead from the "
        f"{params.window.look_back} rows before, with {members.title(params.train)} "
        f"({params.train.loss} loss, seed {params.train.seed}). Scores are in the target's own "
        "units, compared with baselines; the report is among the artifacts."
    )


def model_note(
    experiment: Experiment,
    metrics: dict[str, Any],
    takes: Sequence[str],
    returns: Sequence[str],
    run: str,
    group: str,
) -> str:
    """What the UI shows on a model's page: what it takes and returns, how good it is, its report.

    `takes` and `returns` are the columns of its example and its answer; `run` and `group` the ids
    of the run and of the experiment that have the report.
    """
    card, params = experiment.card, experiment.params
    test, by = metrics["test"], deciding(metrics["test"])
    unit = "deviations of the targets" if by.root else card.columns[experiment.targets[0]].unit
    error = escape_markdown(f"{by.title} {number(by.value(test))} {unit or ''}")
    coverage = markdown.held(metrics) if of_intervals(test) else "It has no intervals."
    columns = (escape_markdown(", ".join(names)) for names in (takes, returns))
    return (
        f"Forecasts {escape_markdown(', '.join(experiment.targets))} of {experiment.dataset} "
        f"{card.step.far(params.window.horizon)} ahead, with {members.title(params.train)}.\n\n"
        f"**On test:** {error} over {test['n']:,} observed values. {coverage}\n\n"
        f"**Report:** [report.html](#/experiments/{group}/runs/{run}/artifacts/report/report.html) "
        f"of run {run}.\n\n"
        f"**Signature:** from raw rows with the columns {next(columns)}, as in the artifact "
        f"`input_example.json`, to a long table with the columns {next(columns)}.\n\n{SERVING}"
    )


def view(experiment: str, by: Metric, now: float) -> dict[str, str]:
    """Tags of an MLflow experiment: a saved view of its runs, best first, and a note that links it.

    Without one, the UI's table of runs shows no score. `now` is in seconds since 1970.
    """
    scores = (f"validation/{by.name}", f"test/{by.name}", "skill/persistence", "model/weights")
    params = ("train.model.name", "train.model.units", "window.look_back", "train.seed")
    state = {
        "selectedColumns": [
            *(f"metrics.`{name}`" for name in (*scores, "time/fit_seconds")),
            *(f"params.`{name}`" for name in params),
        ],
        "orderByKey": f"metrics.`validation/{by.name}`",
        "orderByAsc": by.best == 0,
    }
    saved = {"name": "Best first", "createdAt": int(now * 1000), "state": json.dumps(state)}
    return {
        f"mlflow.sharedViewState.{VIEW}": json.dumps(saved),
        "mlflow.note.content": f"[Runs, best first]({view_address(experiment)})",
    }


def view_address(experiment: str) -> str:
    """Where the UI shows an experiment's runs, best first."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning&viewStateShareKey={VIEW}"


def best(history: Sequence[dict[str, float]]) -> dict[str, float]:
    """The kept epoch, counted from 1, and its validation loss; means over an ensemble's members."""
    found = [  # of each member of an ensemble
        next((number, epoch) for number, epoch in enumerate(own, start=1) if epoch["kept"])
        for _, own in groupby(history, key=lambda epoch: epoch.get("member", 1))
    ]
    return {
        "best/epoch": fmean(number for number, _ in found),
        "best/validation_loss": fmean(epoch["validation/loss"] for _, epoch in found),
    }


def flat_scores(metrics: dict[str, Any]) -> dict[str, float]:
    """metrics.json under names that group in the UI: test/rmse, test/rmse_h01, persistence/rmse."""
    flat: dict[str, float] = {}
    for span in ("test", "validation"):
        flat |= {f"{span}/{score}": value for score, value in metrics[span].items()}
        by_target = metrics.get(f"{span}_by_target", {})
        for name, plain in distinct(by_target).items():
            flat |= {f"{span}/{score}_{plain}": value for score, value in by_target[name].items()}
        for step, scores in metrics[f"{span}_by_horizon"].items():
            flat |= {f"{span}/{score}_{step}": value for score, value in brief(scores).items()}
    rolling = metrics.get("rolling", {}).get("test", {})
    flat |= {f"test/rolling_{score}": value for score, value in rolling.items()}
    for prefix, key in (("", "baselines"), ("validation_", "validation_baselines")):
        for rule, scores in metrics.get(key, {}).items():
            flat |= {f"{rule}/{prefix}{score}": value for score, value in brief(scores).items()}
    spans = metrics.get("spans", {})
    for span, plain in distinct(spans).items():
        for name, scores in spans[span].items():
            flat |= {f"{plain}/{name}_{score}": value for score, value in scores.items()}
    for count, scores in metrics.get("members", {}).items():
        flat |= {f"members/{score}_{count}": value for score, value in scores.items()}
    for name, shares in metrics.get("mix", {}).items():
        flat |= {f"mix/{name}_{step}": share for step, share in shares.items()}
    many = metrics.get("series", {})
    flat |= {f"series/{key}": many[key] for key in ("count", "mase", "scaled") if key in many}
    flat |= {f"series/beats_{rule}": share for rule, share in many.get("beats", {}).items()}
    count = metrics.get("training_windows", {})
    flat |= {f"windows/{name}": count[name] for name in ("possible", "kept") if name in count}
    lost = count.get("lost", {})
    flat |= {f"windows/lost_{plain}": lost[name] for name, plain in distinct(lost).items()}
    flat |= {f"memory/{name}": value for name, value in metrics.get("memory", {}).items()}
    skill = metrics["skill"]
    if (best := metrics.get("best_baseline")) in skill:
        flat["skill/best_baseline"] = skill[best]
    return flat | {f"skill/{rule}": value for rule, value in skill.items()}


def distinct(names: Iterable[str]) -> dict[str, str]:
    """Each name as MLflow takes it in a metric's, no two alike: letters, digits and a few signs."""
    found: dict[str, str] = {}
    for name in names:
        plain = whole = re.sub(r"[^\w. -]", "_", name)[:LONGEST]
        number = 1
        while plain in found.values() or RESERVED.fullmatch(plain):
            number += 1
            plain = f"{whole}.{number}"
        found[name] = plain
    return found
