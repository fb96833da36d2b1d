//! The lines of a log, one at a time and none longer than any of ours.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::DiffError;

/// A path has at most 8 KiB, and an escaped byte of it 6 characters; what is longer is no line of ours.
const LONGEST: u64 = 128 << 10;

/// The lines of a file, or of standard input.
pub(super) struct Lines {
    name: String,
    from: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
}

impl Lines {
    /// `-` is standard input.
    pub(super) fn open(path: &Path) -> Result<Self, DiffError> {
        let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
        let from: Box<dyn BufRead> = if path == Path::new("-") {
            Box::new(BufReader::new(io::stdin()))
        } else {
            let opened = File::open(path);
            Box::new(BufReader::new(opened.map_err(|source| DiffError::Log { place: name.clone(), source })?))
        };
        Ok(Self::of(name, from))
    }

    fn of(name: String, from: Box<dyn BufRead>) -> Self {
        Self { name, from, buffer: Vec::new(), number: 0 }
    }

    /// The next line that is not empty, with its number; no text where it is too long or not UTF-8.
    pub(super) fn next(&mut self) -> Result<Option<(u64, Option<&str>)>, DiffError> {
        loop {
            self.number += 1;
            let whole = self
                .read()
                .map_err(|source| DiffError::Log { place: format!("{}:{}", self.name, self.number), source })?;
            match whole {
                None => return Ok(None),
                Some(true) if self.buffer.trim_ascii().is_empty() => {}
                Some(true) => return Ok(Some((self.number, std::str::from_utf8(&self.buffer).ok()))),
                Some(false) => return Ok(Some((self.number, None))),
            }
        }
    }

    /// Fills the buffer, and skips what has no room. `None` at the end, else whether all of the line is there.
    fn read(&mut self) -> io::Result<Option<bool>> {
        let mut is_whole = true;
        let mut any = false;
        loop {
            self.buffer.clear();
            let read = self.from.by_ref().take(LONGEST).read_until(b'\n', &mut self.buffer)?;
            any |= read > 0;
            if (read as u64) < LONGEST || self.buffer.ends_with(b"\n") {
                return Ok(any.then_some(is_whole));
            }
            is_whole = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_numbered_as_they_stand_and_long_ones_have_no_text() {
        let long = "x".repeat(usize::try_from(LONGEST).unwrap() * 2 + 5);
        let text = [b"one\n\n".as_slice(), long.as_bytes(), b"\n\xff\nfive"].concat();
        let mut lines = Lines::of("log".to_owned(), Box::new(io::Cursor::new(text)));
        let mut seen = Vec::new();
        while let Some((number, line)) = lines.next().unwrap() {
            seen.push((number, line.map(|line| line.trim_end().to_owned())));
        }
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(seen, [(1, text("one")), (3, None), (4, None), (5, text("five"))]);
    }
}
