"""Windows are origins: what they see, what they forecast, and that spans never overlap."""

import re

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.cards import Card, Split
from pipeline.config.frequencies import step
from pipeline.config.steps import Step
from pipeline.data import splits, windows
from pipeline.data.windows import Rows, Runs
from pipeline.errors import PipelineError
from tests.toys import Project, toy_table, toy_times

LEVEL = np.array([10, 20, 30, 40, 50, 60, 70, 80, 90])
PAIR = np.stack([LEVEL, LEVEL + 1], axis=1)  # 10, 11 / 20, 21 / ...
ONE = [[10], [20], [30], [40], [50]]
TWO = [[10, 11], [20, 21], [30, 31], [40, 41], [50, 51]]


@pytest.mark.parametrize(
    ("inputs", "targets", "horizon", "x", "y"),
    [
        pytest.param(PAIR[:, :1], PAIR[:, :1], 1, ONE, [[60]], id="one in, one out"),
        pytest.param(PAIR, PAIR[:, :1], 1, TWO, [[60]], id="several in, one out"),
        pytest.param(PAIR, PAIR, 1, TWO, [[60, 61]], id="several in, several out"),
        pytest.param(PAIR[:, :1], PAIR[:, :1], 2, ONE, [[60], [70]], id="one in, steps out"),
        pytest.param(PAIR, PAIR[:, :1], 2, TWO, [[60], [70]], id="several in, one out, steps"),
        pytest.param(PAIR, PAIR, 2, TWO, [[60, 61], [70, 71]], id="several in and out, steps"),
    ],
)
def test_the_six_shapes(
    inputs: npt.NDArray[np.float64],
    targets: npt.NDArray[np.float64],
    horizon: int,
    x: list[list[float]],
    y: list[list[float]],
) -> None:
    """The first window of a table that counts in tens, for every shape of input and target."""
    origin = np.array([4])
    assert windows.seen(inputs, origin, 5).tolist() == [x]
    assert windows.ahead(targets, origin, horizon).tolist() == [y]


def test_windows_against_matrices() -> None:
    """All windows of a look-back of 3 and a horizon of 2 over eight rows."""
    origins = origins_of((0, 8), look_back=3, horizon=2)
    rows = np.arange(8)
    assert origins.tolist() == [2, 3, 4, 5]
    assert windows.seen(rows, origins, 3).tolist() == [[0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 5]]
    assert windows.ahead(rows, origins, 2).tolist() == [[3, 4], [4, 5], [5, 6], [6, 7]]


def test_what_is_on_disk_are_origins(project: Project) -> None:
    """Of a table that counts in tens: each span's origins, what they see and what comes after."""
    table = toy_table(43, missing=0)
    table["level"] = np.arange(0, 430, 10)
    project.write(
        table,
        card={"split": {"train": 6, "validation": 9, "calibration": 40, "test": 43}},
        params={"window.look_back": 3, "window.horizon": 2, "window.inputs": ["level"]},
    )
    project.run("ingest", "impute_scale", "window")
    level = pd.read_parquet(project.root / "data/ingested/series.parquet")["level"].to_numpy()
    for span, origins, seen, ahead in (
        ("train", [2, 3], [[0, 10, 20], [10, 20, 30]], [[30, 40], [40, 50]]),
        ("validation", [5, 6], [[30, 40, 50], [40, 50, 60]], [[60, 70], [70, 80]]),
        ("test", [39, 40], [[370, 380, 390], [380, 390, 400]], [[400, 410], [410, 420]]),
    ):
        found = np.asarray(Runs(np.load(project.root / f"data/windows/{span}.npy")))
        assert found.tolist() == origins
        assert windows.seen(level, found, 3).tolist() == seen
        assert windows.ahead(level, found, 2).tolist() == ahead


def test_what_is_observed_is_counted_by_step() -> None:
    """Of windows at rows 1 and 2, and 6, each target's values one and two rows later."""
    observed = np.ones((9, 2), np.bool_)
    observed[[2, 3, 7], 1] = False
    origins = Runs(np.array([[1, 3, 1], [6, 7, 1]]))
    assert windows.observed_at(origins, 2, observed, 2).tolist() == [[3, 0], [3, 2]]
    assert windows.observed_at(origins, 2, observed[:, :1], 2).tolist() == [[2], [2]]


def origins_of(
    span: tuple[int, int],
    look_back: int,
    horizon: int,
    stride: int = 1,
    context: int = 0,
    beyond: tuple[int, ...] = (),
    unobserved: tuple[int, ...] = (),
) -> Rows:
    """Training windows where the rows given are imputed beyond the limit, or have no target."""
    rows = np.arange(span[1])
    origins = windows.training_origins(
        span,
        look_back,
        horizon,
        stride,
        context,
        beyond=np.isin(rows, beyond),
        observed=~np.isin(rows, unobserved),
    )
    return np.asarray(origins)


def test_a_stride_skips_origins() -> None:
    """With a stride of 2 every other window is used."""
    assert origins_of((0, 8), look_back=3, horizon=2, stride=2).tolist() == [2, 4]


def test_context_moves_the_first_origin() -> None:
    """A window's first row is one whose features have all the past they need."""
    assert origins_of((0, 8), look_back=3, horizon=2, context=2).tolist() == [4, 5]


def test_a_gap_beyond_the_limit_is_not_learned_from() -> None:
    """Windows that see a row imputed beyond the limit are left out; those that end before stay."""
    assert origins_of((0, 10), look_back=3, horizon=2, beyond=(4,)).tolist() == [2, 3, 7]


def test_a_window_without_a_target_is_not_learned_from() -> None:
    """Windows of which no target was observed are left out; one observed target is enough."""
    assert origins_of((0, 9), look_back=3, horizon=2, unobserved=(4, 5)).tolist() == [2, 4, 5, 6]


@given(data=st.data())
def test_origins_are_those_of_a_loop(data: st.DataObject) -> None:
    """Runs of origins hold each window that a loop over all windows would keep, and no other."""
    rows = data.draw(st.integers(0, 40))
    flags = st.lists(st.booleans(), min_size=rows, max_size=rows)
    beyond, observed = (np.array(data.draw(flags), bool) for _ in range(2))
    look_back, horizon, stride = (data.draw(st.integers(1, 4)) for _ in range(3))
    context = data.draw(st.integers(0, 3))
    found = windows.training_origins(
        (0, rows), look_back, horizon, stride, context, beyond, observed
    )
    expected = [
        origin
        for origin in range(context + look_back - 1, rows - horizon, stride)
        if not beyond[origin - look_back + 1 : origin + 1].any()
        and observed[origin + 1 : origin + 1 + horizon].any()
    ]
    assert np.asarray(found).tolist() == expected
    assert len(found) == len(expected)


def test_the_look_back_of_a_scored_origin_may_lie_in_the_span_before() -> None:
    """The first origin is the last row before the span; the last has all its targets inside."""
    for end, horizon, origins in ((15, 2, [9, 10, 11, 12]), (12, 2, [9]), (12, 3, [])):
        assert np.asarray(windows.scored_origins((10, end), horizon)).tolist() == origins


@given(
    ends=st.lists(st.integers(1, 60), min_size=3, max_size=3, unique=True).map(sorted),
    look_back=st.integers(1, 12),
    horizon=st.integers(1, 12),
    stride=st.integers(1, 3),
)
def test_no_target_belongs_to_two_spans(
    ends: list[int], look_back: int, horizon: int, stride: int
) -> None:
    """Each window's targets lie in its own span, so that no row is a target of two spans."""
    train, validation, test = ends
    spans = {"train": (0, train), "validation": (train, validation), "test": (validation, test)}
    for name, span in spans.items():
        if name == "train":
            origins = origins_of(span, look_back, horizon, stride)
        else:
            origins = np.asarray(windows.scored_origins(span, horizon))
        rows = windows.ahead(np.arange(200), origins, horizon)
        assert ((rows >= span[0]) & (rows < span[1])).all()
    scored = windows.scored_origins(spans["test"], horizon)
    assert len(scored) == max(0, test - validation - horizon + 1)


def test_the_scored_origins_of_the_committed_data(beijing: tuple[Card, pd.DataFrame]) -> None:
    """A horizon of 24 hours has 8,737 origins in 2014 and 207,312 observed targets."""
    card, frame = beijing
    spans = splits.spans(card.split, frame.index[0], card.step, len(frame))
    assert spans == {"train": (0, 26_304), "validation": (26_304, 35_064), "test": (35_064, 43_824)}
    origins = np.asarray(windows.scored_origins(spans["test"], 24))
    observed = frame["pm2.5"].notna().to_numpy()
    assert len(origins) == 8737
    assert windows.ahead(observed, origins, 24).sum() == 207_312


def regular(rows: int) -> tuple[pd.Timestamp, Step, int]:
    """The first time, the step and the rows of hours from the start of 2014."""
    return toy_times(rows)[0], step("1h"), rows


@pytest.mark.parametrize(
    ("ends", "rows"),
    [
        ((24, 48, 72), (24, 48, 72)),
        ((0.25, 0.5, 1.0), (24, 48, 96)),
        (("2014-01-01 23:00", "2014-01-02 11:00", "2014-01-03 00:00"), (24, 36, 49)),
        (("2014-01-01", "2014-01-02", "2014-01-04"), (24, 48, 96)),
    ],
)
def test_spans_end_where_the_split_says(ends: tuple[str, str, str], rows: tuple[int, ...]) -> None:
    """Ends are row counts, fractions, or the last time in a span; a date means all of its day."""
    split = Split(train=ends[0], validation=ends[1], test=ends[2])
    train, validation, test = rows
    assert splits.spans(split, *regular(96)) == {
        "train": (0, train),
        "validation": (train, validation),
        "test": (validation, test),
    }


@pytest.mark.parametrize(
    ("ends", "message"),
    [
        ((24, 48, 97), "split.test: expected at most the series' 96 rows, found 97"),
        (("2014-01-02", "2014-01-01", "2014-01-03"), "split.validation: expected an end after row"),
        (("2013-12-31", "2014-01-01", "2014-01-03"), "split.train: expected an end after row 0"),
        (("2014-01-01", "2014-01-02", "2014-01-09"), "split.test: expected a time within the seri"),
        ((0.001, 0.002, 1.0), "split.train: expected an end after row 0"),
        (("rest", "last 2 days", "last 48 rows"), "split.train: expected an end after row 0"),
        (("rest", "last 1 day", "last 9999 years"), "split.test: expected less than the series"),
        (("2014-01-01T00:00+01:00", "2014-01-02", "2014-01-03"), "split.train: expected a date"),
    ],
)
def test_an_impossible_split_is_named(ends: tuple[str, str, str], message: str) -> None:
    """An end outside the series, or not after the one before it, is told."""
    split = Split(train=ends[0], validation=ends[1], test=ends[2])
    with pytest.raises(PipelineError, match=message):
        splits.spans(split, *regular(96))


def test_spans_that_are_counted_back_move_as_the_table_grows() -> None:
    """Each is as long as it says and ends before the next; what is left trains."""
    split = Split(
        train="rest", validation="last 1 day", calibration="last 6 rows", test="last 1 week"
    )
    first, each, _ = regular(1)
    for rows in (240, 241):
        test, calibration, validation = rows - 168, rows - 174, rows - 198
        assert splits.spans(split, first, each, rows) == {
            "train": (0, validation),
            "validation": (validation, calibration),
            "calibration": (calibration, test),
            "test": (test, rows),
        }
    monthly = Split(train="rest", validation="last 1 month", test="last 2 hours")
    assert splits.spans(monthly, first, each, 31 * 24 + 50)["validation"] == (48, 48 + 31 * 24)


def test_days_are_counted_back_by_the_clock() -> None:
    """A day on which an hour comes twice has 25 hours where the card names a zone."""
    first = pd.Timestamp("2014-10-20", tz="Europe/Berlin").tz_convert("UTC")
    split = Split(train="rest", validation="last 1 day", test="last 3 days")
    found = splits.spans(split, first, step("1h"), 24 * 9 + 1, zone="Europe/Berlin")
    assert found["validation"] == (120, 144) and found["test"] == (144, 217)


def test_a_split_of_zoned_times() -> None:
    """Where the series is kept in UTC, ends without an offset are UTC, others are converted."""
    split = Split(train="2014-01-01 11:00", validation="2014-01-02 00:00+01:00", test="2014-01-02")
    spans = splits.spans(split, regular(48)[0].tz_localize("UTC"), *regular(48)[1:])
    assert spans == {"train": (0, 12), "validation": (12, 24), "test": (24, 48)}


def test_a_split_of_local_times() -> None:
    """Where the card names a zone, an end without an offset is told in it, a day from midnight."""
    split = Split(train="2014-01-01 12:00", validation="2014-01-01", test="2014-01-02 12:00")
    first, *rest = regular(48)  # kept in UTC: 01:00 in Berlin
    spans = splits.spans(split, first.tz_localize("UTC"), *rest, zone="Europe/Berlin")
    assert spans == {"train": (0, 12), "validation": (12, 23), "test": (23, 36)}


def test_a_split_may_end_in_the_hour_that_is_to_be_repeated() -> None:
    """A series that ends with the first of the two hours ends there, whatever comes after."""
    split = Split(train="2014-10-25", validation="2014-10-26 01:00", test="2014-10-26 02:00")
    first = pd.Timestamp("2014-10-25", tz="Europe/Berlin").tz_convert("UTC")
    spans = splits.spans(split, first, step("1h"), 27, zone="Europe/Berlin")
    assert spans == {"train": (0, 24), "validation": (24, 26), "test": (26, 27)}


def test_rows_after_the_last_span_are_said(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where a split ends before its table does, the rows that nothing uses are counted."""
    project.write(card={"split": {"train": 72, "validation": 96, "test": 110}})
    project.run("ingest", "impute_scale", "window")
    said = "data/ingested/series.parquet: 10 rows after 2014-01-05 13:00:00, where split.test ends"
    assert said in capsys.readouterr().err


def test_a_series_too_short_for_one_window_is_refused() -> None:
    """Both numbers are said."""
    windows.check_length(10, 6, 4)
    with pytest.raises(PipelineError, match=r"the series' 9 rows, found 6 \+ 4 = 10"):
        windows.check_length(9, 6, 4)
    with pytest.raises(PipelineError, match=r"the series' 1,200 rows, found 1,000 \+ 400 = 1,400"):
        windows.check_length(1200, 1000, 400)


def test_a_span_without_windows_is_refused() -> None:
    """The rows it had are said, and what has to fit: the look-back in the training span alone."""
    nothing = windows.one_run(range(0))
    for name, message in (
        ("train", "expected at least one window of look-back 5 and horizon 4, .* 3 rows"),
        ("test", "expected at least one horizon of 4 rows, found 3; set -S window.horizon=3"),
    ):
        fault = windows.fault(name, nothing, (7, 10), look_back=5, horizon=4, context=0)
        assert re.match(rf"split.{name}: {message}", fault)


def test_a_look_back_before_the_series_is_refused() -> None:
    """A span that starts too early for the look-back says how long it may be."""
    origins = windows.scored_origins((10, 20), 2)
    message = "window.look_back: expected at most the 9 rows before the validation span, found 12"
    name, span = "validation", (10, 20)
    assert windows.fault(name, origins, span, look_back=12, horizon=2, context=1) == message
    assert windows.fault(name, origins, span, look_back=9, horizon=2, context=1) == ""


def test_a_span_without_observed_targets_is_refused() -> None:
    """A span in which nothing can be scored is told with its rows."""
    observed = np.arange(20) < 10
    windows.check_observed("validation", "flow", observed, (5, 12))
    with pytest.raises(PipelineError, match=r"split.test: .*target flow, found none in rows 12 to"):
        windows.check_observed("test", "flow", observed, (12, 20))


def test_a_span_with_few_observed_targets_is_told() -> None:
    """With how many there are; half of the rows are enough, of all series together."""
    observed = np.arange(20) < 10
    assert windows.few_observed("test", "flow", observed, (5, 15)) is None
    assert windows.few_observed("test", "flow", observed, np.array([(0, 5), (10, 15)])) is None
    told = windows.few_observed("test", "flow", observed, np.array([(8, 12), (12, 20)]))
    assert told == ("split.test: target flow has a value in 2 of 12 rows, which alone are scored")


@pytest.mark.parametrize(
    ("zone", "day", "rows"),
    [
        ("America/Sao_Paulo", "2018-02-17", 25),  # its last hour comes twice
        ("America/Sao_Paulo", "2018-11-04", 23),  # and here there is no midnight
        ("Europe/Berlin", "2020-10-25 02:00:00", 4),
    ],
)
def test_a_split_may_end_where_clocks_change(zone: str, day: str, rows: int) -> None:
    """A day that clocks change on ends with its last hour, however often that comes."""
    midnight = pd.Timestamp(day).normalize()
    first = midnight.tz_localize(zone, nonexistent="shift_forward").tz_convert("UTC")
    later = [str((midnight + pd.Timedelta(days=days)).date()) for days in (2, 3)]
    split = Split(train=day, validation=later[0], test=later[1])
    assert splits.spans(split, first, step("1h"), 99, zone)["train"] == (0, rows)
