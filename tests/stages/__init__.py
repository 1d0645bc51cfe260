"""Tests of pipeline.stages."""
