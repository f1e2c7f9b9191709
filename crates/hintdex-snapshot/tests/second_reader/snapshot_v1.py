#!/usr/bin/env python3
"""A second reader of snapshot files, written from docs/format/snapshot-v1.md alone.

    snapshot_v1.py KEY_HEX FILE < heads

Checks the whole file: header, digests, block checks, the order of the shards, padding.
Then reads heads of hints, 16 hex digits a line, and writes for each its candidates: the
slots in rising order, separated by spaces. Exits with an error at the first rule that the
file breaks. Python's standard library only.
"""

import hashlib
import hmac
import sys
import zlib

HEADER_LEN, DATA_OFFSET, BLOCK_LEN, ALIGN, RECORD_LEN = 256, 4096, 8192, 64, 64
RIBBON, DENSE, SORTED = 1, 2, 3
WORD = 1 << 64


def check(holds, rule):
    if not holds:
        sys.exit(f"the file breaks a rule of its format: {rule}")


def number(data, at, width):
    return int.from_bytes(data[at : at + width], "little")


def round_up(value, multiple):
    return -(-value // multiple) * multiple


def bits_to_tell_apart(count):
    """The least number of bits that tells `count` values apart, at least 1."""
    return max(1, (count - 1).bit_length())


class Header:
    FIELDS = {
        "version": (8, 2), "encoding": (10, 1), "value_bits": (13, 1), "check_bits": (14, 1),
        "shard_bits": (15, 1), "first_slot": (72, 4), "tries": (76, 4), "slots": (80, 8),
        "hints": (88, 8), "seed": (104, 8), "data_len": (112, 8), "manifest_len": (120, 8),
        "from_unix_s": (176, 8), "to_unix_s": (184, 8),
    }  # fmt: skip

    def __init__(self, file, key):
        check(file[:8] == bytes.fromhex("894844580d0a1a0a"), "magic")
        for name, (at, width) in self.FIELDS.items():
            setattr(self, name, number(file, at, width))
        self.file_id = file[16:32]
        check(self.version == 1, "version")
        check(self.encoding in (RIBBON, DENSE, SORTED), "encoding")
        check(not any(file[192:220]), "reserved bytes are zero")
        check(not any(file[HEADER_LEN:DATA_OFFSET]), "the bytes behind the header are zero")
        check(number(file, 220, 4) == zlib.crc32(file[:220]), "header_crc32")
        mac = lambda text, width: hmac.digest(key, text, "sha256")[:width]
        check(file[224:256] == mac(file[:224], 32), "header_hmac")
        named = bytearray(file[:HEADER_LEN])
        for at, end in ((16, 32), (104, 176), (220, 256)):
            named[at:end] = bytes(end - at)
        check(self.file_id == mac(b"file" + named, 16), "file_id")
        check(file[104:112] == mac(b"seed" + self.file_id, 8), "seed")
        check(file[160:176] == mac(b"key" + self.file_id, 16), "key_check")
        check(len(file) == DATA_OFFSET + self.data_len + self.manifest_len, "the file's length")
        self.group_len = 1 if self.encoding == DENSE else self.tries
        self.groups = -(-self.slots // self.group_len)
        check(self.value_bits == bits_to_tell_apart(self.groups), "value_bits")

    def slots_of_group(self, group):
        if group >= self.groups:
            return []
        start = self.first_slot + group * self.group_len
        return list(range(start, min(start + self.group_len, self.first_slot + self.slots)))


class Bits:
    """Bits of bytes, from the lowest up."""

    def __init__(self, data, at):
        self.data, self.at = data, at

    def take(self, count):
        first, end = self.at // 8, (self.at + count + 7) // 8
        value = number(self.data, first, end - first) >> (self.at % 8)
        self.at += count
        return value & ((1 << count) - 1)

    def rice(self, low_bits):
        ones = 0
        while self.take(1):
            ones += 1
        return ones << low_bits | self.take(low_bits)


def mix(x):
    x = (x ^ x >> 32) * 0xE9FF867D85A26F5B % WORD
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93 % WORD
    return x ^ x >> 32


class Ribbon:
    def __init__(self, snapshot, shard, start, record):
        self.header, self.file = snapshot.header, snapshot.file
        columns, at = self.header.value_bits, start
        parts = [number(record, 24 + 8 * part, 8) for part in range(5)]
        check(parts[3:] == [0, 0], "the ribbon's last two parts are zero")
        layers = [(part % 2**32, part >> 32) for part in parts[:3] if part % 2**32]
        self.layers = []
        for layer, (blocks, attempt) in enumerate(layers):
            multiplier = mix((layer << 32 | attempt) ^ mix(shard ^ self.header.seed)) | 1
            self.layers.append([blocks, multiplier, at, None])
            at += blocks * 8 * columns
        for layer in self.layers[:-1]:
            starts = 8 * layer[0] - 7
            end = at + round_up(-(-starts // 32), 8)
            layer[3] = at
            check(not any(self.file[at + -(-starts // 32) : end]), "padding of thresholds")
            at = end
        self.duplicates = {}
        before = (-1, -1)
        for _ in range(number(record, 20, 4)):
            entry = (number(self.file, at, 8), number(self.file, at + 8, 4))
            check(entry > before, "the order of duplicates")
            self.duplicates.setdefault(entry[0], []).append(entry[1])
            before, at = entry, at + 12
        self.end = at

    def candidates(self, head):
        groups = self.duplicates.get(head)
        if groups is None:
            groups = [self.value(head)]
        return [slot for group in groups for slot in self.header.slots_of_group(group)]

    def value(self, head):
        columns = self.header.value_bits
        for blocks, multiplier, rows_at, thresholds_at in self.layers:
            hashed = head * multiplier % WORD
            start = hashed * (8 * blocks - 7) >> 64
            if thresholds_at is not None and start % 32 < self.file[thresholds_at + start // 32]:
                continue
            product = hashed * 0x9E3779B97F4A7C15
            coefficients = product >> 64 ^ product % WORD | 1
            value = 0
            for unit in range(8):
                at = rows_at + (start + unit) * columns
                chosen = coefficients >> 8 * unit & 255
                for column in range(columns):
                    odd = (self.file[at + column] & chosen).bit_count() & 1
                    value ^= odd << column
            return value
        return self.header.groups


class Buckets:
    """Encodings 2 and 3: buckets of codes."""

    def __init__(self, snapshot, shard, start, record):
        self.header, self.file = snapshot.header, snapshot.file
        self.count, self.codes_len = (number(record, at, 8) for at in (24, 32))
        widths = number(record, 40, 8)
        self.relative_bits, self.low_bits = widths % 256, widths // 256
        check(not any(record[48:64]), "the last two parts are zero")
        check(number(record, 20, 4) == 0, "only a ribbon has duplicates")
        self.codes_at = start
        self.absolute_at = self.filled(start, self.codes_len, "codes")
        absolute_len = -(-self.count // 16) * 32
        self.relative_at = self.filled(self.absolute_at, absolute_len, "absolute offsets")
        relative_len = self.count * self.relative_bits
        self.end = self.filled(self.relative_at, relative_len, "relative offsets")

    def filled(self, at, len_bits, name):
        """Where the next part begins; the bits between are zero."""
        end = at + round_up(len_bits, 64) // 8
        rest = number(self.file, at, end - at) >> len_bits
        check(rest == 0, f"padding of {name}")
        return end

    def begin(self, bucket):
        if bucket == self.count:
            return self.codes_len
        absolute = number(self.file, self.absolute_at + 4 * (bucket // 16), 4)
        relative = Bits(self.file, 8 * self.relative_at + bucket * self.relative_bits)
        return absolute + relative.take(self.relative_bits)

    def bucket(self, bucket):
        bits = Bits(self.file, 8 * self.codes_at + self.begin(bucket))
        return bits, 8 * self.codes_at + self.begin(bucket + 1)

    def candidates(self, head):
        without_shard = (head << self.header.shard_bits) % WORD
        if self.header.encoding == DENSE:
            return self.dense(without_shard)
        return self.sorted(head)

    def dense(self, rest):
        bits, end = self.bucket(rest * self.count >> 64)
        slots, slot = [], -1
        while bits.at < end:
            slot += bits.rice(self.low_bits) + 1
            slots.append(self.header.first_slot + slot)
        check(bits.at == end, "a bucket ends with a code")
        return slots

    def sorted(self, head):
        header = self.header
        kept = (header.hints - 1).bit_length() if header.hints > 1 else 0
        kept = min(64, max(kept + header.check_bits, header.shard_bits))
        bucket_bits = max(0, (header.hints // 24).bit_length() - 1) - header.shard_bits
        bucket_bits = min(20, max(0, bucket_bits))
        suffix_bits = kept - header.shard_bits - bucket_bits
        prefix = head >> (64 - kept)
        wanted = prefix % 2**suffix_bits
        bits, end = self.bucket(prefix >> suffix_bits & ((1 << bucket_bits) - 1))
        slots, suffix = [], 0
        while bits.at < end:
            suffix += bits.rice(self.low_bits)
            group = bits.take(header.value_bits)
            if suffix == wanted:
                slots += header.slots_of_group(group)
        check(bits.at == end, "a bucket ends with a code")
        return slots


class Snapshot:
    def __init__(self, file, key):
        self.file, self.header = file, Header(file, key)
        header = self.header
        data_end = DATA_OFFSET + header.data_len
        manifest = file[data_end:]
        check(file[128:160] == hashlib.sha256(manifest).digest(), "manifest_sha256")
        shard_count = 1 << header.shard_bits
        self.check_blocks(manifest[shard_count * RECORD_LEN :])
        self.shards, at, hints = [], 0, 0
        for shard in range(shard_count):
            record = manifest[shard * RECORD_LEN : (shard + 1) * RECORD_LEN]
            offset, length = number(record, 0, 8), number(record, 8, 8)
            check(offset == at, "shards fill the data one after the other")
            kind = Ribbon if header.encoding == RIBBON else Buckets
            self.shards.append(kind(self, shard, DATA_OFFSET + offset, record))
            check(self.shards[-1].end == DATA_OFFSET + offset + length, "the shard's length")
            at = round_up(offset + length, ALIGN)
            check(not any(file[self.shards[-1].end : DATA_OFFSET + at]), "zeros behind a shard")
            hints += number(record, 16, 4)
        check(at == header.data_len, "the shards fill the data")
        check(hints == header.hints, "the hints of the shards are those of the file")

    def check_blocks(self, checks):
        data = memoryview(self.file)[DATA_OFFSET : DATA_OFFSET + self.header.data_len]
        blocks = -(-len(data) // BLOCK_LEN)
        check(len(checks) == 4 * blocks, "a check for each block")
        for block in range(blocks):
            crc = zlib.crc32(self.header.file_id + block.to_bytes(8, "little"))
            crc = zlib.crc32(data[block * BLOCK_LEN : (block + 1) * BLOCK_LEN], crc)
            check(number(checks, 4 * block, 4) == crc, f"the check of block {block}")

    def candidates(self, head):
        return self.shards[head >> (64 - self.header.shard_bits)].candidates(head)


def main():
    key, path = bytes.fromhex(sys.argv[1]), sys.argv[2]
    with open(path, "rb") as file:
        snapshot = Snapshot(file.read(), key)
    answers = []
    for line in sys.stdin:
        answers.append(" ".join(map(str, sorted(snapshot.candidates(int(line, 16))))))
    print("\n".join(answers))


if __name__ == "__main__":
    main()
