"""The index of the scheme as its Python users write it: a dict from hint to (device, nonce).

    dict_index.py MASTER_HEX DEVICES LOOKAHEAD

PyCryptodome makes the hints. The program says `started`, provisions its dict on
the first line of standard input, says `ready`, and then answers: to a number in
four bytes and as many hints, the device of each in four bytes, all little-endian.
"""

import hmac
import struct
import sys
from array import array

from Crypto.Cipher import AES


def provision(master, devices, lookahead):
    expected = {}
    for device in range(devices):
        hint_key = hmac.digest(master, b"nhint_key:" + device.to_bytes(4, "big"), "sha256")[:16]
        cipher = AES.new(hint_key, AES.MODE_ECB)
        for nonce in range(lookahead):
            expected[cipher.encrypt(nonce.to_bytes(16, "big"))] = (device, nonce)
    return expected


def main():
    master, devices, lookahead = sys.argv[1:]
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    sink.write(b"started\n")
    sink.flush()
    source.readline()
    expected = provision(bytes.fromhex(master), int(devices), int(lookahead))
    sink.write(b"ready\n")
    sink.flush()
    while head := source.read(4):
        (count,) = struct.unpack("<I", head)
        hints = source.read(16 * count)
        found = array("I", [expected[hints[at : at + 16]][0] for at in range(0, len(hints), 16)])
        if sys.byteorder == "big":
            found.byteswap()
        sink.write(found.tobytes())
        sink.flush()


if __name__ == "__main__":
    main()
