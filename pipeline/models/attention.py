"""Temporal pattern attention: which state units matter, judged by their course over the window."""

import keras
from keras import layers, ops

from pipeline.config.params import Attention
from pipeline.models.recurrent import Known, encode, head
from pipeline.models.spec import Spec


def attention_lstm(
    window: keras.KerasTensor, model: Attention, spec: Spec, known: Known
) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K] by Shih, Sun and Lee (2019), arXiv 1809.04206, equations 9 to 13.

    Each unit's states before the last are matched with filters as long as they are; the last state
    says how much of each unit's matches to keep.
    """
    units = model.units[-1]
    states = encode(window, model, sequences=True)  # [B, L, U]
    newest = states[:, -1, :]  # [B, U]
    courses = ops.transpose(states[:, :-1, :], (0, 2, 1))  # [B, U, L - 1]
    patterns = layers.Dense(model.filters, use_bias=False, name="patterns")(courses)
    query = layers.Dense(model.filters, use_bias=False, name="query")(newest)
    match = ops.sum(patterns * ops.expand_dims(query, 1), axis=2, keepdims=True)  # [B, U, 1]
    context = ops.sum(ops.sigmoid(match) * patterns, axis=1)  # [B, filters]
    state = layers.Dense(units, use_bias=False, name="state")(newest)
    state += layers.Dense(units, use_bias=False, name="context")(context)
    return head(state, spec, known)
