"""Ingest: the raw table, verified, becomes a regular series; what is missing stays missing."""

from pipeline.config.experiment import Experiment
from pipeline.config.reading import raw_table
from pipeline.data import quality, tables
from pipeline.files import artifacts
from pipeline.files.layout import Layout
from pipeline.runtime.progress import say


def ingest(experiment: Experiment, layout: Layout) -> None:
    """data/raw/NAME and its card -> data/ingested; what the table lacks is told."""
    card, raw = experiment.card, raw_table(experiment, layout)
    sha256 = tables.verify(raw, card)
    table = tables.read_table(raw, card)
    frame = tables.to_series(table, card, str(raw))
    found = quality.measure(frame, table, card) | {"sha256": sha256}
    quality.check_usable(found, card, str(raw))
    for line in quality.remarks(found, card.targets):
        say(f"{raw}: {line}")
    artifacts.write_frame(layout.series, frame)
    artifacts.write_json(layout.quality, found)
