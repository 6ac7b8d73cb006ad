//! Far more clients and bytes than there is room for: memory is bounded, everybody is told at once to come back, and what
//! is acknowledged is counted once (F70).
//!
//! `TALLYBOOK_OVERLOAD_SECONDS` says for how long.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aggregate::data_directory::directory_disk;
use aggregate::export::ExportTable;
use serde_json::Value;
use service::config::{Limits, ServiceConfig};
use service::engine::EngineOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::memory::memory_kib;
use crate::support::{Answer, Server, call, catalog, exported, parse};

/// Seconds, when nobody says.
const SECONDS: u64 = 3;

const WAITING_BYTES: usize = 3 << 20;

/// What a client waits after a refusal: less than it is told to.
const PAUSE: Duration = Duration::from_millis(50);

/// What they send at once is ten times the room.
const CLIENTS: usize = 300;
const EVENTS: usize = 1_000;

/// Events that a client has numbers for.
const EVENTS_OF_A_CLIENT: usize = 100_000_000;

/// Memory that the room may take: the bytes, what they are as columns, the verdicts, rows and documents of an epoch.
const COPIES: u64 = 24;

/// Memory of everything that does not depend on the room: answers, tables of what was counted, the clients.
const OTHER_KIB: u64 = 256 << 10;

/// How requests ended, and after what times.
#[derive(Default)]
struct Ends(BTreeMap<u16, Vec<Duration>>);

impl Ends {
    fn tell(&mut self) {
        for (status, times) in &mut self.0 {
            times.sort();
            let at = |part: usize| times[(times.len() - 1) * part / 100];
            println!("{status}: {} requests, p50 {:?}, p99 {:?}", times.len(), at(50), at(99));
        }
    }
}

/// The events of a request.
fn body(first: usize) -> String {
    Value::from((first..first + EVENTS).map(call).collect::<Vec<_>>()).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn f70_ten_times_the_room_is_refused_at_once_within_memory_and_what_is_acknowledged_is_exact() {
    let seconds = std::env::var("TALLYBOOK_OVERLOAD_SECONDS").map_or(SECONDS, |text| text.parse().unwrap());
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { waiting_bytes_max: WAITING_BYTES, ..Limits::default() };
    let config = ServiceConfig { limits, ..ServiceConfig::default() };
    let options = EngineOptions { waiting_bytes_max: WAITING_BYTES, ..EngineOptions::default() };
    let disk = directory_disk(place.path());
    let server = Arc::new(Server::start_configured(&disk, &catalog(true), 1, options, config).await);
    assert!(body(0).len() * CLIENTS >= WAITING_BYTES * 10, "it is no overload");
    let bodies: Vec<_> = (0..CLIENTS).map(|client| body(client * EVENTS_OF_A_CLIENT)).collect();
    let before = memory_kib("VmRSS");
    let until = Instant::now() + Duration::from_secs(seconds);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = bodies
        .into_iter()
        .enumerate()
        .map(|(client, mut body)| {
            let (server, acknowledged) = (Arc::clone(&server), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                let mut ends = Ends::default();
                let mut next = client * EVENTS_OF_A_CLIENT;
                let mut is_unknown = false;
                // What was sent and not answered is sent again to the end.
                while is_unknown || Instant::now() < until {
                    let began = Instant::now();
                    let answer = send(server.address, &body).await;
                    let status = answer.as_ref().map_or(0, |answer| answer.status);
                    ends.0.entry(status).or_default().push(began.elapsed());
                    is_unknown = answer.is_none();
                    match answer {
                        Some(answer) if status == 200 => {
                            let receipt = answer.json();
                            let count = |name: &str| receipt[name].as_u64().unwrap();
                            assert_eq!(count("accepted") + count("duplicate"), EVENTS as u64);
                            acknowledged.fetch_add(EVENTS as u64, Ordering::SeqCst);
                            next += EVENTS;
                            body = self::body(next);
                        }
                        Some(answer) => {
                            assert_eq!(status, 503, "{}", answer.text);
                            assert!(answer.head.contains("retry-after: "), "{}", answer.head);
                            sleep(PAUSE).await;
                        }
                        None => sleep(PAUSE).await,
                    }
                }
                ends
            })
        })
        .collect();
    let mut ends = Ends::default();
    for client in clients {
        for (status, times) in client.await.unwrap().0 {
            ends.0.entry(status).or_default().extend(times);
        }
    }
    // Events are taken again at once.
    let began = Instant::now();
    server.count((EVENTS_OF_A_CLIENT - 10..EVENTS_OF_A_CLIENT).map(call).collect()).await;
    let acknowledged = acknowledged.load(Ordering::SeqCst);
    let grown = memory_kib("VmHWM").saturating_sub(before);
    println!("{seconds} s, {acknowledged} events acknowledged: {} a second", acknowledged / seconds.max(1));
    println!("{grown} KiB more than before, after it {:?} until events were taken", began.elapsed());
    ends.tell();
    assert!(ends.0.contains_key(&200) && ends.0.contains_key(&503), "it is no overload");
    let bound = (WAITING_BYTES as u64 >> 10) * COPIES + OTHER_KIB;
    assert!(grown < bound, "{grown} KiB, {bound} at most");
    let counts = server.engine.progress().borrow().counts;
    Arc::into_inner(server).unwrap().stop().await;
    let rated = exported(place.path(), ExportTable::RatedUsage);
    let counted = rated.matches("\"call ").count() as u64;
    println!("{counted} rated, {counts:?}");
    assert_eq!(counted, acknowledged + 10, "{acknowledged} acknowledged");
}

async fn send(address: SocketAddr, body: &str) -> Option<Answer> {
    let mut stream = TcpStream::connect(address).await.ok()?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    );
    // Whoever is refused may find that the rest is not read.
    let _ = stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    bytes.windows(4).any(|window| window == b"\r\n\r\n").then(|| parse(bytes))
}
