#!/usr/bin/env bash
# Holds the sizes of the sources: files up to 500 lines without their tests,
# functions up to 70.
set -euo pipefail
cd "$(dirname "$0")/.."

git ls-files --cached --others --exclude-standard '*.rs' | xargs awk '
    FNR == 1 { tests = 0; length_ = 0; start = 0 }
    /^#\[cfg\(test\)\]/ { tests = 1 }
    !tests { length_++; if (length_ == 501) { print FILENAME ": more than 500 lines"; bad = 1 } }
    # A function ends at the brace that stands as far in as its first line.
    !start && /^ *(pub(\([a-z]+\))? )?(const |unsafe |extern "C" )*fn / {
        if ($0 !~ /\}$|;$/) { start = FNR; name = $0; match($0, /^ */); indent = RLENGTH }
    }
    start && FNR > start && /^ *\}/ {
        match($0, /^ */)
        if (RLENGTH == indent) {
            if (FNR - start + 1 > 70) { print FILENAME ":" start ": function of " FNR - start + 1 " lines"; bad = 1 }
            start = 0
        }
    }
    END { exit bad }
'
