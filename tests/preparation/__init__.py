"""Tests of pipeline.preparation."""
