"""Between series and windows: filling gaps, scaling, and the features a network sees.

Fitted on the training span alone. May import data and all below it.
"""
