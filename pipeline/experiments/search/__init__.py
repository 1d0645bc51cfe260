"""Searching settings: which are tried, each trial, and what a search found."""
