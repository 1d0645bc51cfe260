"""An encoder that reads the window and a decoder that writes the steps."""

from math import prod

import keras
from keras import layers, ops

from pipeline.config.params import EncoderDecoder
from pipeline.models.recurrent import Known, cells, first_kernel, in_one_loop
from pipeline.models.spec import Spec


def seq2seq_lstm(
    window: keras.KerasTensor, model: EncoderDecoder, spec: Spec, known: Known
) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K] or [B, H, K, Q] by Sutskever et al. (2014) and Cho et al. (2014).

    Each decoder layer starts from the states of the encoder layer at its height. The lowest reads
    the encoder's last output at every step (Cho's context), not forecasts fed back, so that what is
    trained is what forecasts. Beside that context it reads what is known ahead of the step, so that
    a step's forecast rests on the plan up to it.
    """
    encoder = in_one_loop(cells("lstm", model, "encoder"), "encoder", return_state=True)
    seen, *states = encoder(window)  # [B, U], and h and C of each layer, [B, U] each
    seen = layers.Dropout(model.dropout, name="encoder_dropout")(seen)
    context = layers.RepeatVector(spec.horizon, name="context")(seen)  # [B, H, U]
    if known is not None:
        context = ops.concatenate([context, known], axis=2)  # [B, H, U + G]
    decoder = in_one_loop(cells("lstm", model, "decoder"), "decoder", return_sequences=True)
    steps = decoder(context, initial_state=states)  # [B, H, U]
    steps = layers.Dropout(model.dropout, name="decoder_dropout")(steps)
    shape = spec.outputs
    head = layers.Dense(prod(shape[1:]), kernel_initializer=first_kernel(spec), name="head")
    return ops.reshape(head(steps), (-1, *shape))
