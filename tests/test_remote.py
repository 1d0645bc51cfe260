"""A DVC remote: what one clone pushes another one pulls, by a directory or by S3."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.repositories import copied, run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
KEYS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
}


def client(address: str) -> Any:
    """A client of an S3-compatible server."""
    names = ("aws_access_key_id", "aws_secret_access_key", "region_name")
    return boto3.client("s3", endpoint_url=address, **dict(zip(names, KEYS.values(), strict=True)))


@pytest.fixture
def s3() -> Iterator[str]:
    """The address of an S3-compatible server with an empty bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client(address).create_bucket(Bucket="forecasts")
    yield address
    server.stop()


def there_and_back(finished_toy: Path, tmp_path: Path, *settings: list[str]) -> None:
    """Push from one clone and pull into another; the files are the same."""
    one, other = copied(finished_toy, tmp_path / "one"), tmp_path / "other"
    for setting in settings:
        run(one, "dvc", "remote", *setting)
    run(one, "git", "commit", "-qam", "remote")
    assert "2 files pushed" in run(one, "dvc", "push", "ingest", env=KEYS)
    run(one, "git", "commit", "-qam", "pushed", status=None)  # a version-aware remote's answer
    run(tmp_path, "git", "clone", "-q", str(one), str(other))
    assert not (other / "data/ingested").exists()
    run(other, "dvc", "pull", "ingest", env=KEYS)
    for name in ("series.parquet", "quality.json"):
        file = Path("data/ingested") / name
        assert (other / file).read_bytes() == (one / file).read_bytes()


def test_a_directory_is_a_remote(finished_toy: Path, tmp_path: Path) -> None:
    """The default of the docs: a directory that everyone can reach."""
    there_and_back(finished_toy, tmp_path, ["add", "-d", "shared", str(tmp_path / "remote")])


def test_s3_is_a_remote(finished_toy: Path, tmp_path: Path, s3: str) -> None:
    """A bucket of an S3-compatible server, keys from the environment."""
    add = ["add", "-d", "shared", "s3://forecasts/cache"]
    there_and_back(finished_toy, tmp_path, add, ["modify", "shared", "endpointurl", s3])


def test_a_version_aware_remote_changes_no_checksum(
    finished_toy: Path, tmp_path: Path, s3: str
) -> None:
    """What the push has written into dvc.lock is accepted, and nothing has to run again."""
    client(s3).put_bucket_versioning(
        Bucket="forecasts", VersioningConfiguration={"Status": "Enabled"}
    )
    add = ["add", "-d", "shared", "s3://forecasts/versions"]
    modify = [
        ["modify", "shared", *pair] for pair in (["endpointurl", s3], ["version_aware", "true"])
    ]
    there_and_back(finished_toy, tmp_path, add, *modify)
    one = tmp_path / "one"
    assert "cloud:" in (one / "dvc.lock").read_text()
    assert run(one, sys.executable, "-m", "pipeline", "check") == ""
    # Of a directory that lists its files DVC writes its own entry anew; it runs nothing.
    assert "Running stage" not in run(one, "dvc", "repro", "ingest", env=KEYS)
