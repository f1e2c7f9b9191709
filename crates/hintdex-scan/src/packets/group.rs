//! Sixteen packets: their keys and tags, then their payloads.

use zeroize::Zeroize;

use super::lanes::{Lanes, Mask};
use super::sealed::SealedPacket;
use crate::PairCipher;
use crate::backend::Block;
use crate::backend::sha256::Sixteen;

/// The buffers of a group. What they hold of keys is wiped on drop.
pub(super) struct Group {
    lanes: Box<Lanes>,
    /// A key beside each block of keystream.
    stream_keys: Vec<Block>,
    stream: Vec<Block>,
}

impl Group {
    pub(super) fn new() -> Self {
        Self { lanes: Box::new(Lanes::new()), stream_keys: Vec::new(), stream: Vec::new() }
    }

    /// Opens packets, at most [`LANES`](crate::backend::sha256::LANES), and appends the payload of each.
    pub(super) fn open(
        &mut self,
        sixteen: Option<Sixteen>,
        cipher: &PairCipher,
        packets: &[SealedPacket<'_>],
        payloads: &mut Vec<Option<Vec<u8>>>,
    ) {
        let verified = match sixteen {
            // One packet costs less than a group of one.
            Some(sixteen) if packets.len() > 1 => self.lanes.verify_together(sixteen, packets),
            _ => self.lanes.verify_each(packets),
        };
        self.decrypt(cipher, packets, verified, payloads);
    }

    /// Makes room for so many blocks. What is left of the last group is overwritten, and wiped in the end; a
    /// memory that is too small is wiped before it goes.
    fn clear_stream(&mut self, blocks: usize) {
        for memory in [&mut self.stream_keys, &mut self.stream] {
            if memory.capacity() < blocks {
                memory.zeroize();
                *memory = Vec::with_capacity(blocks);
            }
            memory.clear();
        }
    }

    /// Decrypts what is verified, and appends the payload of each packet.
    fn decrypt(
        &mut self,
        cipher: &PairCipher,
        packets: &[SealedPacket<'_>],
        verified: Mask,
        payloads: &mut Vec<Option<Vec<u8>>>,
    ) {
        let is_verified = |lane: usize| verified >> lane & 1 == 1;
        let blocks = |sealed: &SealedPacket<'_>| sealed.packet.payload_len_bytes().div_ceil(16);
        self.clear_stream(packets.iter().map(blocks).sum());
        for (lane, sealed) in packets.iter().enumerate().filter(|(lane, _)| is_verified(*lane)) {
            let key = self.lanes.cipher_key(lane);
            for number in 0..blocks(sealed) as u64 {
                self.stream_keys.push(key);
                self.stream
                    .push((u128::from(sealed.nonce) << 64 | u128::from(number)).to_be_bytes());
            }
        }
        cipher.encrypt(&self.stream_keys, &mut self.stream);
        let mut stream = self.stream.iter();
        for (lane, sealed) in packets.iter().enumerate() {
            let Some((text, _)) = sealed.usual() else {
                payloads.push(sealed.open());
                continue;
            };
            payloads.push(is_verified(lane).then(|| {
                let mut payload = text.to_vec();
                for (bytes, key) in payload.chunks_mut(16).zip(&mut stream) {
                    bytes.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
                }
                payload
            }));
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The whole memory, what earlier groups have left included.
        self.stream_keys.zeroize();
        self.stream.zeroize();
    }
}
