//! Registers of several blocks, and the operations of the searches on them.
//!
//! Each search is written once, over these traits, and compiled for every kind of
//! register. A value of an implementing type is a proof: it exists only after the
//! processor was found to have the instructions. Methods are `inline(always)`, so
//! that they become part of a function that has the instructions enabled.

use super::{Block, wipe};

/// The number of registers that a group of keys fills. A block has four words, so an
/// operation on one word of each key handles four keys a lane.
pub(super) const REGISTERS: usize = 4;

/// One register for each of four runs of keys.
pub(super) type Four<L> = [<L as Lanes>::V; REGISTERS];

/// Work that needs AES instructions.
pub(super) trait AesWork {
    type Output;
    fn run<L: AesLanes>(self, lanes: L) -> Self::Output;
}

/// Work that needs additions, rotations and xors of words.
pub(super) trait WordWork {
    type Output;
    fn run<L: WordLanes>(self, lanes: L) -> Self::Output;
}

/// A register of [`COUNT`](Self::COUNT) lanes, each a block of four little-endian words.
pub(super) trait Lanes: Copy {
    /// The register.
    type V: Copy;

    /// The number of blocks in a register.
    const COUNT: usize;

    /// Loads the first `COUNT` of `blocks`; zero if there are fewer.
    fn load(self, blocks: &[Block]) -> Self::V;

    /// Stores into the first `COUNT` of `blocks`; does nothing if there are fewer.
    fn store(self, v: Self::V, blocks: &mut [Block]);

    /// `block` in every lane.
    fn splat(self, block: &Block) -> Self::V;

    /// `word` in every word.
    fn splat_word(self, word: u32) -> Self::V;

    fn xor(self, a: Self::V, b: Self::V) -> Self::V;

    /// The sums of words.
    fn add(self, a: Self::V, b: Self::V) -> Self::V;

    /// In each lane words 0 of a, 0 of b, 1 of a, 1 of b.
    fn unpack_low_32(self, a: Self::V, b: Self::V) -> Self::V;

    /// In each lane words 2 of a, 2 of b, 3 of a, 3 of b.
    fn unpack_high_32(self, a: Self::V, b: Self::V) -> Self::V;

    /// In each lane the lower halves of a and of b.
    fn unpack_low_64(self, a: Self::V, b: Self::V) -> Self::V;

    /// In each lane the upper halves of a and of b.
    fn unpack_high_64(self, a: Self::V, b: Self::V) -> Self::V;

    /// A bit for every word, lowest first, set where `v & mask` is zero.
    fn zero_words(self, v: Self::V, mask: Self::V) -> u32;

    #[inline(always)]
    fn xor4(self, a: Four<Self>, b: Four<Self>) -> Four<Self> {
        let ([a, b, c, d], [e, f, g, h]) = (a, b);
        [self.xor(a, e), self.xor(b, f), self.xor(c, g), self.xor(d, h)]
    }

    /// Four rows of four words as four columns, in each lane: word w of register
    /// r becomes word r of register w.
    #[inline(always)]
    fn transpose(self, rows: Four<Self>) -> Four<Self> {
        let [a, b, c, d] = rows;
        let (ab_low, cd_low) = (self.unpack_low_32(a, b), self.unpack_low_32(c, d));
        let (ab_high, cd_high) = (self.unpack_high_32(a, b), self.unpack_high_32(c, d));
        [
            self.unpack_low_64(ab_low, cd_low),
            self.unpack_high_64(ab_low, cd_low),
            self.unpack_low_64(ab_high, cd_high),
            self.unpack_high_64(ab_high, cd_high),
        ]
    }

    /// The number of blocks in four registers.
    #[inline(always)]
    fn group_len(self) -> usize {
        REGISTERS * Self::COUNT
    }

    /// Loads the first [`group_len`](Self::group_len) of `blocks`, run by run.
    #[inline(always)]
    fn load4(self, blocks: &[Block]) -> Four<Self> {
        let (a, rest) = blocks.split_at_checked(Self::COUNT).unwrap_or_default();
        let (b, rest) = rest.split_at_checked(Self::COUNT).unwrap_or_default();
        let (c, d) = rest.split_at_checked(Self::COUNT).unwrap_or_default();
        [self.load(a), self.load(b), self.load(c), self.load(d)]
    }

    /// Stores four runs into the first [`group_len`](Self::group_len) of `blocks`.
    #[inline(always)]
    fn store4(self, rows: Four<Self>, blocks: &mut [Block]) {
        let [row_a, row_b, row_c, row_d] = rows;
        let (a, rest) = blocks.split_at_mut_checked(Self::COUNT).unwrap_or_default();
        let (b, rest) = rest.split_at_mut_checked(Self::COUNT).unwrap_or_default();
        let (c, d) = rest.split_at_mut_checked(Self::COUNT).unwrap_or_default();
        self.store(row_a, a);
        self.store(row_b, b);
        self.store(row_c, c);
        self.store(row_d, d);
    }

    /// The place in its group of the key whose word is word `bit` of a transposed
    /// register.
    #[inline(always)]
    fn place(self, bit: u32) -> usize {
        let bit = bit as usize;
        bit % REGISTERS * Self::COUNT + bit / REGISTERS
    }

    /// Calls `each` with the place in its group of every key whose bit is set.
    #[inline(always)]
    fn each_place(self, mut bits: u32, mut each: impl FnMut(usize)) {
        while bits != 0 {
            each(self.place(bits.trailing_zeros()));
            bits &= bits - 1;
        }
    }
}

/// Lanes that compute a round of AES (FIPS 197, section 5) in one instruction.
pub(super) trait AesLanes: Lanes {
    /// `MixColumns(ShiftRows(SubBytes(s))) ^ k`
    fn enc(self, s: Self::V, k: Self::V) -> Self::V;

    /// `ShiftRows(SubBytes(s)) ^ k`
    fn enc_last(self, s: Self::V, k: Self::V) -> Self::V;

    /// `InvMixColumns(InvSubBytes(InvShiftRows(s))) ^ k`
    fn dec(self, s: Self::V, k: Self::V) -> Self::V;

    /// `InvSubBytes(InvShiftRows(s)) ^ k`
    fn dec_last(self, s: Self::V, k: Self::V) -> Self::V;

    /// A register of the blocks 0 to `COUNT` − 1, which lie anywhere in memory.
    fn load_each<'b>(self, block: impl Fn(usize) -> &'b Block) -> Self::V;

    /// A register of the numbers 0 to `COUNT` − 1, each as a big-endian block.
    fn numbers(self, number: impl Fn(usize) -> u64) -> Self::V;

    /// The words of each lane, rotated up by `by` places.
    fn rotate(self, v: Self::V, by: usize) -> Self::V;

    /// `a`, with word `at` of each lane from `b`.
    fn with_word(self, a: Self::V, b: Self::V, at: usize) -> Self::V;

    /// The bytes of each lane in the order of `table`; zero where `table` has 0x80.
    fn shuffle_bytes(self, v: Self::V, table: Self::V) -> Self::V;

    /// The bits of `a` where `mask` is set, else those of `b`.
    fn select(self, mask: Self::V, a: Self::V, b: Self::V) -> Self::V;

    /// `row`, rotated up by one word, with word `at` from `word`.
    #[inline(always)]
    fn rotate_in(self, row: Self::V, word: Self::V, at: usize) -> Self::V {
        self.with_word(self.rotate(row, 1), word, at)
    }

    /// Register r rotated by r words.
    #[inline(always)]
    fn rotate4(self, rows: Four<Self>) -> Four<Self> {
        let [a, b, c, d] = rows;
        [a, self.rotate(b, 1), self.rotate(c, 2), self.rotate(d, 3)]
    }

    /// Word r of register r.
    #[inline(always)]
    fn diagonal(self, rows: Four<Self>) -> Self::V {
        let [a, b, c, d] = rows;
        self.with_word(self.with_word(self.with_word(a, b, 1), c, 2), d, 3)
    }

    /// Loads as many blocks as a group has, run by run.
    #[inline(always)]
    fn load_each4<'b>(self, block: impl Fn(usize) -> &'b Block) -> Four<Self> {
        let [b, c, d] = [Self::COUNT, 2 * Self::COUNT, 3 * Self::COUNT];
        [
            self.load_each(&block),
            self.load_each(|at| block(b + at)),
            self.load_each(|at| block(c + at)),
            self.load_each(|at| block(d + at)),
        ]
    }

    /// As many numbers as a group has, run by run.
    #[inline(always)]
    fn numbers4(self, number: impl Fn(usize) -> u64) -> Four<Self> {
        let [b, c, d] = [Self::COUNT, 2 * Self::COUNT, 3 * Self::COUNT];
        [
            self.numbers(&number),
            self.numbers(|at| number(b + at)),
            self.numbers(|at| number(c + at)),
            self.numbers(|at| number(d + at)),
        ]
    }

    #[inline(always)]
    fn dec4(self, s: Four<Self>, k: Four<Self>) -> Four<Self> {
        let ([a, b, c, d], [e, f, g, h]) = (s, k);
        [self.dec(a, e), self.dec(b, f), self.dec(c, g), self.dec(d, h)]
    }

    #[inline(always)]
    fn enc4(self, s: Four<Self>, k: Four<Self>) -> Four<Self> {
        let ([a, b, c, d], [e, f, g, h]) = (s, k);
        [self.enc(a, e), self.enc(b, f), self.enc(c, g), self.enc(d, h)]
    }
}

/// Lanes that subtract and rotate words.
pub(super) trait WordLanes: Lanes {
    /// The differences of words.
    fn sub(self, a: Self::V, b: Self::V) -> Self::V;

    /// Every word rotated right by 3 bits.
    fn rotate_right_3(self, v: Self::V) -> Self::V;

    /// Every word rotated left by 8 bits.
    fn rotate_left_8(self, v: Self::V) -> Self::V;

    /// Every word rotated left by 3 bits.
    fn rotate_left_3(self, v: Self::V) -> Self::V;

    /// Every word rotated right by 8 bits.
    fn rotate_right_8(self, v: Self::V) -> Self::V;
}

/// The number of blocks in the longest schedule: 11 round keys of AES in four registers
/// of four blocks.
const SCHEDULE_LEN_BLOCKS: usize = 11 * 4 * 4;

/// The stored round keys of a group, which all hints share. Zeroized on drop.
#[repr(align(64))]
pub(super) struct Schedule([Block; SCHEDULE_LEN_BLOCKS]);

impl Schedule {
    pub const fn new() -> Self {
        Self([[0; 16]; SCHEDULE_LEN_BLOCKS])
    }

    pub const fn blocks_mut(&mut self) -> &mut [Block; SCHEDULE_LEN_BLOCKS] {
        &mut self.0
    }

    /// Stores `v` as register `at`.
    #[inline(always)]
    pub fn put<L: Lanes>(&mut self, lanes: L, at: usize, v: L::V) {
        lanes.store(v, self.0.get_mut(at * L::COUNT..).unwrap_or_default());
    }

    /// Register `at`.
    #[inline(always)]
    pub fn get<L: Lanes>(&self, lanes: L, at: usize) -> L::V {
        lanes.load(self.0.get(at * L::COUNT..).unwrap_or_default())
    }

    /// Stores four registers as the `at`th four.
    #[inline(always)]
    pub fn put4<L: Lanes>(&mut self, lanes: L, at: usize, four: Four<L>) {
        let ([a, b, c, d], first) = (four, REGISTERS * at);
        self.put(lanes, first, a);
        self.put(lanes, first + 1, b);
        self.put(lanes, first + 2, c);
        self.put(lanes, first + 3, d);
    }

    /// The `at`th four registers.
    #[inline(always)]
    pub fn get4<L: Lanes>(&self, lanes: L, at: usize) -> Four<L> {
        let first = REGISTERS * at;
        [
            self.get(lanes, first),
            self.get(lanes, first + 1),
            self.get(lanes, first + 2),
            self.get(lanes, first + 3),
        ]
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}
