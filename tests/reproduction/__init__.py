"""Tests of pipeline.reproduction."""
