#!/usr/bin/env bash
# What sealing takes on a Cortex-M4F, for each suite: bytes of code and of data, and by emulation
# instructions and bytes of stack for one packet (docs/results/firmware.md). Needs the target
# thumbv7em-none-eabihf and `size`; for the emulation, the package `unicorn` of PyPI.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../benches/firmware"
target=thumbv7em-none-eabihf
folder=${CARGO_TARGET_DIR:-target}
python=${PYTHON:-python3}
printf '| suite | code, bytes | data, bytes | instructions a packet | stack, bytes |\n'
printf '| --- | ---: | ---: | ---: | ---: |\n'
for suite in "" aes-ctr-hmac chacha20poly1305 xchacha20poly1305 aes-siv aes-ccm-8 carry24 \
    x25519 x25519-seq; do
    "${CARGO:-cargo}" build --quiet --release --target "$target" ${suite:+--features "$suite"}
    program=$folder/$target/release/hintdex-firmware
    steps=$("$python" "$here/firmware-steps.py" "$program" 2>/dev/null | awk '{ print $2 " | " $4 }')
    size -A "$program" | awk -v suite="${suite:-none}" -v steps="${steps:-not measured | not measured}" '
        $1 ~ /^\.(text|rodata|ARM)/ { code += $2 }
        $1 ~ /^\.(data|bss)/ { data += $2 }
        END { printf "| %s | %d | %d | %s |\n", suite, code, data, steps }'
done
