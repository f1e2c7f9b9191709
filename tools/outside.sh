#!/bin/sh
# Holds what hintdex measure says of bytes and memory against observers outside: the
# lengths of the files, and /usr/bin/time, at full size.
#   outside.sh [DEVICES] [LOOKAHEAD]
set -eu
cd "$(dirname "$0")/.."

devices=${1:-1000000}
lookahead=${2:-16}
command -v /usr/bin/time >/dev/null || { echo "outside: needs /usr/bin/time; apt-get install time" >&2; exit 2; }
tools/with-ccache.sh cargo build --release --package hintdex-cli
bin=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/hintdex
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"$bin" provision --index "$folder/fleet" --devices "$devices" --lookahead "$lookahead"

# hold WHAT INSIDE OUTSIDE: within 2 %.
hold() {
    awk -v what="$1" -v inside="$2" -v outside="$3" 'BEGIN {
        off = inside / outside - 1
        printf "%-34s %14d by the program %14d outside %+.2f %%\n", what, inside, outside, off * 100
        exit !(off < 0.02 && off > -0.02)
    }'
}
figure() { sed "s/.*\"$1\":\([0-9]*\).*/\1/" "$folder/taken"; }
take() {
    /usr/bin/time -v "$bin" take "$@" --index "$folder/fleet" --snapshot "$folder/fleet.hdx" \
        --devices "$devices" --lookahead "$lookahead" </dev/null >"$folder/taken" 2>"$folder/time"
    peak=$(sed -n 's/.*Maximum resident set size (kbytes): //p' "$folder/time")
    hold "$*: peak" "$(figure peak_resident_bytes)" $((peak * 1024))
}
take live
hold "live: bytes" "$(figure bytes)" "$(ls -l "$folder/fleet/index" | awk '{sum += $5} END {print sum}')"
take scan
take station
for encoding in ribbon dense sorted; do
    for tries in 1 32 1000; do
        "$bin" rebuild --index "$folder/fleet" --out "$folder/fleet.hdx" --horizon "$lookahead" \
            --encoding $encoding --tries $tries
        take snapshot
        hold "$encoding, $tries tries: bytes" "$(figure bytes)" "$(ls -l "$folder/fleet.hdx" | awk '{print $5}')"
    done
done
