#!/bin/sh
# Runs every bench of the live index at full size, about ten minutes, and writes
# docs/results/live-index.md. Needs python3 with PyCryptodome for the peer that
# decodes (python3 -m pip install pycryptodome); says so if it is missing.
set -eu
cd "$(dirname "$0")/.."

tools/with-ccache.sh cargo build --release --package hintdex-benches
bench=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/hintdex-bench
results=docs/results/live-index.md
unfinished=$(mktemp)
trap 'rm -f "$unfinished"' EXIT

{
    echo '# The live index, measured'
    echo
    echo "Written by \`tools/bench.sh\` on $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD)."
    echo
    echo 'Ours and the peer ran in turns in one run. A ratio is taken round by round, and its'
    echo 'median is compared with the goal. Work on one thread is compared by CPU time, which'
    echo 'other work on the machine disturbs less; work on two threads by wall time.'
    echo 'A row that misses its goal is marked MISSES.'
    echo
    for name in lookup provision decode sizes; do
        "$bench" "$name"
        echo "By \`hintdex-bench $name\`."
        echo
    done
} >"$unfinished"
mkdir -p docs/results
cp "$unfinished" "$results"
cat "$results"
