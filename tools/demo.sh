#!/usr/bin/env bash
# The main job, from nothing: a million devices provisioned, a recorded capture
# decoded, and what the index costs.
set -euo pipefail
cd "$(dirname "$0")/.."

bin=${CARGO_TARGET_DIR:?run it by make demo}/release
capture=tests/data/reference
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. A million devices, ten hints each, in an index on disk"
"$bin/hintdex" provision --index "$work/fleet" --devices 1000000 --lookahead 10 \
    --master-key "$capture/master.key"

say "2. What the index costs"
# On a copy: it decodes packets of its own, whose nonces are taken then.
cp -r "$work/fleet" "$work/costs"
"$bin/hintdex-costs" "$work/costs"
rm -rf "$work/costs"

say "3. A recorded capture of 30,000 packets: loss, repeats, leaps, damage, noise"
"$bin/hintdex" decode --index "$work/fleet" "$capture/packets.hex" >"$work/verdicts.jsonl"
head -n 3 "$work/verdicts.jsonl"
echo "..."
tools/check-verdicts.sh "$work/verdicts.jsonl" "$capture/expected.tsv"

say "4. What is in the index now, and that it is sound"
"$bin/hintdex" inspect "$work/fleet"
"$bin/hintdex" verify "$work/fleet"

say "5. Every form of an index, measured on this machine: the table, and a page to look at"
"$bin/hintdex" estimate --devices 200000 --lookahead 10
"$bin/hintdex" measure --devices 200000 --lookahead 10 --quick --out report/
