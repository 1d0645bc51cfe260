"""Evaluate: forecast validation and test as a user would, score beside naive rules, report."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.evaluate")  # settles it, then imports the rest

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.config.experiment import check_unchanged, read_experiment, ridge_left_out, split
from pipeline.data import tables
from pipeline.data.splits import spans
from pipeline.data.windows import Rows, Runs
from pipeline.evaluation import scoring
from pipeline.evaluation.scoring import MODEL, Forecasts, Yardstick
from pipeline.files import artifacts, paths
from pipeline.forecasting.forecaster import Forecaster, stage_files
from pipeline.models.baselines import naive
from pipeline.models.ridge import fit_ridge
from pipeline.preparation.training_windows import Count
from pipeline.reports import markdown, memory, page, pictures
from pipeline.runtime import determinism
from pipeline.tracking import publishing


def main() -> None:
    """The raw table, data/model and data/windows -> data/reports, and scores to MLflow."""
    params, card = read_experiment()
    determinism.settle(params.train.seed)
    forecaster = Forecaster.load(stage_files(params.ingest.dataset))
    spec = forecaster.spec
    raw = paths.raw_table(params.ingest.dataset)
    regular = forecaster.read(tables.read_table(raw, card), str(raw))
    prepared = forecaster.prepare(regular)
    full = artifacts.read_frame(paths.SERIES)
    targets, times = full[list(spec.targets)], pd.DatetimeIndex(full.index)
    starts = {
        name: np.asarray(Runs(artifacts.read_array(paths.windows(name))))
        for name in ("train", "validation", "test")
    }
    with_ridge = not ridge_left_out(params, card)
    forecasts = _forecasts(forecaster, prepared, targets, starts, with_ridge)

    rows = spans(split(params, card), times[0], card.step, len(times), card.time.timezone)
    yardstick = Yardstick.of(targets.iloc[slice(*rows.train)], card.season)
    metrics = scoring.report(forecasts, spec.targets, yardstick, card.spans)
    remembered = memory.explain(spec, card, paths.WEIGHTS, prepared, starts["validation"])
    if remembered:
        metrics["memory"] = remembered.scores
    metrics = scoring.rounded(metrics)
    count = artifacts.read_json_record(paths.WINDOWS_QUALITY, Count)
    metrics["training_windows"] = count.model_dump()
    limit = forecaster.imputer.limit
    metrics["test_origins"] = scoring.in_gaps(targets, forecasts["test"].origins, limit)
    history = pd.read_csv(paths.HISTORY)
    artifacts.write_json(paths.METRICS, metrics)
    artifacts.write_json(paths.SUMMARY, scoring.summary(metrics))
    artifacts.write_frame(paths.PREDICTIONS, scoring.table(forecasts, spec.targets, times))

    test, names = forecasts["test"], spec.targets
    # Pictures show the hours that people live by, as the card's table has them.
    local = times if times.tz is None else times.tz_convert(card.time.timezone).tz_localize(None)
    shown = full.set_axis(local)
    drawn = {
        "forecast": pictures.forecast(test, local, names, card, params.evaluate.stretch),
        "windows": pictures.windows(test, shown[names[0]], spec.look_back, card),
        "error_by_horizon": pictures.error_by_horizon(metrics, names, card),
        "residuals": pictures.residuals(test, names, card),
        "loss": pictures.loss(history),
    }
    if shown.isna().any(axis=None):
        drawn["missing"] = pictures.missing(shown, [rows.validation[0], rows.test[0]], card)
    if card.step < pd.Timedelta("1D"):
        hours = scoring.by_hour(test, local.hour.to_numpy(), yardstick)
        drawn["error_by_hour"] = pictures.error_by_hour(hours, names, card)
    remembered_pictures = remembered.pictures if remembered else {}
    for name, figure in (drawn | remembered_pictures).items():
        artifacts.write_figure(paths.PLOTS / f"{name}.png", figure)
    quality = artifacts.read_json(paths.QUALITY)
    artifacts.write_text(
        paths.REPORT,
        markdown.markdown(
            params,
            card,
            metrics,
            history,
            quality,
            list(drawn),
            remembered,
            determinism.versions(),
        ),
    )
    markdown.show(metrics, markdown.heading(params, card))
    check_unchanged(params, card)
    publishing.publish_or_warn(params, card, page.of_report(params, card))


def _forecasts(
    forecaster: Forecaster,
    prepared: npt.NDArray[np.float32],
    targets: pd.DataFrame,
    starts: dict[str, Rows],
    with_ridge: bool,
) -> dict[str, Forecasts]:
    """Validation and test by the model and the baselines."""
    spec, baselines = forecaster.spec, naive(forecaster.card.seasons)
    forecasts = {}
    for name in ("validation", "test"):
        origins = starts[name] + spec.look_back - 1
        by = {baseline: of(targets, origins, spec.horizon) for baseline, of in baselines.items()}
        forecasts[name] = Forecasts(
            origins,
            scoring.observed(targets, origins, spec.horizon),
            {MODEL: forecaster.forecast(prepared, origins), **by},
        )
    if with_ridge:
        ridge = fit_ridge(
            forecaster.scaler.linear(prepared, spec.features),
            forecaster.scaler.standardise(targets.to_numpy(), spec.targets),
            starts["train"],
            starts["validation"],
            spec.look_back,
            spec.horizon,
        )
        for name, made in forecasts.items():
            made.by["ridge"] = forecaster.units(ridge(starts[name]))
    return forecasts
