"""Tests of pipeline.forecasting."""
