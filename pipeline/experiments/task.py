"""The task of an experiment: what train fits the model on, and evaluate the baselines."""

from pipeline.config.experiment import Experiment
from pipeline.config.holidays import Named
from pipeline.data import panel
from pipeline.data.panel import Panel
from pipeline.data.windows import Runs, whole
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.models.spec import Spec
from pipeline.models.task import Seen, Task
from pipeline.preparation.features import Gaps
from pipeline.preparation.scaling import Scaler


def prepared(experiment: Experiment, layout: Layout, series: Panel | None = None) -> Task:
    """From data/ingested, data/prepared and data/windows; `series` are ingest's, if read before."""
    named = artifacts.read_json_record(layout.windows_holidays, Named)
    spec, card = Spec.of(experiment, named.by_feature), experiment.card
    scaler = artifacts.read_json_record(layout.scaler, Scaler)
    series = series or panel.read(layout.series, card)
    values = artifacts.read_array(layout.values)
    channels = [name for group in card.channels.values() for name in group]
    limit = experiment.params.impute_scale.imputation.limit
    gaps = Gaps(artifacts.read_array(layout.imputed), limit)
    seen = Seen.of(spec, card, scaler, series.frame, values, channels, gaps, series.borders)
    needed = spec.rows_seen(card.season)
    origins = (
        whole(Runs(artifacts.read_array(layout.origins(span))), series.borders.firsts, needed)
        for span in ("train", "validation")
    )
    return Task(spec, scaler, seen, *origins)
