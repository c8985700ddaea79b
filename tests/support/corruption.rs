//! Corruptions of an encoded row stream.

use super::frames::{STREAM_START, frames};
use super::random::Random;

/// A kind of corruption.
#[derive(Clone, Copy, Debug)]
pub enum Corruption {
    FlippedBit,
    LostFrame,
    DuplicatedFrame,
    SwappedFrames,
    Truncated,
}

impl Corruption {
    pub const ALL: [Self; 5] = [
        Self::FlippedBit,
        Self::LostFrame,
        Self::DuplicatedFrame,
        Self::SwappedFrames,
        Self::Truncated,
    ];

    /// Returns a corrupted stream, different from the undamaged one.
    pub fn apply(self, stream: &[u8], random: &mut Random) -> Vec<u8> {
        let starts: Vec<usize> = frames(stream).into_iter().map(|(at, _)| at).collect();
        let ends = starts.iter().skip(1).copied().chain([stream.len()]);
        let parts: Vec<&[u8]> = starts
            .iter()
            .zip(ends)
            .map(|(at, end)| &stream[*at..end])
            .collect();
        let mut sequence: Vec<usize> = (0..parts.len()).collect();
        let one = random.below(parts.len());
        match self {
            Self::FlippedBit => {
                let mut corrupted = stream.to_vec();
                corrupted[random.below(stream.len())] ^= 1 << random.below(8);
                return corrupted;
            }
            Self::Truncated => return stream[..random.below(stream.len())].to_vec(),
            Self::LostFrame => {
                sequence.remove(one);
            }
            // Not the last frame: nothing behind the end is read.
            Self::DuplicatedFrame => sequence.insert(one, one.min(parts.len() - 2)),
            Self::SwappedFrames => {
                let distance = 1 + random.below(parts.len() - 1);
                sequence.swap(one, (one + distance) % parts.len());
            }
        }
        let parts: Vec<&[u8]> = sequence.iter().map(|part| parts[*part]).collect();
        [&stream[..STREAM_START], &parts.concat()].concat()
    }
}
