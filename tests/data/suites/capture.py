#!/usr/bin/env python3
"""Writes a capture of a fleet and the verdict on each packet, by the standard library alone.

    capture.py MASTER SUITE HINT DATA DEVICES PACKETS SEED
    capture.py MASTER schedule:MIN_MS:MAX_MS HINT STEP_MS DEVICES STEPS SEED

MASTER and DATA are hex. Each line is `packet verdict device nonce payload`, separated by tabs; an
empty payload is `-`. Verdicts are accepted, replay, stale, forged and noise. Noise is a packet whose
hint no device made: unknown, or by chance of a short hint forged.

With a schedule, HINT is none or the hint in front of packets, and each line ends with the time of
reception, in seconds with three decimals. The devices are switched on in steps: an equal share at the
beginning of each. Verdicts are accepted, replay, noise, and old: a recording that is sent again later,
which is not accepted.

The ciphers are written from their standards, and each is checked against its standard's example
before anything is written: FIPS 197, RFC 4493, RFC 5297, RFC 3610, RFC 8439, draft-irtf-cfrg-
xchacha-03, NIST SP 800-38G, and the paper of SPECK.
"""

import hashlib
import hmac
import struct
import sys

# --- AES-128 (FIPS 197) -----------------------------------------------------------------


def xtime(a):
    return (a << 1) ^ 0x11B if a & 0x80 else a << 1


def sbox():
    exp, a = [], 1
    for _ in range(255):
        exp.append(a)
        a ^= xtime(a)
    log = {value: at for at, value in enumerate(exp)}
    box = []
    for byte in range(256):
        inverse = exp[-log[byte] % 255] if byte else 0
        value = 0x63
        for turn in range(5):
            value ^= (inverse << turn | inverse >> (8 - turn)) & 0xFF
        box.append(value)
    return box


S = sbox()
# The columns of SubBytes and MixColumns together, one table for each row.
T0 = [
    int.from_bytes(bytes([xtime(s), s, s, xtime(s) ^ s]), "big") for s in S
]
T1 = [(t >> 8 | t << 24) & 0xFFFFFFFF for t in T0]
T2 = [(t >> 8 | t << 24) & 0xFFFFFFFF for t in T1]
T3 = [(t >> 8 | t << 24) & 0xFFFFFFFF for t in T2]


class Aes128:
    def __init__(self, key):
        words, rcon = list(struct.unpack(">4I", key)), 1
        for at in range(4, 44):
            word = words[at - 1]
            if at % 4 == 0:
                word = (word << 8 | word >> 24) & 0xFFFFFFFF
                word = int.from_bytes(bytes(S[b] for b in word.to_bytes(4, "big")), "big")
                word ^= rcon << 24
                rcon = xtime(rcon)
            words.append(words[at - 4] ^ word)
        self.words = words

    def encrypt(self, block):
        words = self.words
        a, b, c, d = struct.unpack(">4I", block)
        a, b, c, d = a ^ words[0], b ^ words[1], c ^ words[2], d ^ words[3]
        for at in range(4, 40, 4):
            a, b, c, d = (
                T0[a >> 24] ^ T1[b >> 16 & 255] ^ T2[c >> 8 & 255] ^ T3[d & 255] ^ words[at],
                T0[b >> 24] ^ T1[c >> 16 & 255] ^ T2[d >> 8 & 255] ^ T3[a & 255] ^ words[at + 1],
                T0[c >> 24] ^ T1[d >> 16 & 255] ^ T2[a >> 8 & 255] ^ T3[b & 255] ^ words[at + 2],
                T0[d >> 24] ^ T1[a >> 16 & 255] ^ T2[b >> 8 & 255] ^ T3[c & 255] ^ words[at + 3],
            )
        out = []
        for p, q, r, s, word in (
            (a, b, c, d, words[40]),
            (b, c, d, a, words[41]),
            (c, d, a, b, words[42]),
            (d, a, b, c, words[43]),
        ):
            value = S[p >> 24] << 24 | S[q >> 16 & 255] << 16 | S[r >> 8 & 255] << 8 | S[s & 255]
            out.append(value ^ word)
        return struct.pack(">4I", *out)


def xor(a, b):
    return bytes(x ^ y for x, y in zip(a, b))


def ctr(aes, counter, data):
    """CTR with a big-endian counter of 128 bits."""
    out = b""
    for at in range(0, len(data), 16):
        block = aes.encrypt((counter % (1 << 128)).to_bytes(16, "big"))
        out += xor(data[at : at + 16], block)
        counter += 1
    return out


# --- AES-SIV (RFC 5297), AES-CCM (RFC 3610) ----------------------------------------------


def dbl(block):
    value = int.from_bytes(block, "big") << 1
    return (value ^ 0x87 if value >> 128 else value).to_bytes(17, "big")[1:]


def cmac(aes, data):
    """RFC 4493."""
    one = dbl(aes.encrypt(bytes(16)))
    head, last = data[: max(0, (len(data) - 1) // 16 * 16)], data[max(0, (len(data) - 1) // 16 * 16) :]
    last = xor(last, one) if len(last) == 16 else xor((last + b"\x80").ljust(16, b"\0"), dbl(one))
    state = bytes(16)
    for at in range(0, len(head), 16):
        state = aes.encrypt(xor(state, head[at : at + 16]))
    return aes.encrypt(xor(state, last))


def siv(key, components, plain):
    mac, cipher = Aes128(key[:16]), Aes128(key[16:])
    state = cmac(mac, bytes(16))
    for component in components:
        state = xor(dbl(state), cmac(mac, component))
    if len(plain) >= 16:
        end = plain[:-16] + xor(plain[-16:], state)
    else:
        end = xor(dbl(state), (plain + b"\x80").ljust(16, b"\0"))
    v = cmac(mac, end)
    counter = int.from_bytes(v, "big") & ~(1 << 63 | 1 << 31)
    return v + ctr(cipher, counter, plain)


def ccm(key, nonce, associated, plain, tag_len=8):
    aes = Aes128(key)
    pad = lambda data: data + bytes(-len(data) % 16)
    flags = (64 if associated else 0) + 8 * ((tag_len - 2) // 2) + 1
    blocks = bytes([flags]) + nonce + len(plain).to_bytes(2, "big")
    if associated:
        blocks += pad(len(associated).to_bytes(2, "big") + associated)
    blocks += pad(plain)
    state = bytes(16)
    for at in range(0, len(blocks), 16):
        state = aes.encrypt(xor(state, blocks[at : at + 16]))
    counter = int.from_bytes(b"\x01" + nonce + bytes(2), "big")
    tag = xor(state, aes.encrypt(counter.to_bytes(16, "big")))[:tag_len]
    return ctr(aes, counter + 1, plain) + tag


# --- FF1 (NIST SP 800-38G) for strings of numerals in two halves --------------------------


def ff1(key, radix, lens, tweak, halves):
    aes, (u, v) = Aes128(key), lens
    b = ((radix**v - 1).bit_length() + 7) // 8
    d = 4 * ((b + 3) // 4) + 4
    head = bytes([1, 2, 1]) + radix.to_bytes(3, "big") + bytes([10, u % 256])
    head += (u + v).to_bytes(4, "big") + len(tweak).to_bytes(4, "big")
    left, right = halves
    for turn in range(10):
        tail = tweak + bytes((-len(tweak) - b - 1) % 16) + bytes([turn]) + right.to_bytes(b, "big")
        state = bytes(16)
        for at in range(0, len(head + tail), 16):
            state = aes.encrypt(xor(state, (head + tail)[at : at + 16]))
        modulus = radix ** (u if turn % 2 == 0 else v)
        left, right = right, (left + int.from_bytes(state[:d], "big")) % modulus
    return left, right


# --- ChaCha20-Poly1305 (RFC 8439) and XChaCha20 (draft-irtf-cfrg-xchacha-03) -------------

CONSTANTS = struct.unpack("<4I", b"expand 32-byte k")


def rounds(state):
    x = list(state)
    columns = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
    diagonals = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
    for _ in range(10):
        for a, b, c, d in columns + diagonals:
            for p, q, r, turn in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
                x[p] = (x[p] + x[q]) & 0xFFFFFFFF
                word = x[r] ^ x[p]
                x[r] = (word << turn | word >> (32 - turn)) & 0xFFFFFFFF
    return x


def chacha_block(key, counter, nonce):
    state = CONSTANTS + struct.unpack("<8I", key) + (counter,) + struct.unpack("<3I", nonce)
    return struct.pack("<16I", *((a + b) & 0xFFFFFFFF for a, b in zip(state, rounds(state))))


def poly1305(key, data):
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    total = 0
    for at in range(0, len(data), 16):
        block = data[at : at + 16] + b"\x01"
        total = (total + int.from_bytes(block, "little")) * r % ((1 << 130) - 5)
    total += int.from_bytes(key[16:], "little")
    return (total % (1 << 128)).to_bytes(16, "little")


def chacha20poly1305(key, nonce, associated, plain):
    cipher = b""
    for at in range(0, len(plain), 64):
        cipher += xor(plain[at : at + 64], chacha_block(key, 1 + at // 64, nonce))
    pad = lambda data: data + bytes(-len(data) % 16)
    covered = pad(associated) + pad(cipher) + struct.pack("<QQ", len(associated), len(cipher))
    return cipher + poly1305(chacha_block(key, 0, nonce)[:32], covered)


def hchacha20(key, nonce):
    x = rounds(CONSTANTS + struct.unpack("<8I", key) + struct.unpack("<4I", nonce))
    return struct.pack("<8I", *(x[:4] + x[12:]))


def xchacha20poly1305(key, nonce, associated, plain):
    inner = hchacha20(key, nonce[:16])
    return chacha20poly1305(inner, bytes(4) + nonce[16:], associated, plain)


# --- SPECK64/128 (Beaulieu et al., 2013) -------------------------------------------------


def speck(key, block):
    turn = lambda word, by: (word >> by | word << (32 - by)) & 0xFFFFFFFF
    *ls, k = struct.unpack(">4I", key)
    ls.reverse()
    x, y = struct.unpack(">2I", block)
    for number in range(27):
        x = ((turn(x, 8) + y) & 0xFFFFFFFF) ^ k
        y = turn(y, 29) ^ x
        word = ((turn(ls[number], 8) + k) & 0xFFFFFFFF) ^ number
        ls.append(word)
        k = turn(k, 29) ^ word
    return struct.pack(">2I", x, y)


def self_test():
    h = bytes.fromhex
    aes = Aes128(bytes(range(16)))
    assert aes.encrypt(h("00112233445566778899aabbccddeeff")) == h("69c4e0d86a7b0430d8cdb78070b4c55a")
    key = Aes128(h("2b7e151628aed2a6abf7158809cf4f3c"))
    assert cmac(key, b"") == h("bb1d6929e95937287fa37d129b756746")
    assert cmac(key, h("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411")) == h(
        "dfa66747de9ae63030ca32611497c827"
    )
    assert siv(
        h("fffefdfcfbfaf9f8f7f6f5f4f3f2f1f0f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"),
        [h("101112131415161718191a1b1c1d1e1f2021222324252627")],
        h("112233445566778899aabbccddee"),
    ) == h("85632d07c6e8f37f950acd320a2ecc9340c02b9690c4dc04daef7f6afe5c")
    assert siv(
        h("7f7e7d7c7b7a79787776757473727170404142434445464748494a4b4c4d4e4f"),
        [
            h("00112233445566778899aabbccddeeffdeaddadadeaddadaffeeddccbbaa99887766554433221100"),
            h("102030405060708090a0"),
            h("09f911029d74e35bd84156c5635688c0"),
        ],
        b"this is some plaintext to encrypt using SIV-AES",
    ) == h(
        "7bdb6e3b432667eb06f4d14bff2fbd0fcb900f2fddbe404326601965c889bf17"
        "dba77ceb094fa663b7a3f748ba8af829ea64ad544a272e9c485b62a3fd5c0d"
    )
    assert ccm(bytes(range(0xC0, 0xD0)), h("00000003020100a0a1a2a3a4a5"), bytes(range(8)), bytes(range(8, 31))) == h(
        "588c979a61c663d2f066d0c2c0f989806d5f6b61dac38417e8d12cfdf926e0"
    )
    sunscreen = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the "
        b"future, sunscreen would be it."
    )
    key, data = bytes(range(0x80, 0xA0)), h("50515253c0c1c2c3c4c5c6c7")
    sealed = chacha20poly1305(key, h("070000004041424344454647"), data, sunscreen)
    assert sealed[:8] + sealed[-16:] == h("d31a8d34648e60db1ae10b594f09e26a7e902ecbd0600691")
    sealed = xchacha20poly1305(key, bytes(range(0x40, 0x58)), data, sunscreen)
    assert sealed[:8] + sealed[-16:] == h("bd6d179d3e83d43bc0875924c1c7987947deafd8780acf49")
    key = h("2b7e151628aed2a6abf7158809cf4f3c")
    assert ff1(key, 10, (5, 5), b"", (1234, 56789)) == (24334, 77484)
    assert ff1(key, 10, (5, 5), b"9876543210", (1234, 56789)) == (61242, 773)
    halves = int("012345678", 36), int("9abcdefghi", 36)
    assert ff1(key, 36, (9, 10), b"7777pqrs777", halves) == (int("a9tv40mll", 36), int("9kdu509eum", 36))
    assert speck(h("1b1a1918131211100b0a090803020100"), h("3b7265747475432d")) == h("8c6fa548454e028b")


# --- The scheme --------------------------------------------------------------------------


class Device:
    def __init__(self, master, device, suite, hint):
        derive = lambda label: hmac.new(master, label + device.to_bytes(4, "big"), hashlib.sha256)
        self.key = derive(b"dev_key:").digest()
        self.hint_key = derive(b"nhint_key:").digest()[:16]
        self.suite, self.scheme = suite, hint
        self.aes = Aes128(self.hint_key)
        self.next, self.highest, self.seen = 0, -1, set()

    def hint(self, nonce):
        if self.scheme == "speck64":
            return speck(self.hint_key, nonce.to_bytes(8, "big"))
        if self.scheme == "carry24":
            high, low = ff1(self.hint_key, 2, (12, 12), b"", (nonce >> 12 & 0xFFF, nonce & 0xFFF))
            return (high << 12 | low).to_bytes(3, "big")
        block = self.aes.encrypt(nonce.to_bytes(16, "big"))
        return block[: int(self.scheme.removeprefix("aes128-trunc:"))] if ":" in self.scheme else block

    def packet(self, nonce, payload, data):
        hint, n = self.hint(nonce), nonce.to_bytes(8, "big")
        if self.suite == "chacha20poly1305":
            return hint + chacha20poly1305(self.key, bytes(4) + n, hint + data, payload)
        if self.suite == "xchacha20poly1305":
            return hint + xchacha20poly1305(self.key, bytes(16) + n, hint + data, payload)
        if self.suite == "aes-siv":
            return hint + siv(self.key, ([data] if data else []) + [hint, n], payload)
        if self.suite == "aes-ccm-8":
            return hint + ccm(self.key[:16], bytes(5) + n, hint + data, payload)
        if self.scheme == "carry24":
            mask = hmac.new(self.key[16:], b"carry:" + hint, hashlib.sha256).digest()[0]
            hint += bytes([nonce >> 24 ^ mask])
        cipher = ctr(Aes128(self.key[:16]), nonce << 64, payload)
        return hint + cipher + hmac.new(self.key[16:], hint + cipher, hashlib.sha256).digest()[:8]

    def judge(self, nonce):
        """The verdict on an authentic packet: the highest nonce, and the 64 up to it."""
        if nonce <= self.highest - 64:
            return "stale"
        if nonce in self.seen:
            return "replay"
        self.seen.add(nonce)
        self.highest = max(self.highest, nonce)
        return "accepted"


class Random:
    """SplitMix64."""

    def __init__(self, seed):
        self.state = seed

    def word(self):
        self.state = (self.state + 0x9E3779B97F4A7C15) % (1 << 64)
        value = self.state
        value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9 % (1 << 64)
        value = (value ^ value >> 27) * 0x94D049BB133111EB % (1 << 64)
        return value ^ value >> 31

    def below(self, bound):
        return self.word() % bound

    def bytes(self, count):
        return b"".join(self.word().to_bytes(8, "big") for _ in range(count // 8 + 1))[:count]


def flip(packet, bit):
    out = bytearray(packet)
    out[bit // 8] ^= 1 << bit % 8
    return bytes(out)


def capture(master, suite, hint, data, devices, packets, seed):
    """Yields (packet, verdict, device, nonce, payload)."""
    random, fleet, sent, late = Random(seed), {}, [], []
    # Some devices send often, so that windows move; any device may send now and then.
    often = [random.below(devices) for _ in range(packets // 20)]
    for _ in range(packets):
        number = often[random.below(len(often))] if random.below(10) else random.below(devices)
        if number not in fleet:
            fleet[number] = Device(master, number, suite, hint)
        device = fleet[number]
        kind = random.below(100)
        if kind < 4:
            yield random.bytes(33 + random.below(30)), "noise", 0, 0, b""
            continue
        if kind < 12 and sent:
            # Heard twice, or by two gateways: the last packets, and some old ones.
            back = random.below(min(len(sent), 40 if kind < 9 else 4000))
            number, nonce, payload, packet = sent[-1 - back]
            yield packet, fleet[number].judge(nonce), number, nonce, payload
            continue
        if kind < 16 and late:
            number, nonce, payload, packet = late.pop(random.below(len(late)))
            sent.append((number, nonce, payload, packet))
            yield packet, fleet[number].judge(nonce), number, nonce, payload
            continue
        if kind < 30:
            device.next += 1 + random.below(15)
        elif kind < 33:
            # Jammed for a while: behind the lookahead.
            device.next += 16 + random.below(160)
        nonce = device.next
        device.next += 1
        payload = random.bytes(random.below(21))
        packet = device.packet(nonce, payload, data)
        hint_len = len(device.hint(nonce))
        if kind >= 96:
            late.append((number, nonce, payload, packet))
            yield flip(packet, random.below(8 * hint_len)), "noise", 0, 0, b""
        elif kind >= 92:
            bits = 8 * (len(packet) - hint_len)
            yield flip(packet, 8 * hint_len + random.below(bits)), "forged", 0, 0, b""
        elif kind >= 90 and suite != "aes-ctr-hmac":
            # Another fleet's associated data.
            yield device.packet(nonce, payload, data + b"2"), "forged", 0, 0, b""
        elif kind >= 88:
            # Another suite: long enough for a packet, and no tag of this one.
            other = "aes-siv" if suite != "aes-siv" else "chacha20poly1305"
            device.suite = other
            packet = device.packet(nonce, payload, data)
            device.suite = suite
            yield packet, "forged", 0, 0, b""
        else:
            sent.append((number, nonce, payload, packet))
            yield packet, device.judge(nonce), number, nonce, payload


# --- Packets that are named by their time ------------------------------------------------

START_MS = 1764000000000
JITTER_US = 50000


class Scheduled(Device):
    def __init__(self, master, device, delays, hint):
        super().__init__(master, device, "schedule", hint)
        self.delays = delays

    def packet(self, nonce, payload, data):
        head = b"" if self.scheme == "none" else self.hint(nonce)
        cipher = ctr(Aes128(self.key[:16]), nonce << 64, payload)
        covered = nonce.to_bytes(4, "big") + cipher
        return head + cipher + hmac.new(self.key[16:], covered, hashlib.sha256).digest()[:8]

    def delay_ms(self, nonce):
        least, most = self.delays
        covered = b"schedule:" + nonce.to_bytes(4, "big")
        drawn = int.from_bytes(hmac.new(self.key[16:], covered, hashlib.sha256).digest()[:8], "big")
        return least + (drawn * (most - least + 1) >> 64)


def scheduled(master, delays, hint, step_ms, devices, steps, seed):
    """Yields (packet, verdict, device, nonce, payload, time in ms), in order of time."""
    random, lines, end_us = Random(seed), [], (START_MS + steps * step_ms) * 1000
    jitter = lambda: random.below(JITTER_US)
    share = devices // steps
    for number in range(devices):
        device = Scheduled(master, number, delays, hint)
        drift_ppb = random.below(60001) - 30000
        at_us = (START_MS + number // share * step_ms) * 1000 + random.below(step_ms * 300)
        nonce, recorded = 0, None
        while at_us < end_us:
            payload = random.bytes(random.below(21))
            packet = device.packet(nonce, payload, b"")
            kind, heard_us = random.below(100), at_us + jitter()
            if kind < 10:
                pass  # Lost.
            elif kind < 14:
                broken = flip(packet, random.below(8 * len(packet)))
                lines.append((heard_us, broken, "noise", 0, 0, b""))
            else:
                lines.append((heard_us, packet, "accepted", number, nonce, payload))
                if kind < 24:
                    # By another gateway, some milliseconds later.
                    again_us = max(heard_us + 1000, at_us + jitter())
                    lines.append((again_us, packet, "replay", number, nonce, payload))
            if kind in (24, 25) and recorded:
                later_us = at_us + random.below(step_ms * 1000)
                lines.append((later_us, recorded, "old", number, nonce, b""))
            if kind == 26:
                lines.append((heard_us, random.bytes(8 + random.below(30)), "noise", 0, 0, b""))
            # What was heard long ago, or was lost and recorded by somebody else.
            recorded = packet if random.below(2) else recorded
            delay_us = device.delay_ms(nonce) * 1000
            at_us += delay_us + delay_us * drift_ppb // 10**9
            nonce += 1
    lines.sort(key=lambda line: line[0] // 1000)
    for at_us, packet, verdict, number, nonce, payload in lines:
        yield packet, verdict, number, nonce, payload, at_us // 1000


def main_of_schedule(master, suite, hint, step_ms, devices, steps, seed):
    delays = [int(delay) for delay in suite.split(":")[1:]]
    numbers = (int(step_ms), int(devices), int(steps), int(seed))
    for *line, at_ms in scheduled(bytes.fromhex(master), delays, hint, *numbers):
        packet, verdict, number, nonce, payload = line
        at = f"{at_ms // 1000}.{at_ms % 1000:03}"
        print(packet.hex(), verdict, number, nonce, payload.hex() or "-", at, sep="\t")


def main():
    master, suite, hint, data, devices, packets, seed = sys.argv[1:]
    self_test()
    if suite.startswith("schedule:"):
        return main_of_schedule(master, suite, hint, data, devices, packets, seed)
    counts = (int(devices), int(packets), int(seed))
    for packet, verdict, device, nonce, payload in capture(
        bytes.fromhex(master), suite, hint, bytes.fromhex(data), *counts
    ):
        print(packet.hex(), verdict, device, nonce, payload.hex() or "-", sep="\t")


if __name__ == "__main__":
    main()
