"""Tests of pipeline.files."""
