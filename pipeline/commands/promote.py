"""Make a run's model the champion if it is better, or go back to the previous champion."""

import argparse
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.config.params import Params
from pipeline.config.reading import read_params
from pipeline.errors import PipelineError
from pipeline.evaluation import metrics
from pipeline.reports.formatting import percent
from pipeline.repository import changed_params, provenance
from pipeline.tracking import backtest_scores, champion, logged_runs, store
from pipeline.tracking.logged_runs import Trial

TIE = 1e-5  # of its error: a baseline as a model has the baseline's, but for the last digits
OFF = 0.05  # of the test span's targets: what intervals hold beside what they promise
COMMITTED = {  # by the run's tags git.dirty and scores.git.dirty
    "false": "code and cards were committed",
    "true": "code or cards had changes that were not committed",
}
UNKNOWN = "of unknown commit, according to Git or dvc.lock; commit, then train again"


@dataclass(frozen=True)
class Reason:
    """One rule of promotion: whether it holds, and by which numbers."""

    rule: str
    holds: bool
    found: str


def judge(
    trial: Trial,
    best: Trial | None,
    servable: bool,
    by: str = "validation",
    newest: Reason | None = None,
) -> list[Reason]:
    """Every rule that a run must meet to become the champion in place of `best`, if any.

    `by` is whose errors decide: those of validation or, over the same folds, of backtests. But
    `newest` says so of a champion that has learned from an older state of the table.
    """
    of_training, of_scores = (
        COMMITTED.get(trial.tags.get(key, ""), UNKNOWN)
        for key in (provenance.DIRTY, provenance.SCORED + provenance.DIRTY)
    )
    both = f"training: {of_training}; scores: {of_scores}"
    committed = of_training if of_training == of_scores else both
    logged = f"a model with a signature {'is' if servable else 'is not'} logged with the run"
    reasons = [
        Reason("servable", servable, logged),
        Reason("clean", provenance.clean(trial.tags), committed),
    ]
    if by == "backtest":
        return [*reasons, *_by_backtest(trial, best)]
    reasons.append(_against_baselines(trial))
    if newest:
        return [*reasons, newest]
    if best is None:
        return [*reasons, Reason("champion", True, "there is no champion yet")]
    if best.id == trial.id:
        again = "it is the champion's own run, evaluated with other settings since"
        return [*reasons, Reason("champion", True, again)]
    differing = [key for key, value in trial.basis.items() if best.basis[key] != value]
    shared = "data, targets, horizon and split are the champion's"
    found = f"not the champion's: {', '.join(differing)}" if differing else shared
    reasons.append(Reason("same data", not differing, found))
    if not differing:  # else the two errors have no common measure
        errors = {span: (trial.error(span), best.error(span)) for span in ("validation", "test")}
        told = "; ".join(
            f"{span} {trial.metric.title} {mine:.6g}, the champion's {its:.6g}"
            for span, (mine, its) in errors.items()
        )
        mine, its = errors["validation"]
        reasons.append(Reason("champion", mine < its, told))
    return reasons


def missed_promises(trial: Trial) -> list[str]:
    """What the intervals of each level hold of test, where that is far from the promise."""
    levels = metrics.row("coverage").rows(trial.scores, "test/")
    return [
        f"intervals of {level.percent:g}% hold {found:.1%} of the test span"
        for level in levels
        if abs((found := level.value(trial.scores, "test/")) - level.best) > OFF
    ]


def _against_baselines(trial: Trial) -> Reason:
    """Validation decides, as it chose the model; the test span is only reported."""
    spans = {span: trial.baselines(span) for span in ("validation", "test")}
    if not spans["validation"]:
        found = (
            "the run has no validation scores of its baselines, because older code made it; run "
            "its experiment again with this code"
        )
        return Reason("baselines", False, found)
    told = []
    for span, errors in spans.items():
        mine, (best, its) = trial.error(span), next(iter(errors.items()))
        skill = percent(metrics.skill(mine, its)) or "not defined"
        told.append(
            f"{span} {trial.metric.title} {mine:.6g}, the best of {', '.join(errors)} is {best} "
            f"with {its:.6g} (skill {skill})"
        )
    return Reason("baselines", rival(trial) is None, "; ".join(told))


def _by_backtest(trial: Trial, best: Trial | None) -> list[Reason]:
    """Better than each baseline on the mean over the folds, and than the champion over the same."""
    both = backtest_scores.pair(trial, best) if best else None
    mine = both[0] if both else next(iter(backtest_scores.of([trial])), None)
    if mine is None:
        return [Reason("backtest", False, f"the run has no backtest; {backtest_scores.HOW}")]
    title, own = mine.metric.title, mine.errors()
    rule, its = next(iter(mine.baselines.items()))
    won = sum(a < b for a, b in zip(own, mine.errors(rule), strict=True))
    same = rule.startswith(trial.params["train.model.name"]) and mine.error() <= its * (1 + TIE)
    found = (
        f"mean {title} {mine.error():.6g} over {mine.described}, the best of "
        f"{', '.join(mine.baselines)} is {rule} with {its:.6g}; better in {won} of {len(own)} folds"
    )
    reasons = [Reason("baselines", mine.error() < its or same, found)]
    if best is None:
        return [*reasons, Reason("champion", True, "there is no champion yet")]
    if best.id == trial.id:
        again = "it is the champion's own run, evaluated with other settings since"
        return [*reasons, Reason("champion", True, again)]
    if both is None:
        lacks = (
            f"the champion ({best.short}) has no backtest over these folds ({mine.described}); "
            f"{backtest_scores.HOW}"
        )
        return [*reasons, Reason("champion", False, lacks)]
    theirs = both[1]
    won = sum(a < b for a, b in zip(own, theirs.errors(), strict=True))
    found = (
        f"mean {title} {mine.error():.6g} ({mine.how}), the champion's {theirs.error():.6g} "
        f"({theirs.how}); better in {won} of {len(own)} folds"
    )
    return [*reasons, Reason("champion", mine.error() < theirs.error(), found)]


def rival(trial: Trial) -> str | None:
    """The baseline that the run's model loses to on validation; None if it loses to none."""
    for best, its in trial.baselines("validation").items():
        mine = trial.error("validation")
        same = best.startswith(trial.params["train.model.name"])
        return None if mine < its or (same and mine <= its * (1 + TIE)) else best
    return None


def as_model(baseline: str, trial: Trial, card: Mapping[str, Any], now: Params) -> str:
    """The command that makes a run whose model is the baseline, by the card that the run kept.

    What is a number or a word of the windows and of what is done to the series is as the run had
    it, where `now` has it otherwise.
    """
    name, _, season = baseline.partition("seasonal_naive")
    rows = season[1:] or card.get("season", ["ROWS"])[0]
    model = f"{{name: {baseline}}}" if name else f"{{name: seasonal_naive, season: {rows}}}"
    for one in json.loads(trial.tags.get(store.EVALUATE, "{}")).get("baselines", []):
        if isinstance(one, dict) and one["name"] == baseline:  # with keys of its own
            model = changed_params.setting(one)
    data = shlex.quote(f"ingest.dataset={changed_params.setting(trial.params['ingest.dataset'])}")
    wrappers = [f"train.{key}" for key in ("residual", "normalisation")]
    off = "".join(f" -S {key}=none" for key in wrappers if trial.params.get(key, "none") != "none")
    present = now.flat()
    then = "".join(
        f" -S {key}={value}"
        for key, value in trial.params.items()
        if key.startswith(("impute_scale.", "window."))
        and key in present
        and isinstance(present[key], str | int | float)
        and str(present[key]) != value
    )
    own = shlex.quote(f"+train.model={model}")
    return f"dvc exp run -S {data} -S '~train.model' -S {own}{off}{then}"


def promote(wanted: str, dry: bool, by: str = "validation") -> None:
    """Judge a run, say why, and make it the champion if every rule holds."""
    trial = logged_runs.find(wanted)
    name = trial.params["ingest.dataset"]
    holder = champion.current(name)
    best = logged_runs.find(champion.judged_by(holder)) if holder else None
    if holder and champion.serves(holder, trial):
        raise PipelineError(f"run {wanted}: it is already the champion of {name}")
    if holder and best and best.id == trial.id != holder.run_id:
        raise PipelineError(
            f"run {wanted}: the champion of {name} is its refit to all rows; make rollback goes "
            "back to the run itself"
        )
    reasons = judge(trial, best, logged_runs.has_signature(trial), by)
    tags = tell(trial, str(holder.version) if holder else None, best, reasons)
    refused = [reason.rule for reason in reasons if not reason.holds]
    if dry:
        print(f"would be {tags[champion.DECISION]}; nothing was changed")
        return
    if not refused:
        version = champion.crown(trial, tags)
    logged_runs.tag(trial, tags)
    if refused:
        better = rival(trial) if by == "validation" else None
        of = " of the look-back" * (better == "drift")  # the report's begins with the series
        command = as_model(better, trial, logged_runs.card(trial), read_params()) if better else ""
        advice = better and f"; {better}{of} is a model too: {command}"
        raise PipelineError(f"run {wanted}: not promoted: {', '.join(refused)}{advice or ''}")
    print(f"models:/{name}@{champion.ALIAS} is version {version}")


def tell(
    trial: Trial, version: str | None, best: Trial | None, reasons: Sequence[Reason]
) -> dict[str, str]:
    """Say by what rules a run is judged; the same as tags of the run and of its version.

    `version` and `best` are the champion's, if there is one.
    """
    name = trial.params["ingest.dataset"]
    against = f"the champion, version {version}" if version else "no champion"
    print(f"{trial.name} ({trial.id[:8]}) against {against} of {name}:")
    for reason in reasons:
        print(f"  {'yes' if reason.holds else 'NO '}  {reason.rule}: {reason.found}")
    others = [("the champion's", best)] if best and best.id != trial.id else []
    missed = [
        f"{whose} {line}"
        for whose, one in [("this run's", trial), *others]
        for line in missed_promises(one)
    ]
    for line in missed:
        print(f"  note  {line}")
    refused = [reason.rule for reason in reasons if not reason.holds]
    tags = {champion.DECISION: "refused" if refused else "promoted"}
    for reason in reasons:
        key = f"promotion.{reason.rule.replace(' ', '_')}"
        tags[key] = f"{'yes' if reason.holds else 'no'}: {reason.found}"
    if missed:
        tags["promotion.coverage"] = "; ".join(missed)
    return tags


def roll_back(name: str, dry: bool) -> None:
    """Give the champion's place back to the version that it replaced."""
    holder, before = champion.predecessor(name)
    if dry:
        print(f"would go from version {holder.version} back to {before.version}; nothing changed")
        return
    champion.restore(holder, before)
    print(f"models:/{name}@{champion.ALIAS} is version {before.version} again")


def main() -> None:
    """Judge a run and promote it, take a promotion back, or say who is the champion."""
    parser = argparse.ArgumentParser(description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="a run's id, its first characters, or the name of its DVC experiment",
    )
    what.add_argument("--rollback", action="store_true", help="back to the previous champion")
    what.add_argument("--show", action="store_true", help="say which version is the champion")
    parser.add_argument(
        "--by",
        choices=("validation", "backtest"),
        default="validation",
        help="whose errors decide: validation's, or those of backtests over the same folds",
    )
    parser.add_argument("--dry-run", action="store_true", help="say what would happen, and why")
    options = parser.parse_args()
    with logged_runs.answering():
        if options.rollback:
            roll_back(read_params().ingest.dataset, options.dry_run)
        elif options.show:
            holder = champion.holder(read_params().ingest.dataset)
            of = f"version {holder.version}, of run {holder.run_id}"
            print(f"models:/{holder.name}@{champion.ALIAS} is {of}")
        else:
            promote(options.run, options.dry_run, options.by)
