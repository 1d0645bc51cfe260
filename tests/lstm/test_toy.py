"""The network trains on its own, and the command shows it."""

import numpy as np
import pytest

from pipeline.commands import lstm as command
from pipeline.errors import PipelineError
from pipeline.lstm import stack, toy
from pipeline.lstm.cell import forward
from pipeline.lstm.gradient_check import relative_error

PNG = b"\x89PNG\r\n\x1a\n"


def test_windows_hold_the_values_before_their_target():
    """A window of three of 0, 1, ... 5 is followed by its fourth."""
    x, y = toy.windows(np.arange(6.0), 3)
    assert x[..., 0].tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert y.tolist() == [[3], [4], [5]]


def test_loss_gradients_equal_central_differences():
    """The head's gradients, and those that pass through it, are right as well."""
    x, y = toy.windows(toy.toy_series(12), 5)
    weights = toy.initial_network(3)
    _, gradients = toy.loss_and_gradients(weights, x, y)
    for block, found in zip(weights, gradients, strict=True):
        for a, g in zip(block, found, strict=True):
            expected = np.zeros_like(a)
            for index in np.ndindex(a.shape):
                kept, losses = a[index], []
                for shifted in (kept + 1e-5, kept - 1e-5):
                    a[index] = shifted
                    losses.append(toy.loss_and_gradients(weights, x, y)[0])
                a[index] = kept
                expected[index] = (losses[0] - losses[1]) / 2e-5
            assert relative_error(g, expected) < 1e-6


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_training_lowers_the_loss_and_forecasts_the_series(activation):
    """Held-out values are forecast with a fifth of the error of repeating the last one."""
    x, y = toy.windows(toy.toy_series(400), 20)
    cut = len(x) - 100
    epochs = list(toy.train(toy.initial_network(12), x[:cut], y[:cut], 25, activation=activation))
    assert epochs[-1][1] < 0.1 * epochs[0][1]
    *layers, head = epochs[-1][0]
    error = np.mean((stack.forecast(layers, head, x[cut:], activation) - y[cut:]) ** 2)
    assert error < 0.2 * np.mean((x[cut:, -1] - y[cut:]) ** 2)


def test_training_is_repeatable():
    """The same seed gives the same losses, to the bit."""
    x, y = toy.windows(toy.toy_series(80), 8)
    runs = [
        [loss for _, loss in toy.train(toy.initial_network(3), x, y, epochs=2)] for _ in range(2)
    ]
    assert runs[0] == runs[1]


def test_unfit_input_is_refused():
    """Errors say which argument, what was expected and what was found."""
    layer, head = toy.initial_network(3)
    with pytest.raises(ValueError, match=r"x: expected shape \[B, T, 1\], found \[2, 5, 4\]"):
        forward(layer, np.zeros((2, 5, 4)))
    with pytest.raises(ValueError, match=r"X: expected shape \[B, L, 1\].*found \[2, 5\]"):
        stack.forecast((layer,), head, np.zeros((2, 5)))
    with pytest.raises(ValueError, match="activation: expected 'tanh' or 'relu', found 'gelu'"):
        forward(layer, np.zeros((2, 5, 1)), "gelu")


def test_the_command_checks_trains_and_draws(tmp_path, capsys):
    """The table, the losses and the picture's name are printed, and the picture is there."""
    output = tmp_path / "new" / "toy.png"
    command.main(["--epochs", "2", "--units", "4", "--output", str(output)])
    printed = capsys.readouterr().out
    assert "layer 2 U_f" in printed
    assert "WRONG" not in printed
    assert "Loss of epoch 1" in printed
    assert f"Wrote {output}" in printed
    assert output.read_bytes().startswith(PNG)
    with pytest.raises(PipelineError, match="below: could not be written: Not a directory"):
        command.main(["--epochs", "1", "--units", "4", "--output", str(output / "below")])
