#!/usr/bin/env python3
"""A second reader of snapshot files, written from docs/format/snapshot-v1.md alone.

    snapshot_v1.py KEY_HEX FILE < heads
    snapshot_v1.py KEY_HEX FILE HINT_KEYS < hints

Checks the whole file: header, digests, block checks, the order of the shards, padding.
Then reads heads of hints, 16 hex digits a line, and writes for each its candidates: the
slots in rising order, separated by spaces. For a chain, HINT_KEYS is a file with the hint
keys of the slots from `first_slot` on, 32 hex digits a line, or a dash for a slot without a
key; its hints are 32 hex digits a line, and each answer is the points, as `slot:nonce`.
With a dash for HINT_KEYS, writes instead the ranges of bits that have to be zero.
Exits with an error at the first rule that the file breaks. Python's standard library only.
"""

import hashlib
import hmac
import sys
import zlib

HEADER_LEN, DATA_OFFSET, BLOCK_LEN, ALIGN, RECORD_LEN = 256, 4096, 8192, 64, 64
RIBBON, DENSE, SORTED, CHAIN = 1, 2, 3, 4
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
        "version": (8, 2), "encoding": (10, 1), "hint_scheme": (11, 1), "value_bits": (13, 1), "check_bits": (14, 1),
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
        check(self.encoding in (RIBBON, DENSE, SORTED, CHAIN), "encoding")
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
        group_len = {DENSE: 1, CHAIN: self.slots}
        self.group_len = group_len.get(self.encoding, self.tries)
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

PADDING = []


def zero_bits(file, start, end, rule):
    """Checks and notes a range of bits that are zero."""
    value = number(file, start // 8, -(-end // 8) - start // 8) >> start % 8
    check(value & ((1 << (end - start)) - 1) == 0, rule)
    if start < end:
        PADDING.append((start, end))


class Parts:
    """Parts one after the other, each filled up with zeros to a multiple of 8 bytes."""

    def __init__(self, file, at):
        self.file, self.at = file, at

    def take(self, len_bits, name):
        """Where the next part begins; the bits behind it are zero."""
        start = self.at
        self.at += round_up(len_bits, 64) // 8
        check(self.at <= len(self.file), f"{name} lie in the file")
        zero_bits(self.file, 8 * start + len_bits, 8 * self.at, f"padding of {name}")
        return start


def packed(file, at, index, width):
    return Bits(file, 8 * at + index * width).take(width)


class Level:
    """A level of a shard: which bucket a head is in, and its place by the bucket's seed."""

    def __init__(self, header, shard, level, count):
        self.count, divisor = count, 9 if level == 0 else 7
        self.buckets = -(-2 * count // divisor)
        self.slice = 1024
        while self.slice > count or (self.slice > 64 and self.slice > count // 64):
            self.slice //= 2
        self.multiplier = mix(mix(shard ^ header.seed) ^ level) | 1

    def place(self, file, head):
        """The place of a head, or none if it is bumped."""
        hashed = head * self.multiplier % WORD
        seed = file[self.seeds_at + (hashed * self.buckets >> 64)]
        if seed == 0:
            return None
        start = (hashed * self.count >> 64) - (self.slice - 1) // 2
        start = min(max(start, 0), self.count - self.slice)
        product = hashed * 0x9E3779B97F4A7C15
        x = product >> 64 ^ product % WORD
        step = x >> 32 | 1
        return start + (x % 2**32 + seed // 8 * step + seed % 8) % self.slice


class FreePlaces:
    """Elias and Fano's code of ascending places."""

    def __init__(self, file, parts, count, below, name):
        self.places = []
        if count == 0:
            return
        low_bits = (below // count).bit_length() - 1
        high_len = (below >> low_bits) + count + 1
        low_at = parts.take(count * low_bits, name)
        high_at = parts.take(high_len, name)
        samples = -(-count // 256)
        samples_at = parts.take(32 * samples, name)
        bits = number(file, high_at, -(-high_len // 8))
        at = [bit for bit in range(high_len) if bits >> bit & 1]
        check(len(at) == count, f"{name}: as many as there are heads below")
        for rank, bit in enumerate(at):
            low = packed(file, low_at, rank, low_bits)
            self.places.append((bit - rank) << low_bits | low)
            if rank % 256 == 0:
                check(number(file, samples_at + rank // 64, 4) == bit, f"{name}: every 256th")
        rising = all(a < b for a, b in zip(self.places, self.places[1:]))
        check(rising and self.places[-1] < below, f"{name} ascend below the heads")


class ChainShard:
    """A minimal perfect hash function over the heads of a shard."""

    def __init__(self, snapshot, shard, start, record):
        self.header, self.file = snapshot.header, snapshot.file
        parts = [number(record, 24 + 8 * part, 8) for part in range(5)]
        check(parts[3:] == [0, 0], "the shard's last two parts are zero")
        self.count = number(record, 16, 4) - number(record, 20, 4)
        counts = [self.count, parts[0], parts[1]]
        self.levels = [Level(self.header, shard, at, counts[at]) for at in range(3)]
        take = Parts(self.file, start)
        for level in self.levels:
            level.seeds_at = take.take(8 * level.buckets, "seeds")
        listed_at = take.take(64 * parts[2], "listed heads")
        self.listed = [number(self.file, listed_at + 8 * at, 8) for at in range(parts[2])]
        check(self.listed == sorted(set(self.listed)), "listed heads ascend")
        below = [parts[0], parts[1], parts[2]]
        self.free = [
            FreePlaces(self.file, take, below[at], counts[at], f"free places of level {at}")
            for at in range(3)
        ]
        self.end = take.at

    def number_of(self, head):
        """The number of a head; some number of a head that the shard does not have."""
        for at, level in enumerate(self.levels):
            place = level.place(self.file, head) if level.count else None
            if place is not None:
                break
        else:
            at, place = 3, self.listed.index(head) if head in self.listed else 0
        for free in reversed(self.free[:at]):
            place = free.places[place] if place < len(free.places) else 0
        return place


class Table:
    """Runs of nonces, at most one of a slot."""

    def __init__(self, file, record):
        self.file = file
        self.first_slot, self.slots = number(record, 0, 4), number(record, 4, 4)
        self.count, self.first_nonce = number(record, 8, 8), number(record, 16, 8)
        self.packed_len, self.run_len = number(record, 24, 8), number(record, 32, 4)
        self.chunk_bits, self.has_blocks = record[36], record[37]
        check(self.has_blocks <= 1, "has_blocks is 0 or 1")
        check(not any(record[38:64]), "a table's reserved bytes are zero")
        check(self.run_len == 0 or self.chunk_bits == 0, "chunk_bits without chunks")
        check(not self.has_blocks or self.first_nonce == 0, "first_nonce with blocks")
        check(self.has_blocks or self.run_len, "runs that differ have blocks")

    def take(self, parts):
        if not self.has_blocks:
            check(self.count == self.slots * self.run_len, "the points of runs that are alike")
            return
        blocks = -(-self.slots // 256)
        self.blocks_at = parts.take(256 * blocks, "blocks")
        self.packed_at = parts.take(8 * self.packed_len, "packed numbers")
        if self.run_len == 0:
            chunks = -(-self.count // (1 << self.chunk_bits))
            self.chunks_at = parts.take(32 * chunks, "chunks")
        point, packed_at = 0, 0
        for block in range(blocks):
            at = self.blocks_at + 32 * block
            slots = min(256, self.slots - 256 * block)
            check(number(self.file, at, 8) == point, "first_point of a block")
            check(number(self.file, at + 16, 8) == packed_at, "packed_at of a block")
            run_len, end_bits = number(self.file, at + 24, 4), self.file[at + 29]
            zero_bits(self.file, 8 * at + 240, 8 * at + 256, "a block's reserved bytes are zero")
            inner = Parts(self.file, self.packed_at + packed_at)
            inner.take(slots * self.file[at + 28], "first nonces of a block")
            point += slots * run_len
            if run_len == 0:
                ends_at = inner.take(slots * end_bits, "ends of a block")
                point += packed(self.file, ends_at, slots - 1, end_bits)
            packed_at = inner.at - self.packed_at
        check((point, packed_at) == (self.count, self.packed_len), "blocks fill their table")

    def point(self, index):
        if not self.has_blocks:
            slot, offset = divmod(index, self.run_len)
            return self.first_slot + slot, self.first_nonce + offset
        block = index // (256 * self.run_len) if self.run_len else self.block_of(index)
        at = self.blocks_at + 32 * block
        index -= number(self.file, at, 8)
        nonces_at = self.packed_at + number(self.file, at + 16, 8)
        run_len, nonce_bits, end_bits = number(self.file, at + 24, 4), *self.file[at + 28 : at + 30]
        if run_len:
            slot, offset = divmod(index, run_len)
        else:
            slots = min(256, self.slots - 256 * block)
            ends_at = nonces_at + round_up(slots * nonce_bits, 64) // 8
            ends = [packed(self.file, ends_at, slot, end_bits) for slot in range(slots)]
            slot = next(slot for slot in range(slots) if index < ends[slot])
            offset = index - (ends[slot - 1] if slot else 0)
        first = number(self.file, at + 8, 8) + packed(self.file, nonces_at, slot, nonce_bits)
        return self.first_slot + 256 * block + slot, first + offset

    def block_of(self, index):
        """From the block of the chunk's first point on."""
        block = number(self.file, self.chunks_at + 4 * (index >> self.chunk_bits), 4)
        blocks = -(-self.slots // 256)
        first = lambda block: number(self.file, self.blocks_at + 32 * block, 8)
        check(first(block) <= index >> self.chunk_bits << self.chunk_bits, "the block of a chunk")
        while block + 1 < blocks and first(block + 1) <= index:
            block += 1
        return block


class Chains:
    def __init__(self, snapshot, _, start, record):
        self.snapshot, self.header, self.file = snapshot, snapshot.header, snapshot.file
        check(not any(record[16:64]), "the record of the chains")
        self.shards = snapshot.shards[:]
        counts = [shard.count for shard in self.shards]
        self.before = [sum(counts[:at]) for at in range(len(counts))]
        self.distinct = sum(counts)
        head = self.file[start : start + 64]
        points, marks, twins, moved = (number(head, at, 8) for at in (0, 8, 16, 24))
        self.longest_walk, self.every_bits, self.mark_bits = number(head, 32, 4), head[36], head[37]
        check(self.longest_walk <= 64 * self.header.tries, "longest_walk")
        check(self.every_bits <= 32 and self.mark_bits <= 32, "widths of marks")
        check(not any(head[40:64]), "the chains' reserved bytes are zero")
        check(points == self.distinct + twins, "points are distinct heads and twins")
        tables = number(head, 38, 2)
        check(tables <= 64, "tables")
        parts = Parts(self.file, start + 64)
        records_at = parts.take(512 * tables, "tables")
        record_at = lambda at: self.file[records_at + 64 * at : records_at + 64 * (at + 1)]
        self.tables = [Table(self.file, record_at(at)) for at in range(tables)]
        for table in self.tables:
            table.take(parts)
        check(points == sum(table.count for table in self.tables), "the points of the tables")
        places = -(-self.distinct // (1 << self.every_bits))
        lines = -(-places // 480)
        self.lines_at = parts.take(512 * lines, "lines of marks")
        self.before_at = parts.take(marks * self.mark_bits, "marks before")
        self.check_lines(places, lines, marks)
        twins_at = parts.take(128 * twins, "twins")
        moved_at = parts.take(64 * moved, "moved indices")
        points_at = parts.take(64 * moved, "points of moved indices")
        word = lambda at: number(self.file, at, 8)
        self.twins = [(word(at), word(at + 8)) for at in range(twins_at, moved_at, 16)]
        check(self.twins == sorted(self.twins), "twins ascend")
        self.moved = [word(at) for at in range(moved_at, points_at, 8)]
        check(self.moved == sorted(set(self.moved)), "moved indices ascend")
        self.moved = dict(zip(self.moved, (word(at) for at in range(points_at, parts.at, 8))))
        self.end = parts.at

    def check_lines(self, places, lines, marks):
        count = 0
        for line in range(lines):
            at = self.lines_at + 64 * line
            check(number(self.file, at, 4) == count, "the marks before a line")
            bits = number(self.file, at + 4, 60)
            used = 8 * at + 32 + min(480, places - 480 * line)
            zero_bits(self.file, used, 8 * at + 512, "unused bits of a line of marks")
            count += bits.bit_count()
        check(count == marks, "mark_count")

    def mark_before(self, index):
        """The mark before a mark; none if the index is not marked."""
        place, rest = divmod(index, 1 << self.every_bits)
        at, bit = self.lines_at + 64 * (place // 480), place % 480
        bits = number(self.file, at + 4, 60)
        if rest or not bits >> bit & 1:
            return None
        rank = number(self.file, at, 4) + (bits & ((1 << bit) - 1)).bit_count()
        return packed(self.file, self.before_at, rank, self.mark_bits) << self.every_bits

    def index(self, head):
        shard = head >> (64 - self.header.shard_bits)
        return self.before[shard] + self.shards[shard].number_of(head)

    def point(self, index):
        number_of_point = self.moved.get(index, index)
        return self.numbered(number_of_point)

    def numbered(self, point):
        for table in self.tables:
            if point < table.count:
                return table.point(point)
            point -= table.count
        return sys.exit("the file breaks a rule of its format: a point past the last")

    def hint(self, point, keys):
        (slot, nonce), length = point, 16
        if self.header.hint_scheme > 16:
            length = self.header.hint_scheme - 16
        else:
            check(self.header.hint_scheme in (1, 3), "this reader computes hints of AES only")
        key = keys[slot - self.header.first_slot]
        if key is None:
            return bytes(16)
        return aes128(key, nonce.to_bytes(16, "big"))[:length] + bytes(16 - length)

    def points_of(self, wanted, keys):
        wanted_head = int.from_bytes(wanted[:8], "big")
        found = [
            self.numbered(point)
            for head, point in self.twins
            if head == wanted_head and self.hint(self.numbered(point), keys) == wanted
        ]
        point = self.walk(wanted, wanted_head, keys) if self.distinct else None
        return found + ([] if point is None else [point])

    def walk(self, wanted, head, keys):
        start, has_jumped = None, False
        for _ in range(self.longest_walk):
            index = self.index(head)
            if index == start:
                return None
            start = index if start is None else start
            before = None if has_jumped else self.mark_before(index)
            has_jumped = has_jumped or before is not None
            point = self.point(index if before is None else before)
            hint = self.hint(point, keys)
            if hint == wanted:
                return point
            head = int.from_bytes(hint[:8], "big")
        return None


def times_x(byte):
    """The product with x in the field of AES."""
    return (byte << 1 ^ (0x11B if byte & 0x80 else 0)) & 0xFF


def aes_sbox():
    """FIPS 197, 5.1.1: the inverse in the field, then an affine map."""
    power, box = 1, [0x63] * 256
    powers = []
    for _ in range(255):
        powers.append(power)
        power ^= times_x(power)
    for at, value in enumerate(powers):
        inverse = powers[-at % 255]
        wide = inverse | inverse << 8
        rotated = [wide >> (8 - by) & 0xFF for by in range(5)]
        box[value] = rotated[0] ^ rotated[1] ^ rotated[2] ^ rotated[3] ^ rotated[4] ^ 0x63
    return bytes(box)


SBOX = aes_sbox()


def aes128(key, block):
    """FIPS 197: one block under AES-128."""
    words, rcon = [key[at : at + 4] for at in range(0, 16, 4)], 1
    for at in range(4, 44):
        word = words[-1]
        if at % 4 == 0:
            word = bytes(SBOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ rcon]) + word[1:]
            rcon = times_x(rcon)
        words.append(bytes(a ^ b for a, b in zip(words[-4], word)))
    round_keys = [b"".join(words[at : at + 4]) for at in range(0, 44, 4)]
    state = bytes(a ^ b for a, b in zip(block, round_keys[0]))
    for number_of_round, round_key in enumerate(round_keys[1:], 1):
        state = bytes(SBOX[state[5 * at % 16]] for at in range(16))
        if number_of_round < 10:
            mixed = []
            for column in (state[at : at + 4] for at in range(0, 16, 4)):
                every = column[0] ^ column[1] ^ column[2] ^ column[3]
                for row in range(4):
                    mixed.append(column[row] ^ every ^ times_x(column[row] ^ column[(row + 1) % 4]))
            state = bytes(mixed)
        state = bytes(a ^ b for a, b in zip(state, round_key))
    return state


class Snapshot:
    def __init__(self, file, key):
        self.file, self.header = file, Header(file, key)
        header = self.header
        data_end = DATA_OFFSET + header.data_len
        manifest = file[data_end:]
        check(file[128:160] == hashlib.sha256(manifest).digest(), "manifest_sha256")
        shard_count = 1 << header.shard_bits
        record_count = shard_count + (header.encoding == CHAIN)
        self.check_blocks(manifest[record_count * RECORD_LEN :])
        self.shards, at, hints = [], 0, 0
        for shard in range(record_count):
            record = manifest[shard * RECORD_LEN : (shard + 1) * RECORD_LEN]
            offset, length = number(record, 0, 8), number(record, 8, 8)
            check(offset == at, "shards fill the data one after the other")
            kinds = {RIBBON: Ribbon, CHAIN: ChainShard}
            kind = kinds.get(header.encoding, Buckets) if shard < shard_count else Chains
            self.shards.append(kind(self, shard, DATA_OFFSET + offset, record))
            check(self.shards[-1].end == DATA_OFFSET + offset + length, "the shard's length")
            at = round_up(offset + length, ALIGN)
            behind = (8 * self.shards[-1].end, 8 * (DATA_OFFSET + at))
            zero_bits(file, *behind, "zeros behind a shard")
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
    if sys.argv[3:] == ["-"]:
        answers = [f"{start} {end}" for start, end in PADDING]
    elif snapshot.header.encoding == CHAIN:
        with open(sys.argv[3], encoding="ascii") as lines:
            keys = [None if line[0] == "-" else bytes.fromhex(line) for line in lines]
        for line in sys.stdin:
            points = snapshot.shards[-1].points_of(bytes.fromhex(line), keys)
            answers.append(" ".join(f"{slot}:{nonce}" for slot, nonce in sorted(points)))
    else:
        for line in sys.stdin:
            answers.append(" ".join(map(str, sorted(snapshot.candidates(int(line, 16))))))
    print("\n".join(answers))


if __name__ == "__main__":
    main()
