//! Frames of HTTP/2, byte by byte, for clients that no library would be.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Time without a frame after which no more are waited for.
const SILENCE: Duration = Duration::from_millis(500);

/// A frame that came.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Why something ends; at the end of what these frames have.
    pub(crate) fn reason(&self) -> u32 {
        let at = if self.kind == GO_AWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header that is not put into the table.
pub(crate) fn literal(name: &str, value: &str) -> Vec<u8> {
    [&[0, text_length(name)], name.as_bytes(), &[text_length(value)], value.as_bytes()].concat()
}

fn text_length(text: &str) -> u8 {
    u8::try_from(text.len()).ok().filter(|length| *length < 127).unwrap()
}

/// The headers of a request.
pub(crate) fn request_block(method: &str, path: &str) -> Vec<u8> {
    let method = if method == "GET" { 0x82 } else { 0x83 };
    let path = [&[0x04, text_length(path)], path.as_bytes()].concat();
    let rest = [&[0x86, 0x01, 4], &b"test"[..]].concat();
    [vec![method], path, rest, literal("content-type", "application/json")].concat()
}

/// A client that has begun to speak HTTP/2.
pub(crate) struct Peer {
    pub(crate) stream: TcpStream,
    read: Vec<u8>,
}

impl Peer {
    pub(crate) async fn connect(address: SocketAddr, settings: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, settings)].concat()).await.unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends bytes while it reads what comes back, until nothing comes any more.
    pub(crate) async fn attack(&mut self, bytes: &[u8]) -> Vec<Frame> {
        let (mut reading, mut writing) = self.stream.split();
        let mut read = Vec::new();
        let reader = async {
            let mut part = vec![0; 1 << 16];
            while let Ok(Ok(length @ 1..)) = timeout(SILENCE, reading.read(&mut part)).await {
                read.extend_from_slice(&part[..length]);
            }
        };
        // Whoever is cut off cannot send on.
        let writer = async {
            let _ = timeout(Duration::from_secs(30), writing.write_all(bytes)).await;
        };
        tokio::join!(reader, writer);
        self.read.extend(read);
        self.frames()
    }

    /// Reads nothing for a time, then everything to the end; nothing where there is none.
    pub(crate) async fn read_to_the_end(&mut self, time: Duration) -> Option<Vec<Frame>> {
        let mut read = Vec::new();
        let ended = timeout(time, self.stream.read_to_end(&mut read)).await;
        self.read.extend(read);
        // Closed with what was not read is an error, and an end.
        ended.is_ok().then(|| self.frames())
    }

    fn frames(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        let mut rest = self.read.as_slice();
        while let Some((head, after)) = rest.split_at_checked(9) {
            let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
            let Some((payload, after)) = after.split_at_checked(length) else { break };
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            frames.push(Frame { kind: head[3], stream, payload: payload.to_vec() });
            rest = after;
        }
        self.read.clear();
        frames
    }
}
