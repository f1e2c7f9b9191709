#!/usr/bin/env bash
# Plants faults in a crate, one at a time, and runs its tests on each:
#   tools/mutants.sh hintdex-wire 0/20     every twentieth fault, from the first
# Fails when the tests catch less than 90 % of the faults that compile.
set -euo pipefail
cd "$(dirname "$0")/.."
crate=${1:?a crate} shard=${2:?a shard, such as 0/20}
target=${CARGO_TARGET_DIR:-$PWD/target}
tools=$target/tools
if ! command -v cargo-mutants >/dev/null && [ ! -x "$tools/bin/cargo-mutants" ]; then
    cargo install --quiet --locked --root "$tools" --version 27.1.0 cargo-mutants
fi
export PATH=$tools/bin:$PATH
out=$target/mutants
mkdir -p "$out"
# A missed mutant is an exit code of 2, a timeout of 3: the share decides below.
cargo mutants -j1 -p "$crate" --shard "$shard" --sharding round-robin -o "$out" || {
    code=$?
    [ "$code" = 2 ] || [ "$code" = 3 ] || exit "$code"
}
python3 - "$out/mutants.out/outcomes.json" <<'PYTHON'
import json, sys
outcomes = json.load(open(sys.argv[1]))
caught = outcomes["caught"] + outcomes["timeout"]
viable = caught + outcomes["missed"]
print(f"mutants: {caught} of {viable} caught")
sys.exit(0 if caught >= 0.9 * viable else 1)
PYTHON
