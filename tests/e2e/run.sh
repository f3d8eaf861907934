#!/bin/bash
# Run the end-to-end suites against the build in $OUT (build/release). Arguments: suite names; none: all.
# The official client is installed below build/, exactly as package-lock.json pins it.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=build/e2e
mkdir -p "$place"
if ! cmp -s tests/e2e/package-lock.json "$place/.installed"; then
    cp tests/e2e/package.json tests/e2e/package-lock.json "$place/"
    npm ci --prefix "$place" --ignore-scripts --no-audit --no-fund --silent
    cp tests/e2e/package-lock.json "$place/.installed"
fi
rm -rf "$place/run"
files=()
for suite in "${@:-*}"; do
    files+=(tests/e2e/$suite.test.mjs)
done
exec node --test --test-concurrency=1 --test-reporter=./tests/e2e/support/reporter.mjs \
    --test-reporter-destination=stdout "${files[@]}"
