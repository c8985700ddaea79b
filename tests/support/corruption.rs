//! Row streams taken apart into frames, and damaged.

use super::random::Random;

/// Bytes before the first frame.
pub const START: usize = 5;

/// A frame's kind, flags, length and checksum.
pub const PREFIX: usize = 14;

/// The frames of a true stream: where each begins, and its kind.
pub fn frames(stream: &[u8]) -> Vec<(usize, u8)> {
    let (mut at, mut found) = (START, Vec::new());
    while at < stream.len() {
        let length = u32::from_be_bytes(stream[at + 2..at + 6].try_into().unwrap());
        found.push((at, stream[at]));
        at += PREFIX + length as usize;
    }
    assert_eq!(at, stream.len(), "a true stream consists of whole frames");
    found
}

/// What happens to a stream on its way.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    FlippedBit,
    LostFrame,
    DoubledFrame,
    SwappedFrames,
    Truncated,
}

impl Damage {
    pub const ALL: [Self; 5] = [
        Self::FlippedBit,
        Self::LostFrame,
        Self::DoubledFrame,
        Self::SwappedFrames,
        Self::Truncated,
    ];

    /// The damaged stream, different from the true one.
    pub fn inflict(self, stream: &[u8], random: &mut Random) -> Vec<u8> {
        let starts: Vec<usize> = frames(stream).into_iter().map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([stream.len()]);
        let parts: Vec<&[u8]> = starts
            .iter()
            .zip(ends)
            .map(|(at, end)| &stream[*at..end])
            .collect();
        let mut order: Vec<usize> = (0..parts.len()).collect();
        let one = random.below(parts.len());
        match self {
            Self::FlippedBit => {
                let mut damaged = stream.to_vec();
                damaged[random.below(stream.len())] ^= 1 << random.below(8);
                return damaged;
            }
            Self::Truncated => return stream[..random.below(stream.len())].to_vec(),
            Self::LostFrame => {
                order.remove(one);
            }
            // Not the last one: what comes behind the end is not read any more.
            Self::DoubledFrame => order.insert(one, one.min(parts.len() - 2)),
            Self::SwappedFrames => {
                let distance = 1 + random.below(parts.len() - 1);
                order.swap(one, (one + distance) % parts.len());
            }
        }
        let parts: Vec<&[u8]> = order.iter().map(|part| parts[*part]).collect();
        [&stream[..START], &parts.concat()].concat()
    }
}
