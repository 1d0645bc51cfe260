"""Score forecasts with what came, compare inputs with training's; exit code 1 on an alarm."""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from pipeline.commands.predict import model_uri
from pipeline.config.cards import Card, read_card_file
from pipeline.config.reading import read_params
from pipeline.data import raw_panel
from pipeline.data.panel import Panel
from pipeline.data.sources import reading
from pipeline.errors import PipelineError
from pipeline.files import artifacts
from pipeline.files.layout import require
from pipeline.forecasting import content, forecast_log, remarks
from pipeline.forecasting.forecaster import USUAL
from pipeline.models.spec import Spec
from pipeline.monitoring import scores
from pipeline.monitoring.usual import Usual, watched
from pipeline.monitoring.watch import Watched, watch
from pipeline.preparation.imputation import Imputer
from pipeline.preparation.scaling import Scaler
from pipeline.reports import monitor_page, terminal
from pipeline.runtime import process
from pipeline.tracking import champion, logged_runs, watched_runs

OTHER = "of another model"
FORECASTS = "*.jsonl, *.csv and *.parquet"


def main() -> None:
    """Look at a model in service, say what was found, write the page, log it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--actuals",
        type=process.path,
        required=True,
        metavar="FILE|FOLDER",
        help="the raw rows that came, in a file as the data set's or as CSV, or in several; for "
        "the baseline with the rows that its first forecast looks back to",
    )
    parser.add_argument(
        "--forecasts",
        type=process.path,
        required=True,
        metavar="FILE|FOLDER",
        help=f"what predict or the log of serve wrote; of a folder {FORECASTS}",
    )
    parser.add_argument(
        "--model",
        type=model_uri,
        help="models:/NAME@champion, models:/NAME/VERSION, runs:/ID/model or a directory that "
        "MLflow wrote; without it, the champion of the data set in params.yaml",
    )
    parser.add_argument(
        "--output",
        type=process.path,
        default=Path("monitor.html"),
        help="the page, and beside it the same as JSON; default %(default)s",
    )
    parser.add_argument("--no-log", action="store_true", help="log no run in MLflow")
    options = parser.parse_args()
    with logged_runs.answering(), TemporaryDirectory() as directory:
        uri = champion.pinned(options.model) if options.model else _champion()
        model = watched_runs.find(uri, Path(directory))
        if not model.files[USUAL].exists():
            raise PipelineError(
                f"--model {uri}: expected a model with {USUAL}, found one that older code "
                "evaluated; run its experiment again"
            )
        card = read_card_file(model.files["card.yaml"])
        if not card.step.tells:
            raise PipelineError(
                f"--model {uri}: expected a card whose rows tell the time of the next, found "
                f"frequency: {card.frequency}; its forecasts have no time to be joined by"
            )
        spec = artifacts.read_json_record(model.files["model.json"], Spec)
        forecasts, left_out = _forecasts(options.forecasts, card, content.of(model.files))
        found = watch(
            artifacts.read_json_record(model.files[USUAL], Usual),
            card,
            spec,
            artifacts.read_json_record(model.files["scaler.json"], Scaler),
            _actuals(
                options.actuals,
                card,
                spec,
                artifacts.read_json_record(model.files["imputer.json"], Imputer),
            ),
            forecasts,
        )
        found.left_out.update(left_out)
        _show(found)
        tree = {"model": uri, **found.tree()}
        page = monitor_page.html(found, card, uri)
        artifacts.write_text(options.output, page)
        beside = options.output.with_suffix(".json")
        artifacts.write_json(beside, tree)
        logged = ""
        if not options.no_log:
            run = watched_runs.log(model, spec.dataset, _flat(found), tree, page)
            logged = f"; in MLflow as run {run}"
        print(f"{options.output}, {beside}: the page, and the same as JSON{logged}")
    for alarm in found.alarms:
        print(f"alarm: {found.say(alarm)}", file=sys.stderr)
    if not found.matched:
        print(
            f"alarm: expected forecasts of {uri} for which something came, found none in "
            f"{options.forecasts}; --model looks at another version",
            file=sys.stderr,
        )
    if found.alarms or not found.matched:
        sys.exit(1)


def _champion() -> str:
    version = champion.holder(read_params().ingest.dataset)
    return f"models:/{version.name}/{version.version}"


def _actuals(path: Path, card: Card, spec: Spec, imputer: Imputer) -> Panel:
    """The rows that came as regular series; of a folder those of all its files, by name."""
    files = _files(path)
    tables = [reading.read_table(file, card) for file in files]
    table = tables[0] if len(tables) == 1 else pd.concat(tables, ignore_index=True)
    names = list(dict.fromkeys([*watched(spec, card), *card.static]))
    panel, given = raw_panel.to_panel(table, card, str(path), names, imputer.step)
    remarks.on_order(given, str(path))
    return panel


def _forecasts(path: Path, card: Card, made_by: str) -> tuple[pd.DataFrame, dict[str, int]]:
    """The forecasts of files, and how many were left out: broken lines, other models'."""
    parts, left = [], {}
    for file in _files(path, (".jsonl", ".csv", ".parquet")):
        if file.suffix == ".jsonl":
            rows, broken = forecast_log.read(file)
            if broken:
                print(f"note: {file}: {broken} lines are not whole and were left out")
        elif file.suffix == ".parquet":
            rows = artifacts.read_frame(file)
        else:
            rows = pd.read_csv(file)
        if len(rows):
            parts.append(scores.typed(rows, card, str(file)))
    if not parts:
        raise PipelineError(f"{path}: expected forecasts, found none")
    rows = pd.concat(parts, ignore_index=True)
    if "content" in rows:
        other = rows["content"].notna() & (rows["content"] != made_by)
        if other.any():
            left[OTHER] = int(other.sum())
            rows = rows[~other]
    return rows, left


def _files(path: Path, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """A file, or those of a folder by name, hidden ones left out."""
    if not path.is_dir():
        return [require(path, "expected a file or a folder of files")]
    found = sorted(
        one
        for one in path.iterdir()
        if one.is_file() and one.name[0] != "." and (not suffixes or one.suffix in suffixes)
    )
    if not found:
        raise PipelineError(f"{path}: expected files{' ' + FORECASTS if suffixes else ''} in it")
    return found


def _show(found: Watched) -> None:
    """The scores of each target, and the columns and targets that are over a limit."""
    for target in found.scores:
        shown = terminal.table(target)
        header, body = monitor_page.score_rows(found, target, steps=False)
        for i, name in enumerate(header):
            shown.add_column(name, justify="right" if i else "left")
        for line in body:
            shown.add_row(*line)
        terminal.show(shown)
    against = f" {monitor_page.against(found)}" * bool(found.matched)
    print(f"joined with what came: {found.matched:,} forecasts.{against}")
    for why, count in found.left_out.items():
        print(f"left out: {count:,} forecasts {why}")
    for note in found.notes:
        print(f"note: {note}")
    over = [
        line
        for rows in (monitor_page.input_rows(found), monitor_page.error_rows(found))
        for line in rows[1]
        if not line[-1].startswith("0 ")
    ]
    for name, statistic, newest, largest, limit, chunks in over:
        print(
            f"{name}: {statistic} is over its limit {limit} in {chunks} chunks, {largest} at most, "
            f"{newest} in the newest"
        )


def _flat(found: Watched) -> dict[str, float]:
    """Scores as MLflow has them: live/pm2.5/rmse, live/pm2.5/rmse_h01, and inputs' newest."""
    width = max(
        2, *(len(step) for own in found.scores.values() for step in own if step != "all"), 2
    )
    flat = {
        f"live/{target}/{name}"
        + ("" if step == scores.EVERY else f"_h{int(step):0{width}d}"): value
        for target, own in found.scores.items()
        for step, values in own.items()
        for name, value in values.items()
    }
    if len(found.inputs):
        newest = found.inputs.iloc[-1].dropna()
        keys: list[Any] = list(newest.index)
        flat |= {f"inputs/{of}/{what}": float(newest[of, what]) for of, what in keys}
    return flat | {"live/alarms": float(len(found.alarms))}
