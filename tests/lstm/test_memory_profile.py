"""The memory profile beside automatic differentiation."""

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib.figure import Figure

from pipeline.commands import lstm_memory
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.lstm import jacobian, memory_profile, plots, stack
from pipeline.lstm.elman import Elman
from pipeline.lstm.memory_profile import MemoryProfile
from tests.toys import to_keras

PNG = b"\x89PNG\r\n\x1a\n"
FEATURES, STEPS, K = 2, 8, 6


def lstm_layers(*units):
    """Random LSTM layers that neither saturate nor sit at zero."""
    rng = np.random.default_rng(7)
    sizes = [FEATURES, *units]
    return [stack.initial_lstm(rng, sizes[n], h) for n, h in enumerate(units)]


def elman_layers(*units):
    """Random plain layers."""
    rng = np.random.default_rng(8)
    sizes = [FEATURES, *units]
    return [
        Elman(0.5 * rng.normal(size=(f, h)), 0.5 * rng.normal(size=(h, h)), rng.normal(size=h))
        for f, h in zip(sizes, units, strict=False)
    ]


def sample_windows(count=3):
    """Random windows."""
    return np.random.default_rng(9).normal(size=(count, STEPS, FEATURES))


def keras_cells(layers, activation):
    """Keras' cells with the same weights."""
    cells = []
    for p in layers:
        kind = keras.layers.SimpleRNNCell if isinstance(p, Elman) else keras.layers.LSTMCell
        cell = kind(p[-1].size, activation=activation, dtype="float64")
        cell.build((None, p[0].shape[0]))
        cell.set_weights(list(p) if isinstance(p, Elman) else list(to_keras(p)))
        cells.append(cell)
    return cells


def run_cells(cells, x, parts):
    """Keras' states after the steps of `x` [T, F], from and as a list of parts [1, H]."""
    for row in x:
        out, after = row[None], []
        width = len(parts) // len(cells)
        for n, cell in enumerate(cells):
            out, new = cell(out, list(parts[n * width : (n + 1) * width]))
            after += new
        parts = after
    return parts


def autodiff_jacobian(layers, window, k, activation):
    """The tape's derivative [S, S] of the state at a window's end by that k steps before."""
    cells = keras_cells(layers, activation)
    sizes = [p[-1].size for p in layers for _ in range(1 if isinstance(p, Elman) else 2)]
    start = run_cells(cells, window[: STEPS - k], [tf.zeros((1, s), tf.float64) for s in sizes])
    state = tf.concat(start, axis=1)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(state)
        end = run_cells(cells, window[STEPS - k :], tf.split(state, sizes, axis=1))
        joint = tf.concat(end, axis=1)
    total = tape.jacobian(joint, state, experimental_use_pfor=False)
    return total.numpy()[0, :, 0]


def product_of_steps(layers, windows, k, activation):
    """The product [N, S, S] of the last k one-step Jacobians."""
    traces = jacobian.run(layers, windows, activation)
    steps = [
        jacobian.stack_jacobian(layers, traces, t, activation) for t in range(STEPS - k, STEPS)
    ]
    total = steps[0]
    for step in steps[1:]:
        total = step @ total
    return total


@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize(
    "layers",
    [lstm_layers(3), lstm_layers(3, 2), elman_layers(3), elman_layers(3, 2)],
    ids=["lstm", "stacked lstm", "rnn", "stacked rnn"],
)
def test_the_product_of_joint_jacobians_is_what_autodiff_finds(layers, activation):
    """ds_t/ds_(t-k), its block dC_t/dC_(t-k) with it, agrees to 1e-8, and so does the profile."""
    windows = sample_windows(2)
    found = product_of_steps(layers, windows, K, activation)
    expected = np.stack([autodiff_jacobian(layers, w, K, activation) for w in windows])
    assert np.abs(expected).max() > 1e-4
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)
    profile = memory_profile.memory_profile(layers, windows, activation)
    norm = np.mean([np.linalg.norm(e, 2) for e in expected])
    assert profile.joint[K] == pytest.approx(norm, rel=1e-8)
    if profile.cell is not None:
        is_C = np.concatenate([[False] * p.b_C.size + [True] * p.b_C.size for p in layers])
        blocks = expected[:, is_C][:, :, is_C]
        norm = np.mean([np.linalg.norm(b, 2) for b in blocks])
        assert profile.cell[K] == pytest.approx(norm, rel=1e-8)


def test_the_product_of_one_step_cell_derivatives_is_something_else():
    """Neither dC_t/dC_(t-1) multiplied up, nor forget gates alone, give dC_t/dC_(t-k)."""
    (p,) = layers = lstm_layers(3)
    units, windows = p.b_C.size, sample_windows(1)
    traces = jacobian.run(layers, windows)
    true = autodiff_jacobian(layers, windows[0], K, "tanh")[units:, units:]
    naive, forget = np.eye(units), np.eye(units)
    for t in range(STEPS - K, STEPS):
        J = jacobian.stack_jacobian(layers, traces, t, "tanh")[0]
        # C_(t-1) acts on C_t itself and, through h_(t-1) = o tanh(C_(t-1)), on the gates.
        h_by_C = np.diag(traces[0].o[0, t - 1] * (1 - np.tanh(traces[0].C[0, t - 1]) ** 2))
        naive = (J[units:, units:] + J[units:, :units] @ h_by_C) @ naive
        forget = np.diag(traces[0].f[0, t]) @ forget
    for wrong in (naive, forget):
        assert np.linalg.norm(wrong - true) > 0.05 * np.linalg.norm(true)


def test_a_profile_starts_at_one_and_ends_at_the_look_back():
    """There is a value for k = 0, where a state is itself, and for each step up to L."""
    profile = memory_profile.memory_profile(lstm_layers(3, 2), sample_windows())
    for values in profile:
        assert values is not None
        assert values.shape == (STEPS + 1,)
        assert values[0] == 1
    assert memory_profile.memory_profile(elman_layers(3), sample_windows()).forget is None


def test_a_memory_that_has_faded_costs_no_more_time(monkeypatch):
    """Once nothing is felt, the steps before have the same values and are not computed."""
    layers, windows = lstm_layers(3), sample_windows()
    whole = memory_profile.memory_profile(layers, windows).joint
    steps = []
    one = memory_profile.stack_jacobian
    monkeypatch.setattr(memory_profile, "NEGLIGIBLE", (whole[3] + whole[2]) / 2)
    monkeypatch.setattr(
        memory_profile, "stack_jacobian", lambda *given: steps.append(given[2]) or one(*given)
    )
    short = memory_profile.memory_profile(layers, windows).joint
    assert len(steps) == 3
    assert short.tolist() == [*whole[:4], *[whole[3]] * (STEPS - 3)]


def test_forget_gates_alone_are_their_product():
    """The approximation is the largest product of forget gates, averaged over windows."""
    layers, windows = lstm_layers(3), sample_windows()
    f = jacobian.run(layers, windows)[0].f
    expected = f[:, -2:].prod(axis=1).max(axis=1).mean()
    profile = memory_profile.memory_profile(layers, windows)
    assert profile.forget is not None
    assert profile.forget[2] == pytest.approx(expected, rel=1e-12)


def with_joint(*values):
    """A profile of given influences."""
    return MemoryProfile(np.array(values), None, None)


def test_memory_length_is_the_last_step_that_is_felt():
    """An influence that comes back counts; one still felt at the end has no length yet."""
    assert memory_profile.memory_length(with_joint(1, 0.5, 0.009, 0.02, 0.005, 0.001)) == 3
    assert memory_profile.memory_length(with_joint(1, 0.5, 0.1), threshold=0.2) == 1
    assert memory_profile.memory_length(with_joint(1, 0.001)) == 0
    assert memory_profile.memory_length(with_joint(1, 0.5, 0.01)) is None
    with pytest.raises(ValueError, match="found NaN"):
        memory_profile.memory_length(with_joint(1, np.nan))


def test_the_sentence_compares_memory_and_look_back():
    """It says how far back, and which of the two is longer."""
    short = memory_profile.memory_sentence(with_joint(1, 0.5, 0.001, 0.0001), unit="hour")
    assert "looks back 1 hour:" in short
    assert "look-back shorter than 3 hours may do" in short
    long = memory_profile.memory_sentence(with_joint(1, 0.5, 0.25))
    assert "After 2 steps, the whole look-back, a change in the state is still felt (0.25" in long
    assert "a longer look-back may help" in long


def test_windows_of_another_shape_are_refused():
    """The error says what was expected and found."""
    with pytest.raises(ValueError, match=r"expected shape \[N, L, 2\].*found \[3, 8, 5\]"):
        memory_profile.memory_profile(lstm_layers(3), np.zeros((3, 8, 5)))


def test_pictures_have_labels_with_units_and_can_be_written(tmp_path):
    """Memory and gate figures name their axes, and drawing one again gives the same bytes."""
    layers, windows = lstm_layers(3), sample_windows()
    profile, trace = (
        memory_profile.memory_profile(layers, windows),
        jacobian.run(layers, windows)[0],
    )
    assert plots.memory_figure(profile).axes[0].get_yscale() == "log"
    for draw in (
        lambda: plots.memory_figure(profile, unit="hour"),
        lambda: plots.gate_figure(trace, window=1, unit="hour"),
    ):
        for name in ("a", "b"):
            figure = draw()
            artifacts.write_figure(tmp_path / name, figure)
        assert isinstance(figure, Figure)
        assert any("hours" in axes.get_xlabel() for axes in figure.axes)
        assert (tmp_path / "a").read_bytes().startswith(PNG)
        assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("steps", [2, 21])
def test_gates_have_ticks_at_whole_steps(steps):
    """As each cell of the picture is one, whatever the look-back."""
    trace = jacobian.run(lstm_layers(3), np.zeros((1, steps, FEATURES)))[0]
    axis = plots.gate_figure(trace).axes[4].xaxis
    ticks = axis.get_major_locator()()
    assert len(ticks) > 1
    assert all(tick == round(tick) for tick in ticks)


@pytest.mark.parametrize("kind", ["LSTM", "SimpleRNN"])
def test_the_command_measures_a_saved_model(kind, tmp_path, capsys):
    """From a model's directory and windows it prints the profile and draws it."""
    inputs = keras.Input((STEPS, FEATURES))
    hidden = getattr(keras.layers, kind)(3, name="recurrent_1")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1, name="head")(hidden))
    model.save_weights(tmp_path / "model.weights.h5")
    with h5py.File(tmp_path / "model.weights.h5", "a") as file:  # of a network that is mixed
        file["mix/shares"] = np.ones((1, 2))
        file["mix/linear/kernel"] = np.ones((2, 2))
    np.save(tmp_path / "windows.npy", sample_windows(5))
    args = ["--weights", str(tmp_path), "--windows", str(tmp_path / "windows.npy")]
    args += ["--output", str(tmp_path / "memory.png"), "--samples", "3"]
    if kind == "LSTM":
        args += ["--gates", str(tmp_path / "gates.png")]
    lstm_memory.main(args)
    printed = capsys.readouterr().out
    assert ("forget only" in printed) == (kind == "LSTM")
    assert "memory.png" in printed
    assert (tmp_path / "memory.png").read_bytes().startswith(PNG)
    assert (tmp_path / "gates.png").exists() == (kind == "LSTM")
    with pytest.raises(PipelineError, match=r"below\.png: could not be written: Not a directory"):
        lstm_memory.main([*args, "--output", str(tmp_path / "memory.png" / "below.png")])


def test_the_command_says_what_it_cannot_read(tmp_path, capsys):
    """A missing file ends it with a message in place of a traceback."""
    with pytest.raises(SystemExit):
        lstm_memory.main(["--weights", str(tmp_path / "none.h5"), "--windows", "none.npy"])
    assert "none.h5" in capsys.readouterr().err
