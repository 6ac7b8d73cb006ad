//! Clients of HTTP/2 that break or bend its rules: they are answered, told to go away or cut off, their work is bounded,
//! and others are served (F72, F73).

use std::time::Duration;

use aggregate::data_directory::directory_disk;
use service::config::{Limits, ServiceConfig};
use service::engine::EngineOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frame, GO_AWAY, HEADERS, PING, Peer, RESET_STREAM, SETTINGS,
    WINDOW_UPDATE, frame, literal, request_block,
};
use crate::memory::memory_kib;
use crate::support::{Server, call, catalog};

const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

/// Time in which a client has to take its answers.
const ANSWER_TIMEOUT: u64 = 300;

/// Memory that the whole test may have, with all that other tests do meanwhile.
const MEMORY_KIB_MAX: u64 = 1 << 20;

async fn server(limits: Limits) -> (tempfile::TempDir, Server) {
    let place = tempfile::tempdir().unwrap();
    let config = ServiceConfig { limits, ..ServiceConfig::default() };
    let disk = directory_disk(place.path());
    let server = Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await;
    (place, server)
}

fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &request_block("GET", path))
}

fn post(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request_block("POST", "/v1/events"))
}

/// Others are served, and memory is bounded.
async fn check_others(server: &Server, number: usize, attack: &str) {
    assert_eq!(server.count(vec![call(number)]).await["accepted"], 1, "{attack}");
    let memory = memory_kib("VmRSS");
    assert!(memory < MEMORY_KIB_MAX, "{attack}: {memory} KiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn f73_who_breaks_the_rules_of_http_2_is_told_to_go_away() {
    let (_place, server) = server(Limits::default()).await;
    let flood = |begin: Vec<u8>, part: Vec<u8>, count: usize| [begin, part.repeat(count)].concat();
    let resets = (0..20_000).flat_map(|number| {
        [get(number * 2 + 1, "/healthz"), frame(RESET_STREAM, 0, number * 2 + 1, &8_u32.to_be_bytes())]
            .concat()
    });
    let no_path =
        (0..1_000).flat_map(|number| frame(HEADERS, END_HEADERS | END_STREAM, number * 2 + 1, &[0x82, 0x86]));
    let table_of_a_mebibyte = [&[0x3f, 0xe1, 0xff, 0x3f][..], &request_block("GET", "/healthz")].concat();
    let full = 0x7fff_ffff_u32.to_be_bytes();
    let attacks: Vec<(&str, Vec<u8>, u32)> = vec![
        ("rapid reset", resets.collect(), ENHANCE_YOUR_CALM),
        ("empty data", flood(post(1), frame(DATA, 0, 1, b""), 100_000), ENHANCE_YOUR_CALM),
        (
            "endless headers",
            flood(
                frame(HEADERS, 0, 1, &request_block("GET", "/healthz")),
                frame(CONTINUATION, 0, 1, &literal("a", "b")),
                100_000,
            ),
            ENHANCE_YOUR_CALM,
        ),
        ("requests without a path", no_path.collect(), ENHANCE_YOUR_CALM),
        ("a table that is too large", frame(HEADERS, END_HEADERS, 1, &table_of_a_mebibyte), PROTOCOL_ERROR),
        ("a stream of the server", get(2, "/healthz"), PROTOCOL_ERROR),
        ("a stream that goes back", [post(5), post(3)].concat(), PROTOCOL_ERROR),
        ("data before headers", frame(DATA, 0, 1, b"x"), PROTOCOL_ERROR),
        ("headers of no stream", get(0, "/healthz"), PROTOCOL_ERROR),
        ("a window that overflows", frame(WINDOW_UPDATE, 0, 0, &full).repeat(2), FLOW_CONTROL_ERROR),
        (
            "a frame that is too large",
            [&[1, 0, 0, DATA, 0, 0, 0, 0, 1][..], &[0; 70_000]].concat(),
            FRAME_SIZE_ERROR,
        ),
        ("settings that are too short", frame(SETTINGS, 0, 0, b"x"), PROTOCOL_ERROR),
        ("continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, b""), PROTOCOL_ERROR),
    ];
    for (number, (attack, bytes, reason)) in attacks.into_iter().enumerate() {
        let mut peer = Peer::connect(server.address, &[]).await;
        let frames = peer.attack(&bytes).await;
        let reasons: Vec<_> =
            frames.iter().filter(|frame| frame.kind == GO_AWAY).map(Frame::reason).collect();
        println!("{attack}: {} frames came back, GOAWAY {reasons:?}", frames.len());
        assert_eq!(reasons.last(), Some(&reason), "{attack}");
        check_others(&server, number, attack).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f73_settings_and_pings_that_are_sent_and_never_read_wait_outside() {
    let (_place, server) = server(Limits::default()).await;
    for (number, (attack, part)) in
        [("settings", frame(SETTINGS, 0, 0, b"")), ("pings", frame(PING, 0, 0, &[7; 8]))]
            .into_iter()
            .enumerate()
    {
        let mut peer = Peer::connect(server.address, &[]).await;
        let part = part.repeat(10_000);
        let mut sent = 0_usize;
        // Until it takes no more, or closes.
        while sent < 256 << 20 {
            match timeout(Duration::from_secs(1), peer.stream.write_all(&part)).await {
                Ok(Ok(())) => sent += part.len(),
                _ => break,
            }
        }
        println!("{attack}: {sent} bytes were taken");
        assert!(sent < 256 << 20, "{attack} are taken without end");
        check_others(&server, number, attack).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f73_headers_that_are_too_many_are_refused_and_cannot_grow_by_reference() {
    let (_place, server) = server(Limits::default()).await;
    let many: Vec<u8> =
        (0..600).flat_map(|number| literal(&format!("x-{number}"), &"y".repeat(80))).collect();
    // One of 3,000 bytes that is put into the table, and referred to.
    let mut bomb = vec![0x40, 1, b'x', 0x7f, 0xb9, 0x16];
    bomb.extend([b'y'; 3_000]);
    bomb.extend([0xbe; 10_000]);
    for (number, (attack, block)) in [("many headers", many), ("a bomb", bomb)].into_iter().enumerate() {
        let block = [request_block("GET", "/healthz"), block].concat();
        let mut bytes = Vec::new();
        let parts: Vec<_> = block.chunks(16_000).collect();
        for (position, part) in parts.iter().enumerate() {
            let kind = if position == 0 { HEADERS } else { CONTINUATION };
            let end = if position + 1 == parts.len() { END_HEADERS } else { 0 };
            bytes.extend(frame(kind, end | if position == 0 { END_STREAM } else { 0 }, 1, part));
        }
        let mut peer = Peer::connect(server.address, &[]).await;
        let frames = peer.attack(&bytes).await;
        println!("{attack}: {frames:?}");
        // 431, or it is told to go away.
        let is_refused = |frame: &Frame| match frame.kind {
            HEADERS => {
                frame.payload.windows(3).any(|text| text == b"431") || frame.payload.starts_with(&[0x48])
            }
            kind => kind == GO_AWAY || kind == RESET_STREAM,
        };
        assert!(frames.iter().any(is_refused), "{attack}");
        check_others(&server, number, attack).await;
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f73_more_requests_at_once_than_allowed_are_refused_one_by_one() {
    const STREAMS: u32 = 10;
    let (_place, server) = server(Limits { streams_max: STREAMS, ..Limits::default() }).await;
    let mut peer = Peer::connect(server.address, &[]).await;
    let posts: Vec<u8> = (0..STREAMS + 5).flat_map(|number| post(number * 2 + 1)).collect();
    let frames = peer.attack(&posts).await;
    let refused =
        frames.iter().filter(|frame| frame.kind == RESET_STREAM && frame.reason() == REFUSED_STREAM);
    let refused: Vec<u32> = refused.map(|frame| frame.stream).collect();
    assert_eq!(refused, (STREAMS..STREAMS + 5).map(|number| number * 2 + 1).collect::<Vec<_>>());
    check_others(&server, 0, "streams").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f73_who_asks_and_never_reads_is_cut_off() {
    let limits = Limits { answer_timeout_ms: ANSWER_TIMEOUT, ..Limits::default() };
    let (_place, server) = server(limits).await;
    server.count((0..2_000).map(call).collect()).await;
    // No window, or one that is too small for an answer.
    for window in [0_u32, 1, 1_000] {
        let setting = [&[0, 4][..], &window.to_be_bytes()].concat();
        let mut peer = Peer::connect(server.address, &setting).await;
        let asked: Vec<u8> =
            (0..100).flat_map(|number| get(number * 2 + 1, "/v1/rated?limit=1000")).collect();
        peer.stream.write_all(&asked).await.unwrap();
        let frames = peer.read_to_the_end(Duration::from_secs(30)).await.expect("it is not cut off");
        let sent: usize =
            frames.iter().filter(|frame| frame.kind == DATA).map(|frame| frame.payload.len()).sum();
        println!("window {window}: {sent} bytes of answers were sent");
        assert!(sent <= 100 * window as usize);
    }
    // Over HTTP/1 what is asked for is more than sockets hold.
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let asked = b"GET /v1/rated?limit=1000 HTTP/1.1\r\nhost: test\r\n\r\n".repeat(1_000);
    stream.write_all(&asked).await.unwrap();
    tokio::time::sleep(Duration::from_millis(ANSWER_TIMEOUT * 10)).await;
    let mut bytes = Vec::new();
    let _ = timeout(Duration::from_mins(1), stream.read_to_end(&mut bytes)).await.expect("it is not cut off");
    let answers = String::from_utf8_lossy(&bytes).matches("\"is_last\"").count();
    println!("{answers} of 1,000 answers were sent over HTTP/1");
    assert!(answers < 1_000);
    check_others(&server, 10_000, "reads nothing").await;
    // Who waits for what is still to come is not cut off.
    let waited = server.get("/v1/rated?wait=1&limit=10000").await.json();
    let path = format!("/v1/rated?wait=1&after={}", waited["cursor"].as_str().unwrap());
    assert_eq!(server.get(&path).await.status, 200);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f72_an_address_has_so_many_connections_and_others_are_closed_at_once() {
    let limits = Limits { connections_per_address_max: 5, ..Limits::default() };
    let (_place, server) = server(limits).await;
    let mut held = Vec::new();
    for _ in 0..5 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    let closed = async || {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let _ = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").await;
        let mut bytes = Vec::new();
        let _ = timeout(Duration::from_secs(30), stream.read_to_end(&mut bytes)).await.unwrap();
        bytes.is_empty()
    };
    assert!(closed().await, "it is one too many");
    held.pop();
    while closed().await {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    drop(held);
    while server.engine.progress().borrow().epoch == 0 {
        if !closed().await {
            check_others(&server, 0, "connections").await;
        }
    }
    server.stop().await;
}
