#!/usr/bin/env bash
# The metering and rating job of the reference workload, by Tallybook; prints a line like the scripts of other tools.
#
#   benches/compare/tallybook.sh --data DIR --out DIR [--no-verify]
#
# DIR holds events-*.ndjson, contracts.csv, price_books.json and truth.json. VERIFY may name the verify.py that
# compares results with the truth. job_seconds is the job alone: building, converting contracts and price books
# before it, and renaming columns for verify.py after it, stay outside.
set -euo pipefail
repository="$(cd "$(dirname "$0")/../.." && pwd)"
target="${CARGO_TARGET_DIR:-$repository/target}"
(cd "$repository" && cargo build --release --locked --quiet)

python="$target/compare-venv/bin/python"
if [ ! -x "$python" ]; then
    python3 -m venv "$target/compare-venv"
    "$python" -m pip install --quiet duckdb==2.0.0
fi
"$python" "$repository/benches/compare/job.py" --program "$target/release/tallybook" "$@"
