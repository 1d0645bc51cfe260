"""Ingest: the raw table, verified, becomes a regular series; what is missing stays missing."""

from pipeline.config.experiment import Experiment
from pipeline.config.reading import raw_table
from pipeline.data import long_tables, panel, quality, raw_panel
from pipeline.data.sources import reading
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.runtime.progress import say


def ingest(experiment: Experiment, layout: Layout) -> None:
    """data/raw/NAME and its card -> data/ingested; what the table lacks is told."""
    card, raw = experiment.card, raw_table(experiment, layout)
    sha256 = reading.verify(raw, card)
    table, wanted = long_tables.read(raw, card), experiment.params.ingest.series
    series, given = raw_panel.to_panel(table, card, str(raw), wanted=wanted)
    found = quality.of_panel(series, given, card) | {"sha256": sha256}
    quality.check_usable(found, card, str(raw))
    for line in quality.remarks(found, card.targets):
        say(f"{raw}: {line}")
    panel.write(layout.series, series, card)
    artifacts.write_json(layout.quality, found)
