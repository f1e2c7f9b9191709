#!/usr/bin/env python3
"""Writes a capture of a fleet of x25519 or x25519-seq packets and the verdict on each packet, by the
standard library alone.

    ephemeral.py MASTER STATION SUITE DEVICES PACKETS SEED

MASTER and STATION, the station's secret, are hex. Each line is `packet verdict device nonce payload`,
separated by tabs; an empty payload is `-`. Verdicts are accepted, replay, stale, forged, noise and
malformed. Noise is a packet that names no device of the fleet. The nonce of an x25519 packet is its
number among the accepted packets of its device.

X25519 is written from RFC 7748 and checked against its examples before anything is written.
"""

import hashlib
import hmac
import sys

from capture import Aes128, Random, ctr, flip, self_test

P = (1 << 255) - 19
BASE = (9).to_bytes(32, "little")


def x25519(scalar, point):
    """RFC 7748, section 5."""
    k = int.from_bytes(scalar, "little") & ~7 & ((1 << 254) - 1) | 1 << 254
    u = int.from_bytes(point, "little") & ((1 << 255) - 1)
    x2, z2, x3, z3, swap = 1, 0, u, 1, 0
    for bit in range(254, -1, -1):
        now = k >> bit & 1
        if swap ^ now:
            x2, x3, z2, z3 = x3, x2, z3, z2
        swap = now
        a, b = (x2 + z2) % P, (x2 - z2) % P
        aa, bb = a * a % P, b * b % P
        e = (aa - bb) % P
        da, cb = (x3 - z3) * a % P, (x3 + z3) * b % P
        x3, z3 = (da + cb) ** 2 % P, u * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, e * (aa + 121665 * e) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


def check_x25519():
    """The examples of RFC 7748, section 5.2."""
    for scalar, point, shared in (
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
        (
            BASE.hex(),
            BASE.hex(),
            "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
        ),
    ):
        made = x25519(bytes.fromhex(scalar), bytes.fromhex(point))
        assert made == bytes.fromhex(shared)


class Device:
    def __init__(self, master, number):
        label = b"device_mac_key:" + number.to_bytes(4, "big")
        self.number = number
        self.mac_key = hmac.new(master, label, hashlib.sha256).digest()
        self.next, self.highest, self.seen = 0, -1, {}

    def packet(self, suite, station, nonce, payload, random):
        point = x25519(random, BASE)
        shared = x25519(random, station)
        key = hashlib.blake2b(shared + point + station).digest()[:32]
        cipher = lambda data: ctr(Aes128(key[:16]), 0, data)
        tag = lambda data: hmac.new(self.mac_key, key + data, hashlib.sha256).digest()[:8]
        name = self.number.to_bytes(4, "big")
        if suite == "x25519":
            text = cipher(name + payload)
            return point + text + tag(text)
        body = name + nonce.to_bytes(4, "big") + payload
        return point + cipher(body + tag(body))

    def judge(self, suite, nonce, packet):
        """The verdict on an authentic packet, and its nonce."""
        if suite == "x25519":
            # No nonce: the same bytes are a repeat, and a new packet gets the next number.
            is_new = packet not in self.seen
            number = self.seen.setdefault(packet, len(self.seen))
            return ("accepted" if is_new else "replay"), number
        if nonce <= self.highest - 64:
            return "stale", nonce
        if nonce in self.seen:
            return "replay", nonce
        self.seen[nonce] = True
        self.highest = max(self.highest, nonce)
        return "accepted", nonce


def capture(master, secret, suite, devices, packets, seed):
    """Yields (packet, verdict, device, nonce, payload)."""
    station = x25519(secret, BASE)
    random, fleet, sent, late = Random(seed), {}, [], []
    often = [random.below(devices) for _ in range(packets // 20)]

    def judged(entry):
        device, nonce, payload, packet = entry
        verdict, number = device.judge(suite, nonce, packet)
        return packet, verdict, device.number, number, payload

    for _ in range(packets):
        number = often[random.below(len(often))] if random.below(10) else random.below(devices)
        device = fleet.setdefault(number, Device(master, number))
        kind = random.below(100)
        if kind < 4:
            yield random.bytes(48 + random.below(30)), "noise", 0, 0, b""
            continue
        if kind < 5:
            # A point of small order: zero, and one.
            yield bytes([kind % 2]) + bytes(31) + random.bytes(20), "malformed", 0, 0, b""
            continue
        if kind < 6:
            yield random.bytes(random.below(44)), "malformed", 0, 0, b""
            continue
        if kind < 15 and sent:
            # Heard twice, or by two gateways: the last packets, and some old ones.
            back = random.below(min(len(sent), 40 if kind < 11 else 4000))
            yield judged(sent[-1 - back])
            continue
        if kind < 19 and late:
            entry = late.pop(random.below(len(late)))
            sent.append(entry)
            yield judged(entry)
            continue
        if kind < 33:
            device.next += 1 + random.below(15)
        elif kind < 36:
            device.next += 16 + random.below(4000)
        nonce = device.next
        device.next += 1
        payload = random.bytes(random.below(21))
        packet = device.packet(suite, station, nonce, payload, random.bytes(32))
        entry = (device, nonce, payload, packet)
        if kind >= 96:
            # A changed bit of the point or of the id: no device of the fleet, or a wrong one.
            late.append(entry)
            yield flip(packet, random.below(8 * 33)), "noise", 0, 0, b""
        elif kind >= 90:
            bits = 8 * (len(packet) - 36)
            yield flip(packet, 8 * 36 + random.below(bits)), "forged", 0, 0, b""
        elif kind >= 87:
            # Made for another station.
            other = x25519(random.bytes(32), BASE)
            packet = device.packet(suite, other, nonce, payload, random.bytes(32))
            yield packet, "noise", 0, 0, b""
        elif kind >= 84:
            # Under the MAC key of another device.
            liar = Device(master, (number + 1) % devices)
            liar.number = number
            packet = liar.packet(suite, station, nonce, payload, random.bytes(32))
            yield packet, "forged", 0, 0, b""
        else:
            sent.append(entry)
            yield judged(entry)


def main():
    master, secret, suite, devices, packets, seed = sys.argv[1:]
    self_test()
    check_x25519()
    master, secret = bytes.fromhex(master), bytes.fromhex(secret)
    rows = capture(master, secret, suite, int(devices), int(packets), int(seed))
    for packet, verdict, device, nonce, payload in rows:
        print(packet.hex() or "-", verdict, device, nonce, payload.hex() or "-", sep="\t")


if __name__ == "__main__":
    main()
