//! The end of a connection whose client may still be sending: closed over bytes that were not read it would be reset, and its
//! client might never see what it was told last.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long, and for how many bytes, a client is listened to that goes on sending.
const LAST_WORDS: Duration = Duration::from_secs(2);
const MOST_BYTES: u64 = 64 * 1024;

/// Says `words`, if there are any still to say, and lets the client read what it was told.
pub(super) async fn part(stream: &mut TcpStream, words: &[u8]) {
    let farewell = async {
        stream.write_all(words).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MOST_BYTES), &mut tokio::io::sink()).await
    };
    // The peer may be gone, or not reading.
    let _ = timeout(LAST_WORDS, farewell).await;
}
