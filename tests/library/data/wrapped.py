#!/usr/bin/env python3
"""Writes wrapped-key.hex and wrapped.hex: a master key, and that key wrapped under the passphrase
"correct horse battery staple", by the words of docs/format/master-key.md and the package
`cryptography` alone."""

import struct
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

FOLDER = Path(__file__).parent
PASSPHRASE = b"correct horse battery staple"
KEY = bytes((7 * at + 3) % 256 for at in range(32))
SALT = bytes(range(0xA0, 0xB0))
MEMORY_KIB, PASSES, LANES = 128, 2, 3

head = b"hdxwrap\0" + struct.pack(">H6xIII", 1, MEMORY_KIB, PASSES, LANES)
wrapping_key = Argon2id(
    salt=SALT, length=32, iterations=PASSES, lanes=LANES, memory_cost=MEMORY_KIB
).derive(PASSPHRASE)
# AESSIV returns V ‖ ciphertext.
tail = SALT + AESSIV(wrapping_key).encrypt(KEY, [head])
checksum = struct.pack(">I", zlib.crc32(head + tail))
(FOLDER / "wrapped-key.hex").write_text(KEY.hex())
(FOLDER / "wrapped.hex").write_text((head + checksum + tail).hex())
