"""data/versions.json: the versions of the libraries that make bytes. Every stage depends on it."""

from pipeline.errors import PipelineError
from pipeline.files.layout import Layout
from pipeline.files.yaml import read_yaml
from pipeline.runtime import determinism


def changes(layout: Layout) -> list[str]:
    """For each library that the file has in another version: what it has, and what is installed."""
    now = determinism.libraries()
    try:
        then = read_yaml(layout.versions)  # JSON is YAML
    except (OSError, PipelineError):
        then = {}
    return [
        f"{name}: expected {then.get(name, 'none')}, found {now.get(name, 'none')}"
        for name in sorted(now.keys() | then.keys())
        if now.get(name) != then.get(name)
    ]
