#!/usr/bin/env bash
# Runs a command so that C and C++ go through ccache, where it is installed.
# Always the same two variables: other values would make cargo build RocksDB again.
set -euo pipefail
if command -v ccache >/dev/null; then
    export CC="ccache cc" CXX="ccache c++"
fi
exec "$@"
