"""What the terminal shows: names of a user's own table are words, never markup."""

import io
from contextlib import redirect_stdout

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from pipeline.reports import markdown, terminal

SCORES = {"rmse": 1.0, "mae": 1.0, "mape": 0.1, "r2": 0.5}


@pytest.mark.parametrize("name", ["count [/min]", "speed [m/s]", "[bold]", "a:cat:b", "[red]x[/]"])
def test_a_target_is_shown_by_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Brackets and colons neither end an evaluation nor vanish from the score table's title."""
    metrics = {
        "test": SCORES,
        "baselines": {"persistence": SCORES},
        "test_by_horizon": {"h01": SCORES},
        "baselines_by_horizon": {"persistence": {"h01": SCORES}},
        "skill": {"persistence": 0.0},
    }
    markdown.show(metrics, f"{name}, 1 steps of 1h ahead, by lstm")
    assert f"{name}, 1 steps of 1h ahead, by lstm: test scores" in " ".join(
        capsys.readouterr().out.split()
    )


@given(st.text("[]/:\\=@ab 1#", min_size=1, max_size=20).map(str.strip).filter(bool))
def test_no_word_is_markup(word: str) -> None:
    """Title, header, cell and note keep every sign."""
    table = Table(title=word)
    table.add_column(word)
    table.add_row(word)
    with redirect_stdout(io.StringIO()) as said:
        terminal.show(table, word)
    assert said.getvalue().count(word) >= 4
