//! An object as code for files wants it: `std::io::Read` and `Seek`.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};

/// Bytes of the first request, and of the first after a jump; each request that goes on from the one
/// before it asks for twice as many.
const FIRST: u64 = 256 * 1024;

/// Bytes of a request, at most.
const MOST: u64 = 4 * 1024 * 1024;

/// What is skipped by reading on: the bytes that come in the time that a request of its own would wait.
const SHORT_JUMP: u64 = MOST;

type Answer = io::Result<Bytes>;

/// A range that is asked for, and where its bytes go.
struct Ask {
    range: Range<u64>,
    answer: oneshot::Sender<Answer>,
}

/// Runs `work` on a thread that may block, with a reader of `size` bytes whose ranges `fetch` brings.
/// The work ends soon after this future is dropped: at its next request.
pub(super) async fn with_reader<T, F>(
    size: u64,
    fetch: impl Fn(Range<u64>) -> F,
    work: impl FnOnce(ObjectReader) -> T + Send + 'static,
) -> io::Result<T>
where
    T: Send + 'static,
    F: Future<Output = Answer>,
{
    let (asks, mut asked) = mpsc::unbounded_channel::<Ask>();
    let reader = ObjectReader {
        size,
        position: 0,
        start: 0,
        block: Bytes::new(),
        step: FIRST,
        ahead: None,
        asks,
    };
    let work = SpawnedTask::spawn_blocking(move || work(reader)).join_unwind();
    tokio::pin!(work);
    let mut in_flight = FuturesUnordered::new();
    loop {
        tokio::select! {
            done = &mut work => return done.map_err(io::Error::other),
            Some(Ask { range, answer }) = asked.recv() => in_flight.push(async {
                // Whoever does not wait for it any more does not need it.
                let _ = answer.send(fetch(range).await);
            }),
            Some(()) = in_flight.next(), if !in_flight.is_empty() => {}
        }
    }
}

/// Reads on in ever larger blocks, one block ahead.
#[derive(Debug)]
pub(super) struct ObjectReader {
    size: u64,
    position: u64,
    /// Where `block` lies.
    start: u64,
    block: Bytes,
    step: u64,
    ahead: Option<Block>,
    asks: mpsc::UnboundedSender<Ask>,
}

/// A block that was asked for.
#[derive(Debug)]
struct Block {
    range: Range<u64>,
    answer: oneshot::Receiver<Answer>,
}

impl ObjectReader {
    fn end(&self) -> u64 {
        self.start + self.block.len() as u64
    }

    /// Brings the block that holds the position, which lies before the end of the object.
    fn load(&mut self) -> io::Result<()> {
        while !(self.start..self.end()).contains(&self.position) {
            let jump = self.position.checked_sub(self.end());
            let goes_on = !self.block.is_empty() && jump.is_some_and(|jump| jump < SHORT_JUMP);
            let next = if goes_on {
                self.step = (self.step * 2).min(MOST);
                self.end()
            } else {
                (self.step, self.ahead) = (FIRST, None);
                // The end of an object is asked for whole: a zip's directory lies there.
                self.position.min(self.size.saturating_sub(FIRST))
            };
            let block = match self.ahead.take() {
                Some(ahead) if ahead.range.start == next => ahead,
                _ => self.ask(next)?,
            };
            let end = block.range.end;
            if goes_on && end < self.size {
                self.ahead = Some(self.ask(end)?);
            }
            self.start = block.range.start;
            self.block = block.answer.blocking_recv().map_err(|_| stopped())??;
            if self.end() != end {
                let text = format!(
                    "{} bytes came where {} were asked for",
                    self.block.len(),
                    end - self.start
                );
                return Err(io::Error::other(text));
            }
        }
        Ok(())
    }

    fn ask(&self, start: u64) -> io::Result<Block> {
        let range = start..self.size.min(start + self.step);
        let (sender, answer) = oneshot::channel();
        let ask = Ask {
            range: range.clone(),
            answer: sender,
        };
        self.asks.send(ask).map_err(|_| stopped())?;
        Ok(Block { range, answer })
    }
}

fn stopped() -> io::Error {
    io::Error::other("the statement has ended")
}

impl Read for ObjectReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        self.load()?;
        let from = usize::try_from(self.position - self.start).map_err(io::Error::other)?;
        let there = &self.block[from..];
        let length = there.len().min(buffer.len());
        buffer[..length].copy_from_slice(&there[..length]);
        self.position += length as u64;
        Ok(length)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.size.checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// The bytes that `work` reads, and the ranges that it asked for.
    async fn run<T: Send + 'static>(
        size: usize,
        work: impl FnOnce(ObjectReader) -> T + Send + 'static,
    ) -> (T, Vec<Range<u64>>) {
        let content: Bytes = (0..size)
            .map(|i| (i % 251) as u8)
            .collect::<Vec<_>>()
            .into();
        let asked = Arc::new(Mutex::new(vec![]));
        let fetch = |range: Range<u64>| {
            asked.lock().unwrap().push(range.clone());
            let bytes = content.slice(range.start as usize..range.end as usize);
            async move { Ok(bytes) }
        };
        let result = with_reader(size as u64, fetch, work).await.unwrap();
        let asked = asked.lock().unwrap().clone();
        (result, asked)
    }

    #[tokio::test]
    async fn reads_all_in_growing_blocks() {
        let size = 9_000_001;
        let (bytes, asked) = run(size, |mut reader| {
            let mut bytes = vec![];
            reader.read_to_end(&mut bytes).map(|_| bytes)
        })
        .await;
        let bytes = bytes.unwrap();
        assert_eq!(bytes.len(), size);
        assert!(bytes.iter().enumerate().all(|(i, &b)| b == (i % 251) as u8));
        let lengths: Vec<u64> = asked.iter().map(|range| range.end - range.start).collect();
        assert_eq!(lengths.iter().sum::<u64>(), size as u64, "{lengths:?}");
        assert!(lengths.len() < 9, "{lengths:?}");
    }

    #[tokio::test]
    async fn jumps_far_and_reads_over_what_is_near() {
        let (bytes, asked) = run(40_000_000, |mut reader| {
            let mut at = |place| {
                let mut byte = [0];
                reader.seek(SeekFrom::Start(place)).unwrap();
                reader.read_exact(&mut byte).unwrap();
                u64::from(byte[0])
            };
            [0, 30_000_000, 30_300_000, 39_999_999].map(|place| (place % 251, at(place)))
        })
        .await;
        for (expected, found) in bytes {
            assert_eq!(expected, found);
        }
        assert!(asked.len() <= 6, "{asked:?}");
    }

    #[tokio::test]
    async fn failures_and_ends_are_errors() {
        let failing = |_| async { Err(io::Error::other("no such luck")) };
        let result = with_reader(10, failing, |mut reader| reader.read(&mut [0; 4])).await;
        assert!(result.unwrap().is_err());
        let (beyond, asked) = run(10, |mut reader| {
            reader.seek(SeekFrom::Start(99))?;
            reader.read(&mut [0; 4])
        })
        .await;
        assert_eq!((beyond.unwrap(), asked.len()), (0, 0));
    }
}
