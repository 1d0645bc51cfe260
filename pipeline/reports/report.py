"""The report of an experiment: its pictures and its text."""

import pandas as pd
from matplotlib.figure import Figure

from pipeline.config.cards import Card
from pipeline.config.experiment import Experiment
from pipeline.data.splits import SCORED
from pipeline.evaluation import scoring
from pipeline.experiments.evaluate import Evaluation
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.lstm import plots
from pipeline.lstm.memory_profile import memory_sentence
from pipeline.reports import interval_pictures, markdown, pictures
from pipeline.runtime import determinism


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
    )
    artifacts.write_text(layout.report, text)


def draw(
    experiment: Experiment, evaluation: Evaluation, history: pd.DataFrame
) -> dict[str, Figure]:
    """The pictures by name: errors by hour if steps are under a day, gaps if there are any."""
    card, names, series = experiment.card, experiment.targets, evaluation.series
    times, test = pd.DatetimeIndex(series.index), evaluation.forecasts["test"]
    # Pictures show the hours that people live by, as the card's table has them.
    local = times if times.tz is None else times.tz_convert(card.time.timezone).tz_localize(None)
    shown = series.set_axis(local)
    look_back, stretch = experiment.params.window.look_back, experiment.params.evaluate.stretch
    drawn = {
        "forecast": pictures.forecast(test, local, names, card, stretch),
        "intervals": interval_pictures.fan(test, local, names[0], card, stretch),
        "coverage": interval_pictures.coverage(evaluation.metrics, card, names[0]),
        "windows": pictures.windows(test, shown[names[0]], look_back, card),
        "error_by_horizon": pictures.error_by_horizon(evaluation.metrics, names, card),
        "residuals": pictures.residuals(test, names, card),
        "loss": pictures.loss(history),
    }
    if shown.isna().any(axis=None):
        ends = [evaluation.spans[span][0, 0] for span in SCORED]
        drawn["missing"] = pictures.missing(shown, ends, card)
    if card.step < pd.Timedelta("1D"):
        hours = scoring.by_hour(test, local.hour.to_numpy(), evaluation.yardstick)
        drawn["error_by_hour"] = pictures.error_by_hour(hours, evaluation.metrics, names, card)
    return drawn


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
    return {"1h": "hour", "1D": "day", "1min": "minute"}.get(card.frequency, "step")
