"""How good a forecast is: the metrics, and the scores by span, step, target and hour.

May import models, preparation, data and all below them, not forecasting or training.
"""
