#!/usr/bin/env python3
"""Writes hkdf.json: keys of devices derived with HKDF-SHA256 (RFC 5869), by the hmac and hashlib
modules alone. The words of docs/format/live-index.md ("Derived keys") are all that it follows.
Run: python3 hkdf.py > hkdf.json"""

import hashlib
import hmac
import json


def sha256(key, data):
    return hmac.new(key, data, hashlib.sha256).digest()


def hkdf(salt, ikm, info, length):
    prk, block, okm, number = sha256(salt or bytes(32), ikm), b"", b"", 1
    while len(okm) < length:
        block = sha256(prk, block + info + bytes([number]))
        okm, number = okm + block, number + 1
    return okm[:length]


# RFC 5869, appendix A.1 to A.3.
assert hkdf(bytes(range(13)), b"\x0b" * 22, bytes(range(0xF0, 0xFA)), 42).hex() == (
    "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
)
assert hkdf(bytes(range(0x60, 0xB0)), bytes(range(80)), bytes(range(0xB0, 0x100)), 82).hex() == (
    "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
    "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
    "cc30c58179ec3e87c14c01d5c1f3434f1d87"
)
assert hkdf(b"", b"\x0b" * 22, b"", 42).hex() == (
    "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
)

cases = []
for master in [bytes(range(32)), bytes([0xFF]) * 32]:
    for device in [0, 1, 42, 0x6E68696E, 0xFFFFFFFF]:
        for generation in [0, 1, 2, 0x3A3A, 0xFFFF]:
            suffix = device.to_bytes(4, "big")
            suffix += generation.to_bytes(2, "big") if generation else b""
            cases.append({
                "master": master.hex(),
                "device": device,
                "generation": generation,
                "dev_key": hkdf(b"", master, b"dev_key:" + suffix, 32).hex(),
                "hint_key": hkdf(b"", master, b"nhint_key:" + suffix, 16).hex(),
            })
print(json.dumps({"cases": cases}, indent=1))
