//! Keys and tags of a group of packets, a lane for each packet.

use hintdex_wire::TAG_LEN_BYTES;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use super::message::{block_of, count_blocks, outer_block, tag_of, words_of};
use super::sealed::{OpeningKey, SealedPacket};
use crate::backend::Block;
use crate::backend::sha256::{LANES, Sixteen, Words, initial};

/// A bit for each lane.
pub(super) type Mask = u16;

/// What the lanes hold, wiped on drop.
pub(super) struct Lanes {
    /// The packet keys, as big-endian words.
    keys: Words<8>,
    inner: Words<8>,
    outer: Words<8>,
    block: Words<16>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        let (state, block) = (Words::splat(&[0; 8]), Words::splat(&[0; 16]));
        Self { keys: state.clone(), inner: state.clone(), outer: state, block }
    }

    /// Computes keys and tags one packet after the other. Returns which packets are authentic.
    pub(super) fn verify_each(&mut self, packets: &[SealedPacket<'_>]) -> Mask {
        let mut verified = 0;
        for (lane, sealed) in packets.iter().enumerate() {
            let Some((text, tag)) = sealed.usual() else { continue };
            let mut key = sealed.key.words();
            let mut computed = tag_of(&key, sealed.packet.head(), text);
            put(&mut self.keys, lane, &key);
            verified |= Mask::from(is_tag(&computed, tag)) << lane;
            key.zeroize();
            computed.zeroize();
        }
        verified
    }

    /// Computes keys and tags of all packets side by side. Returns which packets are authentic.
    pub(super) fn verify_together(
        &mut self,
        sixteen: Sixteen,
        packets: &[SealedPacket<'_>],
    ) -> Mask {
        self.make_keys(sixteen, packets);
        let texts: [Option<(&[u8], &[u8; TAG_LEN_BYTES])>; LANES] =
            core::array::from_fn(|lane| packets.get(lane)?.usual());
        self.inner = self.absorb_keys(sixteen, 0x3636_3636);
        self.outer = self.absorb_keys(sixteen, 0x5c5c_5c5c);
        let blocks = |lane: usize| match (packets.get(lane), texts.get(lane)) {
            (Some(sealed), Some(Some((text, _)))) => {
                count_blocks(sealed.packet.head().len() + text.len())
            }
            _ => 0,
        };
        let most = (0..packets.len()).map(blocks).max().unwrap_or(0);
        for at in 0..most {
            let mut lanes: Mask = 0;
            for (lane, (sealed, text)) in packets.iter().zip(&texts).enumerate() {
                let Some((text, _)) = text.filter(|_| at < blocks(lane)) else { continue };
                put(&mut self.block, lane, &words_of(&block_of(sealed.packet.head(), text, at)));
                lanes |= 1 << lane;
            }
            sixteen.compress(&mut self.inner, &self.block, lanes);
        }
        self.finish(sixteen);
        let mut verified = 0;
        for (lane, text) in texts.iter().enumerate() {
            let Some((_, tag)) = text else { continue };
            verified |= Mask::from(is_tag(&take(&self.outer, lane), tag)) << lane;
        }
        verified
    }

    /// Puts the packet key of each lane in its place.
    fn make_keys(&mut self, sixteen: Sixteen, packets: &[SealedPacket<'_>]) {
        // That of the master key, as a rule.
        let shared = packets.iter().find_map(|sealed| sealed.key.state());
        if let Some(state) = shared {
            for (lane, sealed) in packets.iter().enumerate() {
                if let OpeningKey::Derived(derivation) = &sealed.key {
                    put(&mut self.block, lane, &derivation.message);
                }
            }
            self.inner = Words::splat(state.inner());
            self.outer = Words::splat(state.outer());
            sixteen.compress(&mut self.inner, &self.block, Mask::MAX);
            self.finish(sixteen);
            self.keys.0 = self.outer.0;
        }
        for (lane, sealed) in packets.iter().enumerate() {
            let state = sealed.key.state();
            let is_made =
                state.zip(shared).is_some_and(|(state, shared)| core::ptr::eq(state, shared));
            if !is_made {
                let mut key = sealed.key.words();
                put(&mut self.keys, lane, &key);
                key.zeroize();
            }
        }
    }

    /// The state of a hash behind the block of each lane's key for tags.
    fn absorb_keys(&mut self, sixteen: Sixteen, pad: u32) -> Words<8> {
        let mut state = initial();
        self.block = Words::splat(&[pad; 16]);
        let [_, _, _, _, second @ ..] = &self.keys.0;
        for (block, key) in self.block.0.iter_mut().zip(second) {
            block.iter_mut().zip(key).for_each(|(word, key)| *word ^= key);
        }
        sixteen.compress(&mut state, &self.block, Mask::MAX);
        state
    }

    /// The outer hashes: the digests of the inner ones go through `outer`.
    fn finish(&mut self, sixteen: Sixteen) {
        self.block = Words::splat(&outer_block(&[0; 8]));
        self.block.0.iter_mut().zip(&self.inner.0).for_each(|(to, from)| *to = *from);
        sixteen.compress(&mut self.outer, &self.block, Mask::MAX);
    }

    /// The key of the cipher: the first half of the packet key.
    pub(super) fn cipher_key(&self, lane: usize) -> Block {
        let mut key = [0; 16];
        let (chunks, _) = key.as_chunks_mut::<4>();
        for (bytes, row) in chunks.iter_mut().zip(&self.keys.0) {
            *bytes = row.get(lane % LANES).copied().unwrap_or_default().to_be_bytes();
        }
        key
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.keys.zeroize();
        self.inner.zeroize();
        self.outer.zeroize();
        self.block.zeroize();
    }
}

fn put<const N: usize>(words: &mut Words<N>, lane: usize, of_lane: &[u32; N]) {
    for (row, word) in words.0.iter_mut().zip(of_lane) {
        row.iter_mut().skip(lane).take(1).for_each(|place| *place = *word);
    }
}

fn take<const N: usize>(words: &Words<N>, lane: usize) -> [u32; N] {
    let mut of_lane = [0; N];
    for (word, row) in of_lane.iter_mut().zip(&words.0) {
        *word = row.get(lane % LANES).copied().unwrap_or_default();
    }
    of_lane
}

/// Whether a computed tag is the one that was sent, in constant time.
fn is_tag(computed: &[u32; 8], sent: &[u8; TAG_LEN_BYTES]) -> bool {
    let [first, second, ..] = computed;
    let computed = u64::from(*first) << 32 | u64::from(*second);
    computed.to_be_bytes().ct_eq(sent).into()
}
