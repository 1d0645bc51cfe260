"""Recurrent layers one after the other instead of in one loop: on a GPU by cuDNN's kernels.

On a processor, a loop over the steps with all layers in it keeps several cores busy. On a GPU it
starts many small kernels a step, where cuDNN has one for all steps of a layer. The weights, their
names and what is dropped are the same, so that a model trained on one is served on the other.
"""

from typing import Any

import keras
from keras import layers

# What cuDNN has: Keras' layer of a cell, tanh as activation, sigmoid in the gates.
KINDS = {layers.LSTMCell: layers.LSTM, layers.GRUCell: layers.GRU}


def has_kernel(stack: list[layers.Layer]) -> bool:
    """Whether Keras has cuDNN's kernels for each of the cells."""
    return all(_kind(cell) and cell.activation is keras.activations.tanh for cell in stack)


@keras.saving.register_keras_serializable("pipeline")  # Bidirectional makes two of one by it
class RNN(layers.RNN):
    """Keras' layer of the same name, which names its place in the file of weights."""

    def __init__(self, cell: Any, **options: Any) -> None:
        super().__init__(cell, **options)
        self.supports_jit = False  # XLA has no cuDNN
        alone = not isinstance(cell, layers.StackedRNNCells)
        stack = [cell] if alone else cell.cells
        below = [_layer(one, True, self.go_backwards) for one in stack[:-1]]
        made = [*below, _layer(stack[-1], self.return_sequences, self.go_backwards)]
        # By a function, since Keras would take the layers' weights for more weights of this one.
        self.made, self.alone = lambda: made, alone

    def inner_loop(
        self, sequences: Any, initial_state: Any, mask: Any, training: bool = False
    ) -> tuple[Any, Any, Any]:
        """The last output, [B, U], all of them, [B, L, U], and the last states of each layer."""
        begin = [initial_state] if self.alone else initial_state
        last, found = sequences, []
        for layer, state in zip(self.made(), begin, strict=True):
            given = state if keras.tree.is_nested(state) else [state]
            last, sequences, after = layer.inner_loop(sequences, given, mask, training)
            found.append(after if len(after) > 1 else after[0])
        return last, sequences, keras.tree.flatten(found) if self.alone else found


def _kind(cell: layers.Layer) -> type[layers.RNN] | None:
    return next((kind for own, kind in KINDS.items() if isinstance(cell, own)), None)


def _layer(cell: layers.Layer, sequences: bool, backwards: bool) -> Any:
    """Keras' layer around a cell, which computes with the cell's weights."""
    # Its own cell is thrown away, and must not draw from what seeds the others.
    drawing = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros", "seed": 0}
    options = {"return_sequences": sequences, "go_backwards": backwards}
    layer = _kind(cell)(cell.units, **drawing, **options)  # type: ignore[misc]
    layer.cell = cell
    return layer
