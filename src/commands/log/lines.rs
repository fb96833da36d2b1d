//! Lines on their way to a sink that may be slow or stuck.
//!
//! Whoever logs appends to a buffer; a thread of its own takes what has gathered and writes it in one piece. It is woken for
//! the first line only and then gives the others a moment: under load there is one system call for hundreds of lines, and
//! none on the way of a request. When nobody takes the lines (a full pipe, a stuck disk) they pile up to a bound and are
//! then lost and counted: logging never makes a request wait, and never ends the process.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes of lines that wait to be written.
const WAITING_BYTES: usize = 4 * 1024 * 1024;

/// How long a line waits for others to be written with it.
const GATHER: Duration = Duration::from_millis(10);

/// A buffer that has grown beyond this is not kept when it is empty again.
const KEPT_BYTES: usize = 256 * 1024;

/// Where lines are handed in.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// The writer waits here for lines.
    arrived: Condvar,
    /// Whoever wants them written waits here.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    text: Vec<u8>,
    lost: u64,
    /// Somebody waits for the lines to be written.
    in_a_hurry: bool,
    /// The writer has some in its hand.
    writing: bool,
}

impl Lines {
    /// Starts the thread that writes to `sink`. It lasts as long as the process.
    pub(super) fn start(sink: impl Write + Send + 'static) -> io::Result<Self> {
        let queue = Arc::<Queue>::default();
        let writers = Arc::clone(&queue);
        thread::Builder::new().name("usher-log".to_owned()).spawn(move || writers.write_to(sink))?;
        Ok(Self { queue })
    }

    /// Waits until everything has been written, but no longer than `limit`: nobody may be taking the lines.
    pub(super) fn flush_within(&self, limit: Duration) {
        let mut waiting = self.queue.lock();
        waiting.in_a_hurry = true;
        self.queue.arrived.notify_one();
        let unwritten = |waiting: &mut Waiting| waiting.writing || !waiting.text.is_empty();
        drop(self.queue.written.wait_timeout_while(waiting, limit, unwritten));
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn append(&self, lines: &[u8]) {
        let mut waiting = self.lock();
        if waiting.text.len() + lines.len() > WAITING_BYTES {
            waiting.lost += 1;
            return;
        }
        let first = waiting.text.is_empty();
        waiting.text.extend_from_slice(lines);
        drop(waiting);
        if first {
            self.arrived.notify_one();
        }
    }

    /// Writes lines for ever. A sink that fails (a closed pipe) loses them.
    fn write_to(&self, mut sink: impl Write) {
        let mut text = Vec::new();
        loop {
            let lost = self.take(&mut text);
            let _ = sink.write_all(&text).and_then(|()| sink.flush());
            text.clear();
            text.shrink_to(KEPT_BYTES);
            if lost > 0 {
                tracing::warn!(lost, "log lines were lost because nobody took them");
            }
        }
    }

    /// Waits for lines, and takes all there are. Returns how many were lost before.
    fn take(&self, text: &mut Vec<u8>) -> u64 {
        let mut waiting = self.lock();
        waiting.writing = false;
        self.written.notify_all();
        let nothing = |waiting: &mut Waiting| waiting.text.is_empty();
        waiting = self.arrived.wait_while(waiting, nothing).unwrap_or_else(PoisonError::into_inner);
        let at_leisure = |waiting: &mut Waiting| !waiting.in_a_hurry;
        waiting =
            self.arrived.wait_timeout_while(waiting, GATHER, at_leisure).unwrap_or_else(PoisonError::into_inner).0;
        waiting.writing = true;
        mem::swap(&mut waiting.text, text);
        mem::take(&mut waiting.lost)
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Handle<'a>;

    fn make_writer(&'a self) -> Handle<'a> {
        Handle(&self.queue)
    }
}

/// What one event is written with: each `write` is a whole line.
pub(super) struct Handle<'a>(&'a Queue);

impl Write for Handle<'_> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.append(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{self, Receiver, Sender};

    use super::*;

    const LINE: &[u8] = &[b'x'; 1024];

    /// Writes nothing before it is released.
    struct Stuck(Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Recorded(Sender<Vec<u8>>);

    impl Write for Recorded {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(bytes.to_owned());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_stuck_sink_loses_lines_and_holds_nobody_up() {
        let (release, stuck) = mpsc::channel();
        let lines = Lines::start(Stuck(stuck)).unwrap();
        for _ in 0..2 * WAITING_BYTES / LINE.len() + 100 {
            lines.make_writer().write_all(LINE).unwrap();
        }
        assert!(lines.queue.lock().lost >= 100);
        lines.flush_within(Duration::from_millis(10));
        drop(release);
    }

    #[test]
    fn lines_are_written_in_order_and_together() {
        let (sender, written) = mpsc::channel();
        let lines = Lines::start(Recorded(sender)).unwrap();
        for number in 0..1000 {
            lines.make_writer().write_all(format!("{number}\n").as_bytes()).unwrap();
        }
        lines.flush_within(FOREVER);
        let pieces: Vec<_> = written.try_iter().collect();
        let written = String::from_utf8(pieces.concat()).unwrap();
        assert!(written.lines().map(|line| line.parse::<u32>().unwrap()).eq(0..1000), "{written}");
        assert!(pieces.len() < 100, "{} pieces", pieces.len());
    }

    #[test]
    fn a_closed_sink_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let lines = Lines::start(Closed).unwrap();
        lines.make_writer().write_all(b"line\n").unwrap();
        lines.flush_within(FOREVER);
        assert!(lines.queue.lock().text.is_empty());
    }

    const FOREVER: Duration = Duration::from_secs(60);
}
