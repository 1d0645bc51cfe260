"""Filling gaps, scaling, features; fitted on the training span. May import data and all below."""
