"""The tests run in a process of the pipeline's own kind, settled before any library is loaded."""

from pipeline.runtime import process

process.settle()
