//! Where the frames of a WebSocket end (RFC 6455 §5.2): the only places where Usher may say something of its own.
//!
//! This module follows one direction by its lengths. It does *not* read what the frames carry, nor mind what is wrong in them.

/// Why a tunnel is ended from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goodbye {
    /// The gateway goes away.
    GoingAway,
    /// Whoever opened it may have it no more.
    SessionOver {
        /// The status of the close frame.
        code: u16,
    },
}

impl Goodbye {
    /// What tells the client of a WebSocket: a close frame with a status (RFC 6455 §7.4.1), which is 1001 for the first.
    pub(super) const fn close_frame(self) -> [u8; 4] {
        let code = match self {
            Self::GoingAway => 1001,
            Self::SessionOver { code } => code,
        };
        let [high, low] = code.to_be_bytes();
        [0x88, 2, high, low]
    }
}

/// The longest head: two bytes, a length of eight, a mask of four.
const LONGEST_HEAD: usize = 14;

const CLOSE: u8 = 8;

/// What was seen of one direction.
#[derive(Debug, Default)]
pub(super) struct WebsocketFrames {
    /// The head of the frame that began last, and how much of it has come; nothing once it is complete.
    head: [u8; LONGEST_HEAD],
    come: usize,
    /// How much of that frame's payload is to come.
    payload: u64,
    /// Whether a close frame was among them: nothing may follow it.
    closed: bool,
}

impl WebsocketFrames {
    /// Follows the next bytes of the direction.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) {
        while let Some((byte, rest)) = bytes.split_first() {
            if self.payload > 0 {
                let here = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= here as u64;
                bytes = bytes.get(here..).unwrap_or_default();
                continue;
            }
            if let Some(place) = self.head.get_mut(self.come) {
                *place = *byte;
            }
            self.come += 1;
            bytes = rest;
            if let Some(payload) = self.payload_of_head() {
                self.closed |= self.head[0] & 0x0f == CLOSE;
                (self.payload, self.come) = (payload, 0);
            }
        }
    }

    /// Whether a frame may begin here.
    pub(super) const fn is_at_a_boundary(&self) -> bool {
        self.come == 0 && self.payload == 0 && !self.closed
    }

    /// The length that the head says, once the head is complete.
    fn payload_of_head(&self) -> Option<u64> {
        let [_, second, extended @ ..] = &self.head;
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        let long = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        if self.come < 2 + long + mask {
            return None;
        }
        let long = extended.get(..long)?;
        let length = long.iter().fold(0_u64, |length, byte| length << 8 | u64::from(*byte));
        Some(if long.is_empty() { u64::from(second & 0x7f) } else { length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text frame with a payload of `length` bytes, which look like heads of frames.
    fn frame(length: usize, masked: bool) -> Vec<u8> {
        let mask = u8::from(masked) << 7;
        let mut frame = vec![0x81];
        match length {
            0..126 => frame.push(mask | u8::try_from(length).unwrap()),
            126..65536 => {
                frame.push(mask + 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(mask + 127);
                frame.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        frame.extend_from_slice(if masked { &[1, 2, 3, 4] } else { &[] });
        frame.resize(frame.len() + length, 0x88);
        frame
    }

    #[test]
    fn a_boundary_is_where_a_frame_ends_and_nowhere_else() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            for masked in [false, true] {
                let mut frames = WebsocketFrames::default();
                let bytes = frame(length, masked);
                for byte in &bytes[..bytes.len() - 1] {
                    frames.follow(&[*byte]);
                    assert!(!frames.is_at_a_boundary(), "within {length} bytes");
                }
                frames.follow(&bytes[bytes.len() - 1..]);
                assert!(frames.is_at_a_boundary(), "behind {length} bytes");
            }
        }
    }

    #[test]
    fn frames_may_come_in_any_pieces() {
        let bytes = [frame(3, false), frame(0, false), frame(300, true), frame(70_000, false)].concat();
        for piece in [1, 2, 3, 7, 1000, bytes.len()] {
            let mut frames = WebsocketFrames::default();
            bytes.chunks(piece).for_each(|piece| frames.follow(piece));
            assert!(frames.is_at_a_boundary(), "in pieces of {piece}");
        }
    }

    #[test]
    fn nothing_may_follow_a_close_frame() {
        let mut frames = WebsocketFrames::default();
        assert!(frames.is_at_a_boundary());
        frames.follow(&Goodbye::GoingAway.close_frame());
        assert!(!frames.is_at_a_boundary());
    }

    #[test]
    fn a_length_that_no_frame_has_is_no_reason_to_panic() {
        let mut frames = WebsocketFrames::default();
        frames.follow(&[0x82, 127, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0]);
        frames.follow(&[0; 1000]);
        assert!(!frames.is_at_a_boundary());
    }
}
