"""The benchmarks' quick form: counts and bytes, which hold on any machine, and no seconds."""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import benchmarks.__main__ as benchmarks
from benchmarks import baselines, following, made_load, maps, overhead, report, serving
from benchmarks.measure import Row, in_turn, ratio, row
from benchmarks.networks import batches, epoch
from pipeline.config.cards import read_card_file
from pipeline.data.windows import one_run
from pipeline.files import artifacts
from pipeline.training.batches import Examples, order
from tests.toys import ROOT, Project


def examples(rows: int, look_back: int) -> Examples:
    """Every window of a series of one column, a step ahead."""
    series = np.arange(rows, dtype=np.float32)[:, None]
    origins = one_run(range(look_back - 1, rows - 1))
    return Examples(series, series, origins, origins, look_back, 1)


def test_the_index_is_as_large_for_any_look_back(projects: Callable[[str], Project]) -> None:
    """The files of the window stage have the same size whatever a window holds."""
    sizes = []
    for look_back in (4, 32):
        project = projects(str(look_back)).write(params={"window.look_back": look_back})
        project.run("ingest", "impute_scale", "window")
        files = sorted((project.root / "data/windows").glob("*.npy"))
        sizes.append([file.stat().st_size for file in files[::2]])  # gaps decide the third
    assert sizes[0] == sizes[1]


def test_the_made_load_is_the_cards_table(tmp_path: Path) -> None:
    """It has the card's sha256 every time, and its forecasts the errors that are written down."""
    with chdir(tmp_path):
        made_load.main()
    path = tmp_path / made_load.TABLE
    assert artifacts.sha256(path) == read_card_file(ROOT / "data/datasets/made_load.yaml").sha256
    table = pd.read_csv(path)
    errors = table["temperature_forecast"] - table["temperature"]
    assert np.std(errors) == pytest.approx(made_load.FORECAST, rel=0.1)


def test_the_level_by_hand() -> None:
    """Two steps ahead: a miss raises the level a row later, or two, and a hit lowers it.

    Where it is above 100%, there is no interval but one without end, which would be a hit.
    """
    ends = np.array(following.GRID)[:, None, None, None] * np.ones((1, 6, 2, 1))
    observed = np.full((6, 2, 1), np.nan)
    observed[:5, 0, 0], observed[0, 1] = [200, 200, 0, 0, np.nan], 200
    low, high, endless = following.adaptive(-ends, ends, observed, 80.0, rate=0.125)
    assert high[:, 0, 0] == pytest.approx([80, 90, 99.9, 97.5, 95, 95])
    assert high[:, 1, 0] == pytest.approx([80, 80, 90, 90, 90, 90])
    assert (low == -high).all() and endless[:, 0, 0].tolist() == [0, 0, 1, 0, 0, 0]


def test_a_hundred_million_windows_are_one_line() -> None:
    """Where nothing is missing the index is three numbers, and a batch looks up its own rows."""
    origins = one_run(range(10**8))
    assert origins.runs.nbytes == 24
    assert len(origins) == 10**8
    assert origins[np.array([0, 10**8 - 1])].tolist() == [0, 10**8 - 1]


def test_an_epoch_holds_each_window_once() -> None:
    """Shuffled or not, no window is left out and none comes twice."""
    data = examples(500, 24)
    for seen in (batches(data, data.train, 64), epoch(data, 64, seed=1)):
        firsts = np.concatenate([np.asarray(x)[:, 0, 0] for x, _y in seen])
        assert sorted(firsts) == list(range(476))


def test_an_epoch_may_be_left_in_the_middle() -> None:
    """Whoever stops reading batches does not wait for those made ahead."""
    data = examples(100_000, 240)
    for _ in range(20):
        assert next(epoch(data, 32, seed=1))[0].shape == (32, 240, 1)


def test_no_thread_tunes_the_batches() -> None:
    """Whoever ends an epoch would wait until it wakes, for as long as the epoch took."""
    data = examples(500, 24)
    for dataset in (order(data.train, 64), batches(data, data.train, 64)):
        assert dataset.options().autotune.enabled is False


def test_the_shuffle_leaves_no_neighbours() -> None:
    """Windows that follow one another in an epoch are no nearer than chance has it."""
    data = examples(20_000, 4)
    places = np.concatenate([x[:, 0, 0] for x, _y in epoch(data, 1000, seed=1)])
    for lag in (1, 2, 24):
        assert abs(np.corrcoef(places[lag:], places[:-lag])[0, 1]) < 4 / np.sqrt(len(places))


@pytest.mark.slow
def test_the_default_baselines_are_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """They add some ten seconds of one processor to evaluate, whatever else runs beside."""
    monkeypatch.setattr(baselines, "CLOCK", time.process_time)
    monkeypatch.setattr(
        baselines, "CASES", {"the default ones": baselines.CASES["the default ones"]}
    )
    [found] = baselines.rows(quick=True)
    assert found.value is not None and 0 < found.value < 20


def test_stages_load_nothing_in_vain() -> None:
    """TensorFlow, Keras, MLflow and matplotlib are loaded where a network is, and nowhere else."""
    found = list(overhead.rows(quick=True))
    assert [line.case for line in found if not line.met] == []
    assert len(found) == 3


def test_programs_take_turns() -> None:
    """A B A B, and a ratio is the median of what each round gives."""
    calls: list[str] = []
    seconds = iter([1.0, 2.0, 1.0, 4.0, 1.0, 3.0])

    def program(name: str) -> Callable[[], float]:
        return lambda: calls.append(name) or next(seconds)

    measured = in_turn({"a": program("a"), "b": program("b")}, 3)
    assert calls == ["a", "b"] * 3
    assert ratio(measured["b"], measured["a"]) == 3


def test_results_say_what_is_met_and_what_is_absent() -> None:
    """The table stands between the page's two marker lines, whatever stood there before."""
    rows = [
        row("part", "case", "ours", 2.0, "x", at_least=1),
        row("part", "case", "theirs", 2.0, "x", at_most=1),
        Row("part", "case", "nobody", None, "absent"),
    ]
    page = report.inserted(f"a\n{report.BEGIN}\nold\n{report.END}\nb", rows)
    assert "| case | ours | 2 x | >= 1 | met |" in page
    assert "| case | theirs | 2 x | <= 1 | **not met** |" in page
    assert "| case | nobody | absent |  |  |" in page
    assert page.startswith("a\n")
    assert page.endswith("\nb")
    assert "old" not in page
    report.plot(rows)


def test_a_part_measured_again_replaces_its_rows_alone(tmp_path: Path) -> None:
    """The other parts keep their figures, aims and what made them, in the order of the parts."""
    score = replace(row("score", "b", "ours", 0.5, "x", at_least=1), made="then")
    absent = Row("windows", "c", "nobody", None, "absent", made="then")
    old = [absent, replace(row("inputs", "a", "ours", 1.0, "x"), made="then"), score]
    benchmarks.keep(old, tmp_path)
    new = [replace(row("inputs", "z", "ours", 2.0, "x"), made="now")]
    benchmarks.keep(new, tmp_path, others=True)
    assert benchmarks.read(tmp_path / "results.csv") == [absent, *new, score]
    benchmarks.keep(new, tmp_path)
    assert benchmarks.read(tmp_path / "results.csv") == new


@pytest.mark.parametrize("file", sorted((ROOT / "benchmarks/peers").glob("*.txt")), ids=str)
def test_peers_are_pinned(file: Path) -> None:
    """Each requirement of a peer's environment names one version and no index."""
    lines = file.read_text().splitlines()
    assert lines
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", line) for line in lines)


def test_a_load_is_measured_as_it_was() -> None:
    """Every request is counted with its time, and one that was not answered well as an error."""
    answers = iter([200, 500, 200, 200, 200])

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(2**16):
            writer.write(f"HTTP/1.1 {next(answers)} x\r\nContent-Length: 2\r\n\r\n{{}}".encode())

    async def ask() -> serving.Load:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            return await serving._load(port, b"{}", 2, 10, 5)

    load = asyncio.run(ask())
    assert (len(load.seconds), load.errors) == (5, 1)
    assert load.rate == pytest.approx(5 / load.lasted)
    by_hand = serving.Load([0.001 * i for i in range(1, 101)], 0, 1.0)
    assert (by_hand.at(0.5), by_hand.at(0.99)) == (pytest.approx(51), pytest.approx(100))


def test_sets_of_maps_are_mixed_with_their_best_shares() -> None:
    """Every set comes once; of two errors that lie on both sides of zero the mix has none."""
    tried = maps.sets(maps.candidates())
    assert len(tried) == len(set(tried)) == 14 + 91 + 4 * 45
    network, other = np.ones((5, 2, 3), np.float32), np.ones((5, 2, 3), np.float32)
    other[:, 0] = -3
    mse, mae = maps.mixed(network, other)
    assert mse == pytest.approx(0.5)
    assert mae == pytest.approx(0.5)
