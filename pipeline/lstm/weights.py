"""Read the weights that Keras 3 wrote, without Keras.

In a `.weights.h5` file each layer is a group named after its class (`layers/lstm`, `layers/lstm_1`,
...). The layer's own name is the attribute `name` of the group's child `vars`, and its arrays are
`vars/0`, `vars/1`, ...; a recurrent layer keeps them one group deeper, under `cell`. Where that is
a stack of cells (`cell/cells/lstm_cell`, ...), each has a name and arrays as a layer has.
"""

import re
from collections.abc import Collection
from pathlib import Path

import h5py
import numpy as np

from pipeline.lstm.cell import Array, from_keras
from pipeline.lstm.elman import Elman
from pipeline.lstm.joined import Recurrent
from pipeline.lstm.stack import Dense

# State that no forecast reads: the optimizer's, and that of dropout's random numbers.
NOT_READ = re.compile(r"^optimizer/|(^|/)seed_generator/")


def read_keras_weights(
    path: Path | str, beside: Collection[str] = (), inside: str = ""
) -> tuple[tuple[Recurrent, ...], Dense, dict[str, list[Array]]]:
    """Layers, bottom first, head, and other arrays of a model saved by `model.save_weights`.

    The model is `recurrent_1`, `recurrent_2`, ... (all `LSTM`, or all `SimpleRNN`) and a linear
    `Dense` named `head`; layers without weights may stand between. The file does not say which
    activation they have: the caller must know, and the gates' is taken to be sigmoid.

    `beside` names further layers that the caller knows what to do with: their arrays come third.
    `inside` is the group of a model that is a layer of the one saved, such as `layers/functional`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not HDF5, a layer is missing or unknown, or its arrays have other shapes.
    """
    try:
        with h5py.File(path, "r") as file:
            found = arrays_by_layer(file[inside] if inside else file)
    except FileNotFoundError:
        raise
    except KeyError:
        raise ValueError(f"{path}: expected a group {inside}, found none") from None
    except OSError as error:
        raise ValueError(f"{path}: expected an HDF5 file of Keras weights: {error}") from error

    names: list[str] = []
    while (name := f"recurrent_{len(names) + 1}") in found:
        names.append(name)
    listed = ", ".join(found) or "none"
    for name in (names[0] if names else "recurrent_1", "head"):
        if name not in found:
            raise ValueError(f"{path}: expected a layer {name} with weights, found: {listed}")
    others = {name: found.pop(name)[1] for name in beside if name in found}
    if len(found) > len(names) + 1:
        raise ValueError(
            f"{path}: expected weights of {', '.join(names)} and head alone, found: {listed}"
        )

    layers: list[Recurrent] = []
    for name in names:
        group, arrays = found[name]
        below = layers[-1][-1].size if layers else None
        layers.append(_recurrent(f"{path}: group {group} ({name})", arrays, below))
        if type(layers[-1]) is not type(layers[0]):
            raise ValueError(
                f"{path}: group {group} ({name}): expected {type(layers[0]).__name__} weights "
                f"as in recurrent_1, found {type(layers[-1]).__name__}"
            )
    group, arrays = found["head"]
    head = _head(f"{path}: group {group} (head)", arrays, layers[-1][-1].size)
    return tuple(layers), head, others


def arrays_by_layer(file: h5py.Group) -> dict[str, tuple[str, list[Array]]]:
    """Group and arrays of each layer that has weights, by the layer's name."""
    found: dict[str, tuple[str, list[Array]]] = {}

    def visit(path: str, item: h5py.Dataset | h5py.Group) -> None:
        if not isinstance(item, h5py.Dataset) or NOT_READ.search(path):
            return
        group = path.rpartition("/vars/")[0].removesuffix("/cell")
        holder = file.get(f"{group}/vars")
        name = group if holder is None else str(holder.attrs.get("name", group))
        found.setdefault(name, (group, []))[1].append(np.asarray(item))

    file.visititems(visit)
    return found


def _recurrent(where: str, arrays: list[Array], features: int | None) -> Recurrent:
    """An LSTM or a plain recurrent layer, told apart by the width of the recurrent kernel."""
    if len(arrays) not in (2, 3) or any(a.ndim != 2 for a in arrays[:2]):
        raise ValueError(
            f"{where}: expected a kernel, a recurrent kernel and perhaps a bias, "
            f"found shapes {_shapes(arrays)}"
        )
    kernel, recurrent_kernel = arrays[:2]
    units, width = recurrent_kernel.shape
    if width not in (units, 4 * units):
        raise ValueError(
            f"{where}: expected a recurrent kernel [H, 4H] (LSTM) or [H, H] (SimpleRNN), "
            f"found {list(recurrent_kernel.shape)}"
        )
    bias = arrays[2] if len(arrays) == 3 else np.zeros(width, kernel.dtype)
    expected = [[features or kernel.shape[0], width], [units, width], [width]]
    if _shapes([kernel, recurrent_kernel, bias]) != expected:
        raise ValueError(f"{where}: expected shapes {expected}, found {_shapes(arrays)}")
    if width == units:
        return Elman(kernel, recurrent_kernel, bias)
    return from_keras(kernel, recurrent_kernel, bias)


def _head(where: str, arrays: list[Array], units: int) -> Dense:
    outputs = arrays[0].shape[-1] if arrays[0].ndim else 1
    expected = [[units, outputs], [outputs]]
    if _shapes(arrays) not in (expected, expected[:1]):
        raise ValueError(f"{where}: expected shapes {expected}, found {_shapes(arrays)}")
    return Dense(arrays[0], arrays[1] if len(arrays) == 2 else np.zeros(outputs, arrays[0].dtype))


def _shapes(arrays: list[Array]) -> list[list[int]]:
    return [list(a.shape) for a in arrays]
