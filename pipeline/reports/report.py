"""The report of an experiment: its pictures and its text."""

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.config.steps import Fixed
from pipeline.data.splits import SCORED
from pipeline.evaluation import by_series, scoring
from pipeline.evaluation.forecasts import Forecasts
from pipeline.experiments.evaluate import Evaluation
from pipeline.files import artifacts, on_disk
from pipeline.files.layout import Layout
from pipeline.lstm import plots
from pipeline.lstm.memory_profile import memory_sentence
from pipeline.reports import interval_pictures, markdown, pictures, series_pictures
from pipeline.reports.formatting import escape_mathtext
from pipeline.runtime import determinism

# Pictures of one series, of many the middle one.
OF_ONE = ("forecast", "intervals", "windows", "missing")


def write(experiment: Experiment, layout: Layout, evaluation: Evaluation) -> None:
    """data/reports/plots and data/reports/report.md."""
    history, memory = pd.read_csv(layout.history), evaluation.memory
    drawn, remembered = draw(experiment, evaluation, history), draw_memory(experiment, evaluation)
    for name, figure in (drawn | remembered).items():
        artifacts.write_figure(layout.plots / f"{name}.png", figure)
    unit = _unit(experiment.card)
    said = (memory_sentence(memory.profile, unit), list(remembered)) if memory else None
    text = markdown.markdown(
        experiment,
        evaluation.metrics,
        history,
        artifacts.read_json(layout.quality),
        list(drawn),
        said,
        determinism.versions(),
        evaluation.by_series if experiment.card.series else None,
    )
    artifacts.write_text(layout.report, text)


def draw(
    experiment: Experiment, evaluation: Evaluation, history: pd.DataFrame
) -> dict[str, Figure]:
    """The pictures by name: errors by hour if steps are under a day, gaps if there are any."""
    card, names, every = experiment.card, experiment.targets, evaluation.forecasts["test"]
    number = _middle(evaluation)
    test, shown = alone(evaluation, number, card)
    local = pd.DatetimeIndex(shown.index)
    look_back, stretch = experiment.params.window.look_back, experiment.params.evaluate.stretch
    drawn = {
        "forecast": pictures.forecast(test, local, names, card, stretch),
        "intervals": interval_pictures.fan(test, local, names[0], card, stretch),
        "coverage": interval_pictures.coverage(evaluation.metrics, card, names[0]),
        "windows": pictures.windows(test, shown[names[0]], look_back, card),
        "error_by_horizon": pictures.error_by_horizon(evaluation.metrics, names, card),
        "residuals": pictures.residuals(every, names, card),
        "loss": pictures.loss(history),
    }
    if shown.isna().any(axis=None):
        first = evaluation.series.borders.firsts[number]
        ends = [evaluation.spans[span][number, 0] - first for span in SCORED]
        drawn["missing"] = pictures.missing(shown, ends, card)
    clock = _local(evaluation.series.frame, card)
    if not card.step.daily and _hours(clock) > 1:
        hours = scoring.by_hour(every, clock, evaluation.yardstick)
        drawn["error_by_hour"] = pictures.error_by_hour(hours, evaluation.metrics, names, card)
    if card.series:
        name = evaluation.series.borders.names[number]
        for figure in (drawn[key] for key in OF_ONE if key in drawn):
            figure.suptitle(escape_mathtext(f"{card.series} {name}"), x=0.01, ha="left")
        drawn |= _of_many(experiment, evaluation)
    return drawn


def alone(evaluation: Evaluation, number: int, card: Card) -> tuple[Forecasts, pd.DataFrame]:
    """The test forecasts of one series, and its rows, by the hours that people live by."""
    borders, test = evaluation.series.borders, evaluation.forecasts["test"]
    name, first, end = borders.names[number], *borders.edges[number : number + 2]
    frame = evaluation.series.frame.iloc[first:end]
    own = test.of(dict(test.series())[name])
    made = replace(own, origins=own.origins - first, borders=None)
    return made, frame.set_axis(_local(frame, card))


def _local(frame: pd.DataFrame, card: Card) -> pd.DatetimeIndex:
    times = pd.DatetimeIndex(frame.index)
    return times if times.tz is None else times.tz_convert(card.time.timezone).tz_localize(None)


def _hours(times: pd.DatetimeIndex) -> int:
    """How many hours of the day there are."""
    parts = (times[part].hour.unique() for part in on_disk.blocks(len(times)))
    return len({hour for part in parts for hour in part})


def _middle(evaluation: Evaluation) -> int:
    """The number of the series that is shown: of many, the middle one by its scores."""
    ranked = by_series.ranked(evaluation.by_series)[0]
    name = str(ranked.iloc[len(ranked) // 2, 0])
    names = evaluation.series.borders.names
    return names.index(name)


def _of_many(experiment: Experiment, evaluation: Evaluation) -> dict[str, Figure]:
    """Skill over series, and the worst ones with their forecasts."""
    card, names = experiment.card, evaluation.series.borders.names
    ranked, by = by_series.ranked(evaluation.by_series)
    known = ranked.dropna(subset=[by])
    worst = [str(name) for name in known.iloc[::-1, 0][: series_pictures.WORST]]
    found = {name: alone(evaluation, names.index(name), card) for name in worst}
    stretch, target = experiment.params.evaluate.stretch, experiment.targets[0]
    return {
        "skill_by_series": series_pictures.skill(evaluation.by_series, card),
        "worst_series": series_pictures.worst(found, target, card, stretch),
    }


def draw_memory(experiment: Experiment, evaluation: Evaluation) -> dict[str, Figure]:
    """Of a recurrent network, the influence by age, and the gates of an LSTM's first layer."""
    memory, unit = evaluation.memory, _unit(experiment.card)
    if memory is None:
        return {}
    drawn = {"memory": plots.memory_figure(memory.profile, unit)}
    if memory.gates:
        title = "Gates of the first layer over one window"
        drawn["gates"] = plots.gate_figure(memory.gates, memory.windows // 2, unit, title)
    return drawn


def _unit(card: Card) -> str:
    if isinstance(card.step, Fixed):
        return {"1h": "hour", "1D": "day", "1min": "minute"}.get(card.frequency, "step")
    count, _, unit = card.step.name.partition(" ")
    return unit if count == "1" else "step"
