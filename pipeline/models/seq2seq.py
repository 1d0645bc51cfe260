"""An encoder that reads the window and a decoder that writes the steps."""

import keras
from keras import layers

from pipeline.config import EncoderDecoder
from pipeline.models.recurrent import first_kernel, options
from pipeline.models.spec import Spec


def seq2seq_lstm(window: keras.KerasTensor, model: EncoderDecoder, spec: Spec) -> keras.KerasTensor:
    """[B, L, F] -> [B, H, K] by Sutskever et al. (2014) and Cho et al. (2014).

    Each decoder layer starts from the states of the encoder layer at its height. The lowest reads
    the encoder's last output at every step (Cho's context), not forecasts fed back, so that what is
    trained is what forecasts.
    """
    seen, states = window, []
    for i, units in enumerate(model.units, start=1):
        seen, *state = layers.LSTM(
            units, return_sequences=True, return_state=True, name=f"encoder_{i}", **options(model)
        )(seen)  # [B, L, U], and h and C, [B, U] each
        seen = layers.Dropout(model.dropout, name=f"encoder_dropout_{i}")(seen)
        states.append(state)
    steps = layers.RepeatVector(spec.horizon, name="context")(seen[:, -1, :])  # [B, H, U]
    for i, (units, state) in enumerate(zip(model.units, states, strict=True), start=1):
        steps = layers.LSTM(units, return_sequences=True, name=f"decoder_{i}", **options(model))(
            steps, initial_state=state
        )
        steps = layers.Dropout(model.dropout, name=f"decoder_dropout_{i}")(steps)
    return layers.Dense(len(spec.targets), kernel_initializer=first_kernel(spec), name="head")(
        steps
    )
