"""Libraries that only some experiments need."""

from typing import Any

from pipeline.errors import PipelineError


def lightgbm() -> Any:
    """LightGBM; PipelineError says how to get it where it is absent."""
    try:
        import lightgbm
    except (ImportError, OSError) as error:  # OSError: its own library needs the system's OpenMP
        raise PipelineError(
            f"boosting: expected LightGBM to be installed, found: {error}; install it with: "
            "pip install lightgbm"
        ) from None
    return lightgbm


def calamine() -> Any:
    """The reader of workbooks; PipelineError says how to get it where it is absent."""
    try:
        import python_calamine
    except ImportError as error:
        raise PipelineError(
            f"a workbook: expected the extra excel to be installed, found: {error}; install it "
            "with: pip install python-calamine"
        ) from None
    return python_calamine


def holidays() -> Any:
    """The library of public holidays; PipelineError says how to get it where it is absent."""
    try:
        import holidays
    except ImportError as error:
        raise PipelineError(
            f"holidays: expected the extra of that name to be installed, found: {error}; install "
            "it with: pip install holidays"
        ) from None
    return holidays


def ray() -> Any:
    """Ray; PipelineError says how to get it where it is absent."""
    try:
        import ray
    except ImportError as error:
        raise PipelineError(
            f"ray: expected the extra of that name to be installed, found: {error}; install it "
            "with: pip install ray"
        ) from None
    return ray
