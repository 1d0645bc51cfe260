"""Learn from a table that has grown: pin it, train, promote the better of new and old.

Both forecast the newest rows, from which neither has learned. The split must move with the table
(train: rest, validation: last 60 days, test: last 90 days). The pin and the card are committed.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd

from pipeline.commands import promote, snapshot
from pipeline.commands.promote import Reason
from pipeline.config.cards import read_card_file
from pipeline.config.experiment import Experiment
from pipeline.config.reading import read_experiment
from pipeline.data import panel, splits
from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.experiments import newest, refit
from pipeline.experiments.chosen import trained
from pipeline.files import artifacts
from pipeline.files.layout import HERE, Layout
from pipeline.forecasting.forecaster import USUAL, Forecaster, stage_files
from pipeline.models.spec import Spec
from pipeline.monitoring import watch
from pipeline.monitoring.usual import Usual, watched
from pipeline.preparation.scaling import Scaler
from pipeline.reports import terminal
from pipeline.repository import dvc, git, provenance
from pipeline.runtime import determinism
from pipeline.tracking import champion, logged_runs, refits, store, watched_runs
from pipeline.tracking.logged_runs import Trial

NEWEST = "newest rows"
EPILOG = "example: %(prog)s --refit; docs/operations.md has a crontab line and a GitHub workflow"


@dataclass(frozen=True)
class Champion:
    """The model in service: its version, the run that judges it, and until when it has learned."""

    version: str
    run: str  # that made it, which may be a refit
    behind: Trial
    learned: pd.Timestamp


def main() -> None:
    """Pin, train, compare, promote and, if asked, refit."""
    parser = argparse.ArgumentParser(description=__doc__, epilog=EPILOG)
    parser.add_argument(
        "--refit",
        action="store_true",
        help="then fit the better model to all rows, for the epochs that validation chose, and "
        "serve that: its intervals are those of the model before, and nothing scores it",
    )
    wanted = parser.parse_args().refit
    experiment = read_experiment()
    _check(experiment, wanted)
    with logged_runs.answering():
        before = _champion(experiment.dataset)
        _pin(experiment.dataset)
        dvc.run(Path(), "repro", show=True, own_store=False)
        # With the card's new checksum, and what training chose of what is auto.
        experiment = trained(read_experiment(), HERE)
        timeline = panel.read(HERE.series, experiment.card, []).timeline(experiment.card)
        if before and before.learned >= timeline.lasts.max():
            print(f"nothing new: version {before.version} has learned from all rows")
            return
        for line in _changes(experiment, before) if before else ():
            print(f"warning: {line}; the new model learns from these rows")
        trial = logged_runs.of_files(experiment.dataset, store.content(HERE))
        if version := champion.undone(experiment.dataset, trial.id):
            print(
                f"version {version}, of run {trial.id[:8]}, was rolled back and stays so; "
                f"python -m pipeline promote {trial.id[:8]} makes it the champion again"
            )
            return
        if before is None or trial.id != before.behind.id:
            promoted = _promoted(experiment, trial, before)
        else:
            promoted = True
            print(f"nothing new: run {trial.id[:8]} is the champion, version {before.version}")
        if wanted and promoted:
            if version := champion.undone(experiment.dataset, trial.id, refit=True):
                print(f"version {version}, the refit of run {trial.id[:8]}, was rolled back")
                return
            kept = stage_files(HERE, experiment.dataset)
            _refit(experiment, trial, refit.chosen(HERE), kept)
        elif wanted and before:
            _refit_champion(experiment, trial, before)


def _check(experiment: Experiment, wanted: bool) -> None:
    """PipelineError where retraining would come to nothing, before minutes are spent on it."""
    split = experiment.split
    if not split.moving:
        raise PipelineError(
            "split: expected ends that move as the table grows, such as train: rest, validation: "
            f"last 60 days, test: last 90 days, found train: {split.train}"
        )
    if wanted:
        refit.check(experiment)


def _champion(dataset: str) -> Champion | None:
    """The champion, if there is one; PipelineError if nobody knows what it has learned from."""
    holder = champion.current(dataset)
    if holder is None:
        return None
    run = logged_runs.unscored(str(holder.run_id))
    if store.LEARNED not in run.tags:
        raise PipelineError(
            f"models:/{dataset}@{champion.ALIAS}: expected its run {run.id[:8]} to say up to when "
            "it has learned, found one of older code; train and promote once more by make and "
            "make promote RUN=ID"
        )
    learned = pd.Timestamp(run.tags[store.LEARNED])
    return Champion(
        str(holder.version), run.id, logged_runs.find(champion.judged_by(holder)), learned
    )


def _pin(dataset: str) -> None:
    """Pin the table and commit that, if it has grown; PipelineError of what else is uncommitted."""
    pinned = map(str, snapshot.pin_table(dataset))
    if files := [one for one in pinned if git.run(Path(), "status", "--porcelain", "--", one)]:
        git.run(Path(), "add", "--", *files)
        git.run(Path(), "commit", "-m", f"Pin {dataset} as it has grown", "--", *files)
        print(f"committed {git.run(Path(), 'rev-parse', '--short', 'HEAD')}: {', '.join(files)}")
    if provenance.tags(dataset).get(provenance.DIRTY) != "false":
        raise PipelineError(
            "git: expected code, cards and data to be committed, found changes, and a run of them "
            "is not promoted; git status shows them"
        )


def _changes(experiment: Experiment, before: Champion) -> list[str]:
    """What of the rows that the champion has not learned from is not as it was in its training."""
    with TemporaryDirectory() as directory:
        uri = f"models:/{experiment.dataset}/{before.version}"
        files = watched_runs.find(uri, Path(directory)).files
        card = read_card_file(files["card.yaml"])
        if not (card.step.tells and files[USUAL].exists()):
            return []
        spec = artifacts.read_json_record(files["model.json"], Spec)
        usual = artifacts.read_json_record(files[USUAL], Usual)
        scaler = artifacts.read_json_record(files["scaler.json"], Scaler)
        series = panel.read(HERE.series, experiment.card, watched(spec, card))
        return list(watch.changes(usual, card, spec, scaler, series, before.learned))


def _promoted(experiment: Experiment, trial: Trial, before: Champion | None) -> bool:
    """Make the run the champion if it is better; PipelineError if another rule refuses it."""
    found = _on_newest(experiment, trial, before) if before else None
    best, version = (before.behind, before.version) if before else (None, None)
    servable = logged_runs.has_signature(trial)
    reasons = promote.judge(trial, best, servable, newest=found)
    tags = promote.tell(trial, version, best, reasons)
    refused = [reason.rule for reason in reasons if not reason.holds]
    name = f"models:/{experiment.dataset}@{champion.ALIAS}"
    if not refused:
        made = champion.crown(trial, tags)
    logged_runs.tag(trial, tags)
    if not refused:
        print(f"{name} is version {made}, of run {trial.id[:8]}")
        return True
    if refused == [NEWEST]:
        print(f"{name} stays version {version}, which forecasts the newest rows better")
        return False
    raise PipelineError(f"run {trial.id[:8]}: not promoted: {', '.join(refused)}")


def _on_newest(experiment: Experiment, trial: Trial, before: Champion) -> Reason:
    """Whether the run's model is better than the champion on what is new to both; the scores."""
    determinism.settle(0)
    timeline = panel.read(HERE.series, experiment.card, []).timeline(experiment.card)
    learned = max(before.learned, splits.learned_until(experiment, timeline))
    old = f"version {before.version}"
    forecasters = {
        trial.id[:8]: Forecaster.load(stage_files(HERE, experiment.dataset)),
        old: champion.load(f"models:/{experiment.dataset}/{before.version}"),
    }
    found = newest.compare(experiment, HERE, forecasters, learned)
    _show(found)
    mine, its = found.scores.values()
    metric = metrics.deciding(mine)
    errors = metric.error(mine), metric.error(its)
    where = f"{found.origins:,} origins after {learned}, new to both"
    told = f"{metric.title} {errors[0]:.6g}, the champion's {errors[1]:.6g}, over {where}"
    return Reason(NEWEST, errors[0] < errors[1], told)


def _show(found: newest.Newest) -> None:
    """The scores of both on the same rows."""
    names = metrics.listed(next(iter(found.scores.values())), metrics.BRIEF)
    title = f"{found.origins:,} origins from {found.first} to {found.last}, new to both"
    shown = terminal.table(title)
    for heading in ("", *(metric.name for metric in names)):
        shown.add_column(heading, justify="right" if heading else "left")
    for name, scores in found.scores.items():
        cells = (f"{scores[m.name]:.4g}" if m.name in scores else "" for m in names)
        shown.add_row(name, *cells)
    terminal.show(shown, width=160)


def _refit_champion(experiment: Experiment, trial: Trial, before: Champion) -> None:
    """The same for a champion that stays, if it was made by the present settings.

    What is `auto` of them is for it what its own training chose.
    """
    old = before.behind
    with TemporaryDirectory() as directory:
        uri = f"models:/{experiment.dataset}/{before.version}"
        kept = watched_runs.find(uri, Path(directory)).files
        own = artifacts.read_json_record(kept["model.json"], Spec).chosen
        asked = (key for key in trial.params if not (key in own and key in experiment.chosen))
        if differing := [key for key in asked if old.params.get(key) != trial.params[key]]:
            print(
                f"version {before.version} is not refitted: it was made by other settings "
                f"({', '.join(differing)}), with which retrain --refit would do it"
            )
            return
        epochs = [best for _, _, best in logged_runs.losses(old)]
        _refit(experiment.after(own), old, epochs, kept)


def _refit(
    experiment: Experiment, trial: Trial, epochs: Sequence[int], kept: Mapping[str, Path]
) -> None:
    """Fit a run's model to all rows and make that the champion."""
    with TemporaryDirectory() as directory:
        layout = Layout(Path(directory), Path())
        history = refit.refit(experiment, HERE, layout, epochs, kept)
        every = replace(experiment, params=experiment.asked, refit=True)
        rows = len(panel.read(HERE.series, experiment.card, []).frame)
        made = refits.log(every, layout, trial, history, rows)
    how = f"{', '.join(map(str, epochs))} epochs, as validation chose"
    tags = {
        champion.DECISION: "refit",
        store.REFIT: trial.id,
        "promotion.refit": f"fitted to all {rows:,} rows in {how}; intervals of run {trial.id[:8]}",
    }
    version = champion.crown(made, tags)
    print(
        f"models:/{experiment.dataset}@{champion.ALIAS} is version {version}, run {made.id[:8]}: "
        f"fitted to all {rows:,} rows, {how}. Its intervals are those of run {trial.id[:8]}; "
        "monitor says whether they still hold"
    )
