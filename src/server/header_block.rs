//! Whether an HTTP/2 client is in the middle of a request's head.
//!
//! A header block that does not end keeps everything else on its connection waiting, and hyper does not tell of it before
//! it is whole. So the frames are followed here by their nine bytes of length, kind and flags, just far enough to know
//! when a block begins and ends. Nothing is checked: what is wrong ends the connection in hyper.

/// Bytes of the client preface (RFC 9113 §3.4), and of what precedes a frame's payload (§4.1).
const PREFACE: usize = 24;
const FRAME_HEAD: u8 = 9;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Where a connection stands among header blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// In none.
    None,
    /// In one that began with these bytes.
    Begun,
    /// In one that began earlier.
    Unfinished,
}

/// Follows the frames that a client sends.
#[derive(Debug)]
pub(super) struct HeaderBlocks {
    preface: usize,
    /// How many bytes of the frame's head have come; all: its payload is coming.
    head: u8,
    kind: u8,
    /// What is left of the payload.
    left: usize,
    open: bool,
    ends: bool,
}

impl HeaderBlocks {
    pub(super) const fn new() -> Self {
        Self { preface: PREFACE, head: 0, kind: 0, left: 0, open: false, ends: false }
    }

    /// Takes note of the next bytes, and says where they leave the connection.
    pub(super) fn follow(&mut self, bytes: &[u8]) -> Block {
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        let mut rest = bytes.get(skipped..).unwrap_or_default();
        let mut begun = false;
        while let Some((byte, behind)) = rest.split_first() {
            if self.head == FRAME_HEAD {
                let taken = self.left.min(rest.len());
                self.left -= taken;
                rest = rest.get(taken..).unwrap_or_default();
            } else {
                begun |= self.frame_head(*byte);
                rest = behind;
            }
            if self.head == FRAME_HEAD && self.left == 0 {
                self.head = 0;
                self.open &= !self.ends;
            }
        }
        match (self.open, begun) {
            (false, _) => Block::None,
            (true, true) => Block::Begun,
            (true, false) => Block::Unfinished,
        }
    }

    /// Takes the next byte of a frame's head. Returns whether a block begins with it.
    const fn frame_head(&mut self, byte: u8) -> bool {
        let begins = self.head == 3 && byte == HEADERS;
        match self.head {
            0..3 => self.left = self.left << 8 | byte as usize,
            3 => {
                self.kind = byte;
                self.open |= begins;
            }
            4 => self.ends = matches!(self.kind, HEADERS | CONTINUATION) && byte & END_HEADERS != 0,
            _ => {}
        }
        self.head += 1;
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u8::try_from(payload.len()).unwrap();
        [&[0, 0, length, kind, flags, 0, 0, 0, 1], payload].concat()
    }

    /// As [`HeaderBlocks::follow`], behind the preface.
    fn behind_the_preface() -> HeaderBlocks {
        let mut blocks = HeaderBlocks::new();
        assert_eq!(blocks.follow(&[HEADERS; PREFACE]), Block::None);
        blocks
    }

    #[test]
    fn a_block_lasts_from_its_first_frame_to_its_last_byte() {
        let bytes = [
            frame(4, 0, &[0; 6]),
            frame(HEADERS, 1, b"half"),
            frame(CONTINUATION, 0, b""),
            frame(CONTINUATION, END_HEADERS, b"whole"),
            frame(0, 1, &[HEADERS; 50]),
        ]
        .concat();
        // Its kind is the fourth byte of a frame.
        let (begin, end) = (15 + 4, 15 + 13 + 9 + 14);
        let mut blocks = behind_the_preface();
        for (at, byte) in bytes.iter().enumerate() {
            let expected = match at + 1 {
                at if at == begin => Block::Begun,
                at if at > begin && at < end => Block::Unfinished,
                _ => Block::None,
            };
            assert_eq!(blocks.follow(&[*byte]), expected, "byte {at}");
        }
    }

    #[test]
    fn a_block_that_begins_where_another_ended_has_begun_anew() {
        let (whole, half) = (frame(HEADERS, END_HEADERS, b"x"), frame(HEADERS, 0, b"x"));
        let mut blocks = behind_the_preface();
        assert_eq!(blocks.follow(&whole), Block::None);
        assert_eq!(blocks.follow(&half), Block::Begun);
        assert_eq!(blocks.follow(&[frame(CONTINUATION, END_HEADERS, b""), half].concat()), Block::Begun);
        assert_eq!(blocks.follow(&frame(CONTINUATION, 0, b"y")), Block::Unfinished);
    }
}
