"""`python -m benchmarks.peak MODULE ...` runs a module, then prints its peak memory and seconds."""

import json
import runpy
import sys
import threading
import time
from pathlib import Path

STATUS = Path("/proc/self/status")
EVERY = 0.01  # seconds


def peak_mb() -> float:
    """The most memory that this process has had resident so far, in MB.

    The system's own mark for the program: getrusage counts what its parent had before as well.
    """
    return _mb("VmHWM")


def own_mb() -> float:
    """What of it no file on disk holds as well, in MB, now: what the machine must have."""
    return _mb("RssAnon", "RssShmem")


def _mb(*names: str) -> float:
    status = STATUS.read_text(encoding="utf-8")
    return sum(int(status.split(f"{name}:")[1].split()[0]) for name in names) / 1024


def _watch(found: list[float]) -> None:
    while True:
        found[0] = max(found[0], own_mb())
        time.sleep(EVERY)


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    start, own = time.perf_counter(), [0.0]
    threading.Thread(target=_watch, args=(own,), daemon=True).start()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    own[0] = max(own[0], own_mb())
    seconds = time.perf_counter() - start
    print(json.dumps({"mb": peak_mb(), "own_mb": own[0], "seconds": seconds}))
