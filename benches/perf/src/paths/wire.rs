//! What is on the air: hints made, packets opened.

use hintdex_wire::{AssociatedData, DeviceId, HintCipher, HintScheme, KeyId, KeySource, Packet};

use super::{Path, fold, input};
use crate::{Failure, counted};

pub const PATHS: &[Path] = &[
    Path { name: "wire: a device's keys", work: derive },
    Path { name: "wire: hints, aes128", work: || hints(HintScheme::Aes128) },
    Path { name: "wire: hints, speck64", work: || hints(HintScheme::Speck64) },
    Path { name: "wire: open a packet", work: open },
];

fn derive() -> Result<u64, Failure> {
    let keys = input::keys();
    Ok(counted(&mut || {
        (0..1000).fold(0, |hash, device| {
            let id = KeyId::first(DeviceId(device));
            let key = keys.hint_key(id).map_or(0, |key| u64::from(key.expose()[0]));
            fold(hash, key + u64::from(keys.packet_key(id).is_some()))
        })
    }))
}

/// As a window is filled: 16 hints of each of 1,000 devices.
fn hints(scheme: HintScheme) -> Result<u64, Failure> {
    let keys = input::quick_hint_keys(1000);
    Ok(counted(&mut || {
        let mut hash = 0;
        for key in &keys {
            HintCipher::new(scheme, key).each_hint(0..16, |hint| hash = fold(hash, hint.head()));
        }
        hash
    }))
}

fn open() -> Result<u64, Failure> {
    let (key, packets) = (input::packet_key(7)?, input::packets(1000)?);
    Ok(counted(&mut || {
        let mut room = [0; 64];
        (0..).zip(&packets).fold(0, |hash, (nonce, packet)| {
            let packet = Packet::parse(HintScheme::Aes128, packet);
            let opened = packet
                .ok()
                .and_then(|packet| key.open(&packet, nonce, AssociatedData::EMPTY, &mut room));
            fold(hash, u64::from(opened.is_some()))
        })
    }))
}
