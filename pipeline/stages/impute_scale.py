"""Impute and scale: fitted on the training span alone, applied to all; the mask is kept."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.impute_scale")  # settles it, then imports the rest

from pipeline.config.reading import stage
from pipeline.experiments.impute_scale import impute_scale

main = stage(impute_scale)
