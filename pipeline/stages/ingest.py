"""Ingest: the raw table, verified, becomes a regular series; what is missing stays missing."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.ingest")  # settles it, then imports the rest

import sys

from pipeline.config.experiment import begin_stage, check_unchanged, raw_table
from pipeline.data import quality, tables
from pipeline.files import artifacts, paths


def main() -> None:
    """data/raw/NAME and its card -> data/ingested."""
    params, card = begin_stage()
    raw = raw_table(params, card)
    sha256 = tables.verify(raw, card)
    table = tables.read_table(raw, card)
    frame = tables.to_series(table, card, str(raw))
    found = quality.measure(frame, table, card) | {"sha256": sha256}
    quality.check_usable(found, card, str(raw))
    for line in quality.remarks(found, card.targets):
        print(f"{raw}: {line}", file=sys.stderr)
    artifacts.write_frame(paths.SERIES, frame)
    artifacts.write_json(paths.QUALITY, found)
    check_unchanged(params, card)
