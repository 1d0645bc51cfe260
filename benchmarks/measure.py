"""One record for every figure, programs that run in turn, and the peak memory of a process."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from pipeline.runtime.determinism import ENVIRONMENT

ROOT = Path(__file__).parents[1]
PEERS = Path(__file__).parent / "peers"
ROUNDS = 5
ABSENT = "absent: make bench-peers"


@dataclass(frozen=True)
class Row:
    """One figure: a ratio of two programs, a growth rate, or a count."""

    part: str
    case: str
    program: str  # whose figure it is, or what ours is compared with
    value: float | None
    unit: str
    aim: str = ""
    met: bool | None = None  # None where there is no aim, or no figure
    made: str = ""  # by which command and where, once it is kept


def row(
    part: str,
    case: str,
    program: str,
    value: float,
    unit: str,
    at_most: float | None = None,
    at_least: float | None = None,
) -> Row:
    """A figure held against its aim, if there is one."""
    if at_most is not None:
        return Row(part, case, program, value, unit, f"<= {at_most:g}", value <= at_most)
    if at_least is not None:
        return Row(part, case, program, value, unit, f">= {at_least:g}", value >= at_least)
    return Row(part, case, program, value, unit)


def in_turn(programs: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """What each program measures, one after the other in every round: A B A B ..."""
    measured: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            measured[name].append(program())
    return measured


def ratio(above: Sequence[float], below: Sequence[float]) -> float:
    """The median over the rounds of what one program measured over what the other did."""
    return median(a / b for a, b in zip(above, below, strict=True))


def interpreter(environment: str | None) -> Path | None:
    """The Python of a peer's environment, ours if there is none, None if it is absent."""
    if environment is None:
        return Path(sys.executable)
    python = ROOT / f".venv-bench-{environment}/bin/python"
    return python if python.exists() else None


class Program:
    """A script of benchmarks/peers in a process of its own, which measures each time it is told.

    It speaks JSON, one object a line: it reads a case, answers when it is ready for it, then reads
    what to do and answers with what it measured.
    """

    def __init__(
        self, script: str, case: Mapping[str, Any], python: Path, backend: str = "tensorflow"
    ) -> None:
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        own = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
        paths = {"PYTHONPATH": str(ROOT)} if python == Path(sys.executable) else {}
        self.process = subprocess.Popen(
            [python, PEERS / f"{script}.py"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            env=own
            | paths
            | {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": backend},
        )
        self._send(case)

    def _send(self, message: Mapping[str, Any]) -> None:
        assert self.process.stdin  # noqa: S101 - it is a pipe
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def answer(self) -> dict[str, Any]:
        """Wait for the next answer; RuntimeError with the end of what it said if it died."""
        assert self.process.stdout  # noqa: S101 - it is a pipe
        line = self.process.stdout.readline()
        if not line:
            self.errors.seek(0)
            raise RuntimeError("\n".join(self.errors.read().splitlines()[-8:]))
        answer: dict[str, Any] = json.loads(line)
        return answer

    def go(self, **how: Any) -> dict[str, Any]:
        """Have it measure once."""
        self._send(how)
        return self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()
        self.errors.close()


def peak(module: str, *arguments: str, cwd: Path | None = None) -> dict[str, float]:
    """Run a module as a program in a process of its own; its peak memory in MB and its seconds."""
    command = [sys.executable, "-m", "benchmarks.peak", module, *arguments]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} {' '.join(arguments)}\n{done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result
