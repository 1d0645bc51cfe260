"""The fit of a network: batches gathered from the index, the update, the losses, the epochs.

What needs TensorFlow beyond Keras is here. May import models and all below them, not evaluation or
forecasting.
"""
