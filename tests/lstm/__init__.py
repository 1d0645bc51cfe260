"""Tests of pipeline.lstm."""
