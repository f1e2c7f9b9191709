#!/usr/bin/env bash
# hintdex beside its peers, at full size, in less than half an hour after the build:
# prints the table and writes docs/results/compare.md and compare.json.
#   compare.sh [ARGUMENTS OF compare]
# Redis, PostgreSQL and PyCryptodome are installed where that may be done; what is
# missing then is not run, and the page says so.
set -euo pipefail
cd "$(dirname "$0")/.."

export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || command -v initdb >/dev/null ||
    missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
    if command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
        echo "compare: installing ${missing[*]}"
        # The run starts servers of its own: no cluster is made, and no service started.
        conf=/etc/postgresql-common/createcluster.conf
        if [ ! -e "$conf" ]; then
            mkdir -p "$(dirname "$conf")"
            echo 'create_main_cluster = false' >"$conf"
        fi
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
            echo "compare: could not install ${missing[*]}: their rows will be missing" >&2
    else
        echo "compare: ${missing[*]} (Debian's names) not installed: their rows will be missing" >&2
    fi
fi

# For this run alone, beside what it builds.
export PYTHONPATH=$CARGO_TARGET_DIR/compare-python${PYTHONPATH:+:$PYTHONPATH}
python3 -c 'import Crypto.Cipher.AES' 2>/dev/null ||
    python3 -m pip install --quiet --target "$CARGO_TARGET_DIR/compare-python" pycryptodome ||
    echo "compare: PyCryptodome could not be installed: Python's row will be missing" >&2

tools/with-ccache.sh cargo build --release --manifest-path benches/compare/Cargo.toml --bin compare
"$CARGO_TARGET_DIR/release/compare" --out docs/results \
    --date "$(date -u +%Y-%m-%d)" --commit "$(git rev-parse --short HEAD)" "$@"
