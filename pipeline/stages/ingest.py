"""Ingest: the raw table, verified, becomes a regular series; what is missing stays missing."""

import sys

from pipeline import artifacts, hashing, paths, quality, series
from pipeline.config import check_unchanged, raw_table, read_experiment
from pipeline.process import run


def main() -> None:
    """data/raw/NAME.csv and its card -> data/ingested."""
    params, card = read_experiment()
    raw = raw_table(params, card)
    series.verify(raw, card)
    table = series.read_table(raw, card)
    frame = series.to_series(table, card, str(raw))
    found = quality.measure(frame, table, card) | {"sha256": hashing.sha256(raw)}
    quality.check_usable(found, card, str(raw))
    for line in quality.remarks(found, card.targets):
        print(f"{raw}: {line}", file=sys.stderr)
    artifacts.write_frame(paths.SERIES, frame)
    artifacts.write_json(paths.QUALITY, found)
    check_unchanged(params, card)


if __name__ == "__main__":
    run(main)
