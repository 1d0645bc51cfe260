"""The document of faults says what the tests do."""

from tests import reliability


def test_the_document_of_faults_is_made_from_the_tests() -> None:
    """docs/reliability.md is what `make reliability-docs` writes."""
    assert reliability.FILE.read_text(encoding="utf-8") == reliability.page()
