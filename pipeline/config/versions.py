"""data/versions.json: the versions of the libraries that make bytes. Every stage depends on it."""

from pipeline.errors import PipelineError
from pipeline.files.layout import Layout
from pipeline.files.yaml import read_yaml
from pipeline.runtime import determinism


def changes(layout: Layout) -> list[str]:
    """For each library that is installed in another version than the file's: both versions."""
    now = determinism.libraries()
    try:
        then = read_yaml(layout.versions)  # JSON is YAML
    except (OSError, PipelineError):
        then = {}
    return [
        f"{name}: expected {then.get(name, 'none')}, found {number}"
        for name, number in sorted(now.items())
        if number != then.get(name)
    ]
