#!/bin/sh
# Measures every form on this machine and leaves the page in report/: a few minutes
# for a million devices. Further arguments go to hintdex measure.
set -eu
cd "$(dirname "$0")/.."

tools/with-ccache.sh cargo build --release --package hintdex-cli
bin=$(cargo metadata --format-version 1 --no-deps |
    sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release/hintdex
"$bin" measure --devices 1000000 --lookahead 16 --out report/ "$@"
