//! The layout of the frames in an encoded row stream.

/// Bytes before the first frame.
pub const STREAM_START: usize = 5;

/// Bytes of a frame before its payload: kind, flags, length and checksum.
pub const FRAME_HEADER: usize = 14;

/// Returns the offset and the kind of each frame of an undamaged stream.
pub fn frames(stream: &[u8]) -> Vec<(usize, u8)> {
    let (mut at, mut found) = (STREAM_START, Vec::new());
    while at < stream.len() {
        found.push((at, stream[at]));
        at += FRAME_HEADER + payload_length(&stream[at..]);
    }
    assert_eq!(at, stream.len(), "an undamaged stream has whole frames");
    found
}

/// Returns the length of the payload of the frame at the start of `bytes`.
pub fn payload_length(bytes: &[u8]) -> usize {
    u32::from_be_bytes(bytes[2..6].try_into().unwrap()) as usize
}
