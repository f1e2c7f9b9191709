#!/usr/bin/env bash
# Looks for what the build needs and installs what is missing, or says how.
set -euo pipefail

missing=()
command -v c++ >/dev/null || missing+=(g++)
command -v make >/dev/null || missing+=(make)
command -v ccache >/dev/null || missing+=(ccache)
# The documents are checked, and their figures drawn, by scripts.
command -v python3 >/dev/null || missing+=(python3)
# The tests kill the program at chosen system calls.
command -v strace >/dev/null || missing+=(strace)
# make perf counts instructions.
command -v valgrind >/dev/null || missing+=(valgrind)
# A test looks at the report of hintdex measure in a browser.
command -v chromium >/dev/null || missing+=(chromium)
# Tests of the service send packets and payloads through a broker.
command -v mosquitto >/dev/null || [ -x /usr/sbin/mosquitto ] || missing+=(mosquitto)
# They make certificates for it.
command -v openssl >/dev/null || missing+=(openssl)
# RocksDB's bindings are made from its header by libclang. (libclang-cpp, which
# LLVM's own packages bring, is another library.)
has_libclang() {
    ldconfig -p 2>/dev/null | grep -Eq 'libclang(-[0-9.]+)?\.so' ||
        compgen -G '/usr/lib/llvm-*/lib/libclang.so*' >/dev/null ||
        compgen -G '/usr/lib/llvm-*/lib/libclang-[0-9]*.so*' >/dev/null
}
if [ -z "${LIBCLANG_PATH:-}" ] && ! has_libclang; then
    missing+=(libclang-dev)
fi

if [ ${#missing[@]} -gt 0 ]; then
    line="apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    if ! command -v apt-get >/dev/null; then
        echo "setup: missing: ${missing[*]} (Debian's names); install them with your package manager" >&2
        exit 2
    elif [ "$(id -u)" -ne 0 ]; then
        echo "setup: missing: ${missing[*]}; run this once, then make again:" >&2
        echo "    sudo sh -c '$line'" >&2
        exit 2
    fi
    echo "setup: installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

if ! command -v cargo >/dev/null; then
    echo "setup: Rust is missing; run this once, then make again:" >&2
    echo "    curl -sSf https://sh.rustup.rs | sh -s -- -y && . ~/.cargo/env" >&2
    exit 2
fi

target=${CARGO_TARGET_DIR:?set by the Makefile}
if ! compgen -G "$target/release/build/librocksdb-sys-*/out/librocksdb.a" >/dev/null; then
    echo "setup: RocksDB is not built here yet: 15 to 30 minutes on two cores, 2 when ccache has it from another clone"
fi
