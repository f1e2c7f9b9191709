"""The scheme as its Python users write it: a dict from hint to (device, nonce).

PyCryptodome does the cryptography, the dict is the index, and nothing is kept
through a restart: no log, no file, no lock. That is less than `hintdex` does,
and it is the peer's advantage.

    dict_scheme.py MASTER_HEX DEVICES LOOKAHEAD PACKETS [--fast-hmac]

PACKETS holds a packet a line, in hex. The program provisions its dict, prints
`ready SECONDS HINTS`, and then for each line `COUNT` on standard input decodes
the next COUNT packets and prints `done WALL_SECONDS CPU_SECONDS ACCEPTED SUM`.

With --fast-hmac the tags come from the standard library's one-shot
`hmac.digest`, which is in C down to OpenSSL; PyCryptodome's own HMAC costs ten
times as much.
"""

import hmac
import sys
import time

from Crypto.Cipher import AES
from Crypto.Hash import HMAC, SHA256

WINDOW = 64


def mac_pycryptodome(key, message):
    return HMAC.new(key, message, SHA256).digest()


def mac_fast(key, message):
    return hmac.digest(key, message, "sha256")


class DictScheme:
    """Everything a station has to know of its fleet, in dicts."""

    def __init__(self, master, devices, lookahead, mac):
        self.lookahead = lookahead
        self.mac = mac
        self.expected = {}  # hint -> (device, nonce)
        self.devices = {}  # device -> [dev_key, hint_key, highest, seen, end of its hints]
        for device in range(devices):
            number = device.to_bytes(4, "big")
            dev_key = mac_fast(master, b"dev_key:" + number)
            hint_key = mac_fast(master, b"nhint_key:" + number)[:16]
            self.devices[device] = [dev_key, hint_key, -1, 0, 0]
            self.extend(device, self.devices[device], lookahead)

    def extend(self, device, state, end):
        """Puts the hints of a device up to `end` into the dict."""
        cipher = AES.new(state[1], AES.MODE_ECB)
        for nonce in range(state[4], end):
            hint = cipher.encrypt(nonce.to_bytes(16, "big"))
            self.expected[hint] = (device, nonce)
        state[4] = end

    def decode(self, packet):
        """The payload of a packet that is authentic and new, or None."""
        hint, covered, tag = packet[:16], packet[:-8], packet[-8:]
        found = self.expected.get(hint)
        if found is None:
            return None
        device, nonce = found
        state = self.devices[device]
        dev_key = state[0]
        if not hmac.compare_digest(self.mac(dev_key[16:], covered)[:8], tag):
            return None
        highest = state[2]
        if nonce > highest:
            shift = nonce - highest
            state[3] = ((state[3] << shift) | 1) & ((1 << WINDOW) - 1) if shift < WINDOW else 1
            state[2] = nonce
        else:
            behind = highest - nonce
            if behind >= WINDOW or state[3] >> behind & 1:
                return None
            state[3] |= 1 << behind
        cipher = AES.new(dev_key[:16], AES.MODE_CTR, nonce=nonce.to_bytes(8, "big"))
        payload = cipher.decrypt(packet[16:-8])
        del self.expected[hint]
        self.extend(device, state, max(state[4], state[2] + 1 + self.lookahead))
        return payload


def main():
    master, devices, lookahead, path = sys.argv[1:5]
    mac = mac_fast if "--fast-hmac" in sys.argv[5:] else mac_pycryptodome
    with open(path) as lines:
        packets = [bytes.fromhex(line) for line in lines]
    started = time.perf_counter()
    scheme = DictScheme(bytes.fromhex(master), int(devices), int(lookahead), mac)
    print("ready", time.perf_counter() - started, len(scheme.expected), flush=True)
    at = 0
    for line in sys.stdin:
        batch = packets[at : at + int(line)]
        at += len(batch)
        accepted = total = 0
        started, started_cpu = time.perf_counter(), time.process_time()
        for packet in batch:
            payload = scheme.decode(packet)
            if payload is not None:
                accepted += 1
                total += payload[0]
        wall, cpu = time.perf_counter() - started, time.process_time() - started_cpu
        print("done", wall, cpu, accepted, total, flush=True)


if __name__ == "__main__":
    main()
