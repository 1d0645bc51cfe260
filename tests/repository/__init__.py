"""Tests of pipeline.repository."""
