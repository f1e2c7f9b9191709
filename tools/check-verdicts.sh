#!/usr/bin/env bash
# Compares verdicts with what an independent decoder says of the same packets.
#   check-verdicts.sh VERDICTS.jsonl EXPECTED.tsv
set -euo pipefail

# accepted: verdict, device, nonce, payload; all others: rejected, verdict.
sed -E \
    -e 's/^\{"line":[0-9]+,"verdict":"accepted","device":([0-9]+),"nonce":([0-9]+),"payload":"([0-9a-f]*)".*/accepted\t\1\t\2\t\3/' \
    -e 's/^\{"line":[0-9]+,"verdict":"([a-z]+)".*/rejected\t\1/' "$1" |
    diff - "$2" >/dev/null || {
    echo "the verdicts differ from $2" >&2
    exit 1
}
echo "all $(wc -l <"$2") verdicts are those of an independent decoder ($2)"
