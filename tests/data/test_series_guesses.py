"""Which column tells series apart, also where a few rows are not as they should be."""

import numpy as np
import pandas as pd
import pytest

from pipeline.config import cards
from pipeline.data.date_formats import Stamps, stamps
from pipeline.data.series_guesses import Names, backwards, names, strays
from pipeline.errors import PipelineError
from pipeline.files.layout import HERE
from tests.commands.test_new_dataset import repository, run, store

__all__ = ["repository"]  # a fixture

DAYS = pd.date_range("2023-01-01", periods=100).strftime("%Y-%m-%d")
SALES = np.random.default_rng(0).integers(50, 90, 300)


@pytest.fixture
def shops() -> pd.DataFrame:
    """A hundred days of three shops, two of the same size, as text."""
    rows = [(day, shop) for shop in "123" for day in DAYS]
    table = pd.DataFrame(rows, columns=["date", "shop"])
    sizes = table["shop"].map({"1": "7", "2": "7", "3": "9"})
    return table.assign(size=sizes, sales=SALES.astype(str))


def again(table: pd.DataFrame, *rows: int, **other: str) -> pd.DataFrame:
    """The table with some of its rows once more at its end, where they may have other values."""
    return pd.concat([table, table.iloc[list(rows)].assign(**other)], ignore_index=True)


def made(monkeypatch: pytest.MonkeyPatch, table: pd.DataFrame) -> None:
    """Its card, if ingest accepts it."""
    run(monkeypatch, str(store(table.to_csv(index=False))))


def test_a_few_rows_again_do_not_hide_the_names(shops: pd.DataFrame) -> None:
    """Equal or changed, or without a name; where many are, it is not the column."""
    assert names(shops, ["date"]) == Names("shop")
    assert names(again(shops, 9, 10), ["date"]) == Names("shop", again=2)
    assert names(again(shops, 9, 10, sales="1"), ["date"]) == Names("shop", again=2)
    assert names(again(shops, *range(300)), ["date"]) == Names("shop", again=300)
    assert names(again(shops, *range(30), sales="1"), ["date"]) is None
    shops.loc[20, "shop"] = " "
    assert names(shops, ["date"]) == Names("shop", nameless=1)
    shops.loc[20:80, "shop"] = ""
    assert names(shops, ["date"]) is None


def test_numbers_with_few_values_are_no_names(shops: pd.DataFrame) -> None:
    """Though at hardly a time the same one stands twice, or all such rows are equal ones."""
    two = shops[["date", "sales"]].iloc[:200]
    assert two["sales"].nunique() > 20
    assert names(two, ["date"]) is None


def test_rows_that_are_another_row_again_are_left_out(
    shops: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of one series: the card says so, and ingest accepts it."""
    made(monkeypatch, again(shops, 9, 10))
    card = cards.read_card("mine")
    assert (card.series, card.static, card.time.sort) == ("shop", ("size",), True)
    assert card.time.repeated == "first"


def test_other_rows_of_the_same_time_are_the_persons_to_decide(
    shops: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The card is written, the first such row named, and with time.repeated ingest accepts it."""
    wrong = again(shops, 9, 10, sales="1")
    with pytest.raises(PipelineError) as error:
        made(monkeypatch, wrong)
    assert "mine.yaml is written with series: shop, but ingest will refuse" in str(error.value)
    assert "series 1: column date, row 301: 2023-01-10 00:00:00 appears twice (2 of 102" in (
        str(error.value)
    )
    assert "time.repeated in the card, first, last or mean, makes one of them" in str(error.value)
    assert "shop, since times repeat, and, but for 2 rows, once for each of its 3 names" in (
        capsys.readouterr().out
    )
    path = HERE.card("mine")
    path.write_text(path.read_text().replace("  sort: true", "  repeated: mean\n  sort: true"))
    made(monkeypatch, wrong)
    assert "ingest will accept the table" in capsys.readouterr().out


def test_a_row_without_a_name_is_named(
    shops: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the message, while the card is written; what never changes in a series stays static."""
    shops.loc[[20, 250], "shop"] = ""
    with pytest.raises(PipelineError, match=r"with series: shop.*column shop, row 21.*in 2 rows"):
        made(monkeypatch, shops)
    card = cards.read_card("mine")
    assert (card.series, card.static) == ("shop", ("size",))


def test_a_wrong_cell_leaves_a_column_static_and_is_named(
    shops: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a line to check and where ingest refuses it; an empty cell alone is accepted."""
    shops.loc[150, "size"] = " "
    made(monkeypatch, shops)
    assert cards.read_card("mine").static == ("size",)
    assert "check: size" not in capsys.readouterr().out
    shops.loc[20, "size"] = "8"
    with pytest.raises(PipelineError, match=r"column size, row 21.*found 8.0 after 7.0 in row 1;"):
        run(monkeypatch, str(store(shops.to_csv(index=False))), "--force")
    assert cards.read_card("mine").static == ("size",)
    assert (
        "check: size: static, so ingest refuses row 21: expected one value in each series, found "
        '"8" where the other rows of 1 have "7"'
    ) in capsys.readouterr().out


def test_what_changes_in_a_series_is_not_static(shops: pd.DataFrame) -> None:
    """More than a cell, or an event that is rare in all series."""
    assert strays(shops["sales"], shops["shop"], []) is None
    event = shops["size"].where(shops.index == 20, "no")
    assert strays(event, shops["shop"], []) is None
    two = shops["size"].mask(shops.index.isin([20, 21]), "8")
    assert strays(two, shops["shop"], []) is None
    found = strays(two.mask(shops.index == 21, "NA"), shops["shop"], ["NA"])
    assert found is not None
    assert found.to_dict() == {20: "7"}


def test_a_blank_after_a_name_makes_no_other_series(
    shops: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As ingest, which reads names without blanks around them."""
    shops["shop"] = "s" + shops["shop"]
    shops.loc[20, "shop"] = "s1 "
    made(monkeypatch, shops)
    assert "once for each of its 3 names" in capsys.readouterr().out
    assert cards.read_card("mine").static == ("size",)


def test_a_column_that_lacks_names_is_mentioned(
    shops: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where another is taken that tells the series apart in every row."""
    shops["city"] = shops["shop"].map({"1": "Ulm", "2": "Jena", "3": "Bonn"})
    shops.loc[20, "shop"] = ""
    said = "shop would tell them apart as well, but has no name in row 21"
    assert names(shops, ["date"]) == Names("city", rival=said)
    made(monkeypatch, shops)
    assert f"check: series: {said}" in capsys.readouterr().out


def test_rows_out_of_order_are_counted_in_each_series(shops: pd.DataFrame) -> None:
    """Clocks that are put back put no row out of order."""
    found = stamps(shops.iloc[:100], "shops")
    assert isinstance(found, Stamps)
    assert backwards(shops, "shop", found) == 0
    assert backwards(shops.iloc[::-1], "shop", found) == 297
    clocks = pd.date_range("2023-10-28", periods=72, freq="h", tz="UTC").tz_convert("Europe/Paris")
    hours = pd.DataFrame(
        {"time": clocks.strftime("%Y-%m-%d %H:%M"), "load": SALES[:72].astype(str)}
    )
    found = stamps(hours, "hours")
    assert isinstance(found, Stamps)
    assert backwards(hours.assign(site="a"), "site", found) == 0
