"""Window: the origins of each span's windows; an index, not copies."""

from pipeline.runtime import process

if __name__ == "__main__":
    process.start("pipeline.stages.window")  # settles it, then imports the rest

from pipeline.config.reading import stage
from pipeline.experiments.window import window

main = stage(window)
