//! Bodies: read within limits of size, time and room, and decompressed while they arrive.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http_body::Body as _;
use tokio::time::{Instant, timeout};

use super::Service;
use super::observed::note_bytes;
use super::problem::Problem;
use crate::config::Limits;
use crate::engine::{Bearer, Engine, Room};
use crate::metrics::Metrics;

/// Bytes that may always become of a compressed body, however small it is.
const SMALL_BYTES: usize = 1 << 20;

/// Bytes that a zstd body may refer back to, as a power of two: what decompressing takes in memory.
const WINDOW_LOG_MAX: u32 = 23;

/// A body that is being read.
pub(super) struct Intake<'a> {
    body: Body,
    limits: &'a Limits,
    metrics: &'a Metrics,
    began: Instant,
    /// Bytes that arrived.
    arrived: u64,
}

impl<'a> Intake<'a> {
    pub(super) fn new(body: Body, limits: &'a Limits, metrics: &'a Metrics) -> Self {
        Self { body, limits, metrics, began: Instant::now(), arrived: 0 }
    }

    /// The next bytes; none at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let wait = Duration::from_millis(self.limits.body_timeout_ms);
        loop {
            let frame = timeout(
                wait,
                std::future::poll_fn(|context| std::pin::Pin::new(&mut self.body).poll_frame(context)),
            );
            let frame = match frame.await {
                Err(_) => return Err(too_slow()),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => {
                    let detail = format!("the body ends early or is damaged: {error}; send it again");
                    return Err(Problem::bad_request("broken_body", detail));
                }
                Ok(Some(Ok(frame))) => frame,
            };
            let Ok(bytes) = frame.into_data() else { continue };
            self.arrived += bytes.len() as u64;
            self.metrics.body_bytes.increment(bytes.len() as u64);
            let seconds = self.began.elapsed().as_secs();
            if seconds > self.limits.body_timeout_ms / 1_000
                && self.arrived < seconds * self.limits.body_bytes_per_second_min
            {
                return Err(too_slow());
            }
            return Ok(Some(bytes));
        }
    }
}

fn too_slow() -> Problem {
    Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "too_slow",
        "the body did not arrive in time: send it again, faster",
    )
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    Plain,
    Gzip,
    Zstd,
}

impl Encoding {
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let mut encodings = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, second) = (encodings.next(), encodings.next());
        let name = first.map_or("identity", |value| value.to_str().unwrap_or("?")).trim();
        let encoding = match name.to_ascii_lowercase().as_str() {
            "" | "identity" => Some(Self::Plain),
            "gzip" | "x-gzip" => Some(Self::Gzip),
            "zstd" => Some(Self::Zstd),
            _ => None,
        };
        encoding.filter(|_| second.is_none()).ok_or_else(|| {
            let detail = "bodies may be plain or compressed once, with gzip or zstd";
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", detail)
        })
    }
}

/// What comes out, with an end: what would go beyond is an error.
pub(super) struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
    is_over: bool,
}

impl Write for Bounded {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + buffer.len() > self.bytes_max {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(buffer);
        Ok(buffer.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Decompresses what arrives.
pub(super) enum Inflate {
    Plain(Bounded),
    Gzip(Box<MultiGzDecoder<Bounded>>),
    Zstd(Box<zstd::stream::write::Decoder<'static, Bounded>>),
}

impl Inflate {
    pub(super) fn new(encoding: Encoding, bytes_max: usize) -> Result<Self, Problem> {
        let to = Bounded { bytes: Vec::new(), bytes_max, is_over: false };
        Ok(match encoding {
            Encoding::Plain => Self::Plain(to),
            Encoding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(to))),
            Encoding::Zstd => {
                let mut decoder = zstd::stream::write::Decoder::new(to).map_err(|error| damaged(&error))?;
                decoder.window_log_max(WINDOW_LOG_MAX).map_err(|error| damaged(&error))?;
                Self::Zstd(Box::new(decoder))
            }
        })
    }

    fn out(&mut self) -> &mut Bounded {
        match self {
            Self::Plain(to) => to,
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zstd(decoder) => decoder.get_mut(),
        }
    }

    /// Takes bytes in as they arrived.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Problem> {
        let written = match self {
            Self::Plain(to) => to.write_all(bytes),
            Self::Gzip(decoder) => decoder.write_all(bytes),
            Self::Zstd(decoder) => decoder.write_all(bytes),
        };
        written.map_err(|error| self.why(&error))
    }

    /// The end of what arrives.
    pub(super) fn end(&mut self) -> Result<(), Problem> {
        let ended = match self {
            Self::Plain(_) => Ok(()),
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zstd(decoder) => decoder.flush(),
        };
        ended.map_err(|error| self.why(&error))
    }

    fn why(&mut self, error: &io::Error) -> Problem {
        let Bounded { is_over, bytes_max, .. } = *self.out();
        if is_over { too_large(bytes_max) } else { damaged(error) }
    }

    /// Takes out what there is.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out().bytes)
    }

    pub(super) fn len(&mut self) -> usize {
        self.out().bytes.len()
    }

    /// Up to the last line end, taken out.
    pub(super) fn take_lines(&mut self) -> Vec<u8> {
        let bytes = &mut self.out().bytes;
        let end = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        let rest = bytes.split_off(end);
        std::mem::replace(bytes, rest)
    }
}

fn damaged(error: &io::Error) -> Problem {
    Problem::bad_request("broken_compression", format!("the body cannot be decompressed: {error}"))
}

fn too_large(bytes_max: usize) -> Problem {
    let detail = format!("the body has more than {bytes_max} bytes: send less at once");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
}

/// Reads a whole body that has no events and may be large, and takes room for it as it arrives.
pub(super) async fn read(
    body: Body,
    encoding: Encoding,
    limits: &Limits,
    engine: &Engine,
) -> Result<(Vec<u8>, Room), Problem> {
    read_of(&Arc::default(), body, encoding, limits, engine).await
}

/// Reads a whole body of events, in the room of who sends it.
pub(super) async fn read_of(
    bearer: &Arc<Bearer>,
    body: Body,
    encoding: Encoding,
    limits: &Limits,
    engine: &Engine,
) -> Result<(Vec<u8>, Room), Problem> {
    let bytes_max = limits.body_bytes_max;
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    let mut room = engine.room(bearer)?;
    let bytes = gather(body, encoding, bytes_max, limits, engine, |more| Ok(room.grow(more)?)).await?;
    Ok((bytes, room))
}

/// Reads a whole body that is small, and has no events: it is read also where no events are taken.
pub(super) async fn read_small(
    service: &Service,
    headers: &HeaderMap,
    body: Body,
) -> Result<Vec<u8>, Problem> {
    let limits = &service.config.limits;
    let bytes_max = SMALL_BYTES.min(limits.body_bytes_max);
    if body.size_hint().lower() > bytes_max as u64 {
        return Err(too_large(bytes_max));
    }
    gather(body, Encoding::of(headers)?, bytes_max, limits, &service.engine, |_| Ok(())).await
}

/// Reads a body to its end, and tells `grow` of the bytes that come out of it.
async fn gather(
    body: Body,
    encoding: Encoding,
    bytes_max: usize,
    limits: &Limits,
    engine: &Engine,
    mut grow: impl FnMut(usize) -> Result<(), Problem>,
) -> Result<Vec<u8>, Problem> {
    let mut intake = Intake::new(body, limits, engine.metrics());
    let mut inflate = Inflate::new(encoding, bytes_max)?;
    let mut known = 0;
    while let Some(bytes) = intake.next().await? {
        inflate.push(&bytes)?;
        check_ratio(intake.arrived, inflate.len(), limits)?;
        grow(inflate.len() - known)?;
        known = inflate.len();
    }
    note_bytes(intake.arrived);
    inflate.end()?;
    check_ratio(intake.arrived, inflate.len(), limits)?;
    grow(inflate.len() - known)?;
    Ok(inflate.take())
}

/// What becomes much larger than it arrived is not meant well.
pub(super) fn check_ratio(arrived: u64, inflated: usize, limits: &Limits) -> Result<(), Problem> {
    let allowed = arrived.saturating_mul(limits.compression_ratio_max as u64).max(SMALL_BYTES as u64);
    if inflated as u64 <= allowed {
        return Ok(());
    }
    let ratio = limits.compression_ratio_max;
    let detail = format!("the body is compressed more than {ratio} to 1: send it plain or in parts");
    Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "compressed_too_much", detail))
}
