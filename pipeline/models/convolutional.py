"""A convolution over time that feeds a stack of LSTM layers."""

import keras
from keras import layers

from pipeline.config.params import Convolutional
from pipeline.models.recurrent import Known, encode, head
from pipeline.models.spec import Spec


def cnn_lstm(
    window: keras.KerasTensor, model: Convolutional, spec: Spec, known: Known
) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K]: filters over rows, a pooling, LSTM layers (Sainath et al. 2015)."""
    patterns = layers.Conv1D(
        model.filters, model.kernel, padding="causal", activation="relu", name="convolution"
    )(window)  # [B, L, filters]
    pooled = layers.MaxPooling1D(model.pool, padding="same", name="pooling")(patterns)
    return head(encode(pooled, model), spec, known)
