//! What both encodings share.

/// The value of `crc_status` for a wrong checksum on the air.
pub const BAD_CRC: i32 = 1;

/// The data rate of LoRa in the spelling of the packet forwarder.
pub fn data_rate(spreading_factor: u32, bandwidth_hz: u32) -> String {
    format!("SF{spreading_factor}BW{}", bandwidth_hz / 1_000)
}
