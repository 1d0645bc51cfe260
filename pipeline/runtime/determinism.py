"""What makes a run repeat to the byte: the settings, in one place, and what they were.

TensorFlow reads its environment when it is loaded, so a process of ours settles that first;
`settle` does the rest once it knows its seed.
"""

import logging
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",  # no start-up chatter between the lines that matter
    "TF_ENABLE_ONEDNN_OPTS": "1",  # stated, so that no user's shell changes the kernels
    "KERAS_NNX_ENABLED": "false",  # stated, since a user's ~/.keras/keras.json may say it as well
}
# One kind of arithmetic on every machine, unless the user names another.
GPUS, NONE = "CUDA_VISIBLE_DEVICES", "-1"
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
# Variables that silently shorten or compile a training, or change rounding.
UNWANTED = re.compile(r"(KERAS|TF|TFRT|XLA)_")
# Variables that change how libraries sum, which a machine may need: kept, and recorded.
STEERING = re.compile(
    r"(BLIS|DNNL|MKL|NPY|ONEDNN|OPENBLAS)_(?!NUM_THREADS|VERBOSE)|ARROW_USER_SIMD_LEVEL$"
    r"|CUDA_VISIBLE_DEVICES$|GLIBC_TUNABLES$|LD_PRELOAD$"
)
PROCESSORS = "tensorflow-cpu"  # the same library without what a GPU needs; half as large
# Sums are split over threads, so the number of threads is part of the arithmetic.
THREADS = 2


def settle_environment() -> None:
    """Set the environment of a process that is ours, and of what it starts."""
    _settle_libraries()
    # A notebook names one for its own matplotlib, which the one here may not have.
    os.environ.pop("MPLBACKEND", None)
    if os.environ.setdefault(GPUS, NONE) != NONE:
        # Without a workspace of its own for each stream, cuDNN's recurrent kernels may sum in
        # another order each time: https://docs.nvidia.com/cuda/cublas/#results-reproducibility
        os.environ[WORKSPACE] = ":4096:2"


def gpus() -> dict[str, str]:
    """The GPUs that TensorFlow computes on, by its names; none unless the shell says so."""
    import tensorflow as tf

    found = tf.config.get_visible_devices("GPU")
    return {
        gpu.name: str(tf.config.experimental.get_device_details(gpu).get("device_name", "unknown"))
        for gpu in found
    }


def settle_process(seed: int) -> bool:
    """`settle` in a process of others, which keep their GPUs; whether it computes as ours do."""
    settle_keras()
    settle(seed)
    import tensorflow as tf

    return bool(tf.config.threading.get_intra_op_parallelism_threads() == THREADS)


def settle_keras() -> None:
    """Load Keras as a model needs it in a process of others, which keep their GPUs."""
    _settle_libraries()
    with _silenced_stderr():
        import tensorflow as tf

    if GPUS not in os.environ:
        with suppress(RuntimeError):  # TensorFlow runs already, on what the process chose
            tf.config.set_visible_devices([], "GPU")


def _settle_libraries() -> None:
    for name in [name for name in os.environ if UNWANTED.match(name)]:
        del os.environ[name]
    os.environ.update(ENVIRONMENT)


def settle(seed: int) -> None:
    """Seed Python, NumPy and Keras, fix the thread counts and ask for deterministic kernels.

    To be called before anything else loads TensorFlow; a later call only seeds again.
    """
    # Its native code ignores TF_CPP_MIN_LOG_LEVEL until it is loaded.
    with _silenced_stderr(), _hidden("matplotlib", "sklearn"):
        import keras
        import tensorflow as tf

    # What a user's own ~/.keras/keras.json may say otherwise.
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)  # of several networks in a process
    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    if gpus():  # products of ten bits would be other forecasts than a processor's
        tf.config.experimental.enable_tensor_float_32_execution(False)
    with suppress(RuntimeError):  # TensorFlow runs already, with the threads of the first call
        tf.config.threading.set_intra_op_parallelism_threads(THREADS)
        tf.config.threading.set_inter_op_parallelism_threads(THREADS)


@contextmanager
def _hidden(*names: str) -> Iterator[None]:
    """Hide modules from import: Keras takes seconds to load libraries that it only might use."""
    hidden: dict[str, Any] = {name: None for name in names if name not in sys.modules}
    sys.modules.update(hidden)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Keep what native code writes to standard error off the screen, unless the block fails."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        except BaseException:
            sink.seek(0)
            os.write(kept, sink.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def processor() -> str:
    """The processor's name, as the system reports it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def vector_flags() -> list[str]:
    """The processor's vector instructions, which decide how libraries sum."""
    flags = (_cpuinfo("flags") or _cpuinfo("Features")).split()
    return sorted(flag for flag in flags if re.match(r"sse|ssse|avx|fma|amx|asimd|neon|sve", flag))


def _cpuinfo(name: str) -> str:
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if re.match(rf"{name}\s*:", line):
                return line.split(":", 1)[1].strip()
    return ""


def steering() -> dict[str, str]:
    """The variables of the shell that decide how libraries sum."""
    found = {name: os.environ[name] for name in sorted(os.environ) if STEERING.match(name)}
    return {name: value for name, value in found.items() if (name, value) != (GPUS, NONE)}


def tensorflow() -> str:
    """The distribution that TensorFlow is of: its build for processors alone, or the whole."""
    from importlib.metadata import PackageNotFoundError, version

    with suppress(PackageNotFoundError):
        version(PROCESSORS)
        return PROCESSORS
    return "tensorflow"


def libraries() -> dict[str, str]:
    """The versions of the libraries that make the bytes of a series, a scale or a network.

    All are the same for every Python that the lock file supports; SciPy's is not.
    """
    from importlib.metadata import PackageNotFoundError, version

    names = ("keras", "tensorflow", "numpy", "pandas", "scikit-learn", "pyarrow", "h5py")
    found = {name: version(tensorflow() if name == "tensorflow" else name) for name in names}
    with suppress(PackageNotFoundError):  # only boosting needs it
        found["lightgbm"] = version("lightgbm")
    return found


def versions() -> dict[str, str]:
    """Python's version and those of the libraries that a result's bytes depend on."""
    return {"python": platform.python_version(), **libraries()}


def settings() -> dict[str, Any]:
    """What a result's bytes depend on besides code, data and parameters."""
    environment = ENVIRONMENT | {GPUS: NONE} | steering()
    return {
        "processor": processor(),
        "vector_flags": " ".join(vector_flags()),
        "threads": THREADS,
        **{f"env.{name}": value for name, value in environment.items()},
        **{f"version.{name}": number for name, number in versions().items()},
    }
