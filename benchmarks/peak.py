"""`python -m benchmarks.peak MODULE ...` runs a module, then prints its peak memory and seconds."""

import json
import runpy
import sys
import time
from pathlib import Path


def peak_mb() -> float:
    """The most memory that this process has had resident so far, in MB.

    The system's own mark for the program: getrusage counts what its parent had before as well.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


if __name__ == "__main__":
    sys.argv = sys.argv[1:]
    start = time.perf_counter()
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    print(json.dumps({"mb": peak_mb(), "seconds": time.perf_counter() - start}))
