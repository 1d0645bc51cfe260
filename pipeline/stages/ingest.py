"""Ingest: the raw table, verified, becomes a regular series; what is missing stays missing."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.ingest")  # settles it, then imports the rest

from pipeline.config.reading import stage
from pipeline.experiments.ingest import ingest

main = stage(ingest)
