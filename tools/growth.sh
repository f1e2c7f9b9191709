#!/bin/sh
# Measures how figures grow with the fleet, up to 10^7 devices or so many as are
# named, and writes docs/results/growth.md and growth.json. 10^8 take 14 GiB of memory,
# 15 GiB of disk, and a quarter of an hour a run.
#   growth.sh [DEVICES [RUNS]]
set -eu
cd "$(dirname "$0")/.."

devices=${1:-10000000}
runs=${2:-3}
tools/with-ccache.sh cargo build --release --package hintdex-cli
bin=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/hintdex
folder=$(mktemp -d -p .)
trap 'rm -rf "$folder"' EXIT

"$bin" measure --growth-only --devices "$devices" --lookahead 10 --runs "$runs" --memory 1G \
    --out "$folder" >"$folder/table.md"
{
    echo '# Growth'
    echo
    echo "Written by \`tools/growth.sh $devices $runs\` on $(date -u +%Y-%m-%d), commit $(git rev-parse --short HEAD)."
    echo "Processor time; each figure is the middle of $runs fresh processes, with the least and the greatest."
    echo
    sed '/^the page: /,$d' "$folder/table.md"
    cat <<'NOTES'

What grows, and why.

- **Bytes.** A ribbon of 32 tries stores the number of a group of 32 devices. Each doubling of the
  fleet is one bit more, 0.125 bytes a hint, as in the information bound. The live index takes the
  same bit for its slots, and 16 bits of hint whatever its size, within the half bit by which a
  bucket's fill moves. Small fleets pay for headers and the store's own files (some 150 KiB).
- **Lookups** wait for memory once keys (16 bytes a device) and rows leave the processor's caches: 10⁵
  to 10⁶ devices here. In the live index a lookup reads a block once the rows do not fit into a
  quarter of `--memory`: 10⁸ devices here, with a window of 4.7 GB.
- **Building** takes a further pass over all keys and hints when the hints do not fit into `--memory`
  at once: 11 bytes each for a window, 12 for a snapshot. That is 11 and 12 passes for 10⁹ hints in
  1 GiB. Each pass computes every key and hint again, some 30 to 40 ns a hint. With `--memory 12G`
  there is one pass.
NOTES
} >"$folder/growth.md"
cp "$folder/growth.md" docs/results/growth.md
cp "$folder/results.json" docs/results/growth.json
cat docs/results/growth.md
