#!/usr/bin/env bash
# Looks up every package of requirements-dev.lock among known vulnerabilities. One that cannot be looked
# up is a failure too: without --strict, pip-audit ends well with every package skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

accepted=()
while read -r id _; do
  accepted+=(--ignore-vuln "$id")
done < <(grep -vE '^[[:space:]]*(#|$)' .github/accepted-advisories.txt || true)

pipx run --spec pip-audit==2.10.1 pip-audit --strict --require-hashes --disable-pip \
  --requirement requirements-dev.lock --format json --output audit.json "${accepted[@]}"

python3 - <<'CHECK'
import json
import sys

packages = json.load(open("audit.json"))["dependencies"]
skipped = [package["name"] for package in packages if "skip_reason" in package]
if skipped or len(packages) < 100:
    sys.exit(f"error: expected every package audited, found {len(packages)}, skipped: {skipped}")
print(f"{len(packages)} packages audited, none skipped")
CHECK
