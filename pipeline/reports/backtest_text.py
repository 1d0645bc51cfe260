"""What a backtest found, in words and tables."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import Any

from pipeline.evaluation import by_fold, metrics
from pipeline.evaluation.forecasts import MODEL
from pipeline.evaluation.metrics import OWN, Metric
from pipeline.experiments.backtest.study import LOCAL, Backtest
from pipeline.reports.formatting import number, percent

Table = tuple[list[str], list[list[str]]]
STEPS = 8  # steps ahead in a table, at most
SERIES = 20  # series in a table, at most


def label(name: str) -> str:
    """What a model or a baseline is called."""
    return name.replace("_", " ")


def scale(tested: Backtest) -> str:
    """The score that decides, with its unit."""
    metric, card = tested.metric, tested.base.card
    unit = card.columns[tested.base.targets[0]].unit if metric.unit == OWN else metric.unit
    return metric.title + f" ({unit})" * bool(unit)


def rivals(found: dict[str, Any]) -> list[str]:
    """The baselines."""
    return [name for name in found["mean"]["scores"] if name not in (MODEL, LOCAL)]


def best(tested: Backtest, found: dict[str, Any]) -> str:
    """The baseline with the smallest mean error."""
    return min(rivals(found), key=lambda name: (mean_error(tested, found, name), name))


def mean_error(tested: Backtest, found: dict[str, Any], name: str) -> float:
    """The mean of the folds' errors."""
    return fmean(tested.metric.error(fold["scores"][name]) for fold in found["folds"])


def plan(tested: Backtest, found: dict[str, Any]) -> str:
    """Which folds there are, and what is fitted for them."""
    settings, folds = tested.settings, found["folds"]
    if folds[0]["from"]:
        when = f", {starts(found)[0]} to {folds[-1]['to']}"
    else:
        when = ", the last of which ends with each series' test span"
    fits = len(settings.fits)
    learned = f"the {settings.window:,} rows" if settings.window else "all rows"
    gap = f" and a gap of {settings.gap:,} rows" if settings.gap else ""
    each = "1 fit learns" if fits == 1 else f"{fits} fits learn"
    return (
        f"{settings.folds} {'fold' if settings.folds == 1 else 'folds'} of {settings.step:,} "
        f"rows{when}; {each} from {learned} before validation{gap}."
    )


def starts(found: dict[str, Any]) -> list[str]:
    """When each fold begins; a day where all begin at midnight."""
    times = [str(fold["from"]) for fold in found["folds"]]
    days = [time.removesuffix(" 00:00:00") for time in times]
    return days if {*map(len, days)} == {len("2014-01-01")} else times


def by_fold_table(tested: Backtest, found: dict[str, Any]) -> Table:
    """Each fold's error, of the model and all beside it; mean and spread below."""
    metric, names = tested.metric, list(found["mean"]["scores"])
    several = 1 < len(tested.settings.fits) < tested.settings.folds
    dated = bool(found["folds"][0]["from"])
    header = ["fold", *["from"] * dated, *["fit"] * several, "n", *map(label, names)]
    lines = []
    for fold, start in zip(found["folds"], starts(found), strict=True):
        errors = [number(metric.value(fold["scores"][name])) for name in names]
        place = [start] * dated + [str(fold["fit"])] * several
        lines.append([str(fold["fold"]), *place, f"{fold['n']:,}", *errors])
    blank = [""] * (len(header) - len(names) - 1)
    values = {name: [metric.value(f["scores"][name]) for f in found["folds"]] for name in names}
    lines.append(["mean", *blank, *(number(fmean(values[name])) for name in names)])
    lines.append(["spread", *blank, *(number(_spread(values[name])) for name in names)])
    return header, lines


def models(tested: Backtest, found: dict[str, Any]) -> Table:
    """Mean and spread of the scores of each, the best first, and how often the model is better."""
    mean, spread = found["mean"]["scores"], found["spread"]["scores"]
    errors = {name: mean_error(tested, found, name) for name in mean}
    shown = [m for m in metrics.listed([*mean[MODEL]], metrics.TARGETS) if m.percent is None]
    header = ["by", *(m.name.replace("_", " ") for m in shown), "skill", "model better in"]
    lines = []
    folds = [fold["scores"] for fold in found["folds"]]
    for name in sorted(mean, key=lambda name: (errors[name], name != MODEL, name)):
        cells = [
            f"{number(mean[name][m.name])} ± {spread[name][m.name]:.2g}"
            if m.name in mean[name]
            else ""
            for m in shown
        ]
        skill = won = ""
        if name != MODEL:
            skill = percent(metrics.skill(errors[MODEL], errors[name]))
            won = f"{by_fold.wins(folds, MODEL, name)} of {len(folds)}"
        lines.append([label(name), *cells, skill, won])
    return header, lines


def intervals(found: dict[str, Any]) -> Table:
    """What the model's intervals hold in each fold, fixed and had they followed its errors."""
    held, wide = metrics.row("coverage"), metrics.row("width")
    kinds = [*held.rows(found["mean"]["rolling"]), *wide.rows(found["mean"]["rolling"])]
    kinds.sort(key=lambda kind: kind.percent or 0)
    header = ["fold"]
    for kind in kinds:
        name = f"{'holds' if kind.name.startswith('coverage') else 'width'} {kind.percent:g}"
        header += [name, f"{name} rolling"]
    lines = []
    means = {"fold": "mean", "scores": found["mean"]["scores"], "rolling": found["mean"]["rolling"]}
    for fold in (*found["folds"], means):
        cells = [
            _cell(kind, scores[kind.name])
            for kind in kinds
            for scores in (fold["scores"][MODEL], fold["rolling"])
        ]
        lines.append([str(fold["fold"]), *cells])
    return header, lines


def steps(tested: Backtest, found: dict[str, Any]) -> Table:
    """Mean and spread over folds of the error at some steps ahead; no line of a single step."""
    mean, spread = found["mean"]["by_horizon"], found["spread"]["by_horizon"]
    names = list(mean[MODEL])
    every = -(-len(names) // STEPS)
    shown = [step for i, step in enumerate(names) if i == 0 or (i + 1) % every == 0]
    lines = []
    for step in shown:
        cells = [_with_spread(tested.metric, mean[who][step], spread[who][step]) for who in mean]
        lines.append([step, *cells])
    return ["step", *map(label, mean)], lines if names[1:] else []


def series(tested: Backtest, found: dict[str, Any]) -> Table:
    """The mean error of each of many series, those first where the model is worst beside others."""
    metric = metrics.row("mae") if not tested.base.targets[1:] else tested.metric
    mean = found["mean"].get("by_series", {})
    if not mean:
        return [], []
    beside = [name for name in mean if name != MODEL]

    def skill(one: str) -> float:
        others = [metric.error(mean[name][one]) for name in beside if one in mean[name]]
        return -metric.error(mean[MODEL][one]) / (min(others, default=0) or 1)

    lines = [
        [one, *(number(metric.value(mean[name][one])) for name in mean)]
        for one in sorted(mean[MODEL], key=skill)
    ]
    return [f"mean {metric.title} of", *map(label, mean)], lines[:SERIES]


def notes(tested: Backtest, found: dict[str, Any]) -> list[str]:
    """What to know of the tables."""
    return [*_against(tested, found), *_held(found), *_scaled(found)]


def _against(tested: Backtest, found: dict[str, Any]) -> Iterator[str]:
    metric, mean, folds = tested.metric, found["mean"]["scores"], found["folds"]
    own = [fold["scores"] for fold in folds]
    of, name = len(folds), best(tested, found)
    others = [name, *[LOCAL] * (LOCAL in mean)]
    for other in others:
        who = "the models of one series each" if other == LOCAL else f"{label(other)}"
        why = "" if other == LOCAL else ", the best baseline on the mean,"
        yield (
            f"The model is better than {who}{why} in {by_fold.wins(own, MODEL, other)} of {of} "
            f"folds; its mean {metric.title} is {number(mean_error(tested, found, MODEL))}, "
            f"the other's {number(mean_error(tested, found, other))}."
        )
    errors = [metric.error(fold[MODEL]) for fold in own]
    if of > 1:
        worst = max(range(of), key=errors.__getitem__)
        yield (
            f"By fold its {metric.title} is {number(min(errors))} to {number(max(errors))}, the "
            f"largest in fold {worst + 1}."
        )


def _held(found: dict[str, Any]) -> Iterator[str]:
    for level in metrics.row("coverage").rows(found["mean"]["rolling"]):
        fixed = [fold["scores"][MODEL][level.name] for fold in found["folds"]]
        rolling = [fold["rolling"][level.name] for fold in found["folds"]]
        yield (
            f"Intervals of {level.percent:g}% hold {fmean(fixed):.1%} on the mean, "
            f"{min(fixed):.1%} to {max(fixed):.1%} by fold; had they followed the errors, "
            f"{fmean(rolling):.1%}, {min(rolling):.1%} to {max(rolling):.1%}."
        )


def _scaled(found: dict[str, Any]) -> Iterator[str]:
    """Of how many series, fold by fold, the mean MASE is, where not of all."""
    own = [
        one for fold in found["folds"] for one in fold.get("by_series", {MODEL: {}})[MODEL].values()
    ]
    if 0 < (scaled := sum("mase" in one for one in own)) < len(own):
        yield (
            f"The MASE is the mean over {scaled:,} of {len(own):,} series of folds: of the others, "
            "values a season apart before the first fold never differ, or there are none."
        )


def _with_spread(metric: Metric, mean: dict[str, float], spread: dict[str, float]) -> str:
    if metric.root:  # of a square, the spread has no root of its own
        return number(metric.value(mean))
    return f"{number(metric.value(mean))} ± {spread[metric.name]:.2g}"


def _cell(kind: Metric, value: float) -> str:
    return f"{value:.1%}" if kind.unit == "fraction" else number(value)


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if values[1:] else 0.0
