//! ACK-1, DEDUP-1: a service that is killed under load, again and again, has every event that it acknowledged, once; and
//! who reads its streams by cursor has every row once, in the order of the ledger (RATE-2).
//!
//! `TALLYBOOK_KILLS` says how often it is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::command_line::place;
use crate::http_client::Served;
use crate::support::{Workplace, event};

/// Kills, when nobody says.
const KILLS: u64 = 10;

/// Clients that send and retry.
const CLIENTS: u64 = 4;

/// Events of a request.
const EVENTS: u64 = 7;

/// One life in so many is long enough for accruals and for tables that follow.
const LONG_LIVES: u64 = 5;

/// A billing system that reads a stream: its cursor is nowhere but here.
struct StreamReader {
    /// The stream, and what `tallybook export` calls it.
    path: &'static str,
    table: &'static str,
    cursor: String,
    events: Vec<Value>,
}

impl StreamReader {
    const fn new(path: &'static str, table: &'static str) -> Self {
        Self { path, table, cursor: String::new(), events: Vec::new() }
    }

    /// Reads the next events, if somebody answers: are there more?
    fn read(&mut self, served: &Served) -> Option<bool> {
        // Ends of answers are anywhere in an epoch.
        let limit = 1 + self.events.len() * 7 % 100;
        let path = format!("{}?limit={limit}&after={}", self.path, self.cursor);
        let answer = served.request("GET", &path, "", b"").ok()?;
        // An answer that was cut off is none.
        let answered: Value = serde_json::from_slice(&answer.body).ok()?;
        assert_eq!(answer.status, 200, "{}: {answered}", self.path);
        self.events.extend_from_slice(answered["events"].as_array().unwrap());
        answered["cursor"].as_str().unwrap().clone_into(&mut self.cursor);
        Some(answered["is_last"] == false)
    }

    fn read_to_the_end(&mut self, served: &Served) {
        while self.read(served).unwrap() {}
    }

    /// Holds what was read against the tables: `columns` name a row there, `fields` in an event.
    fn check(&self, place: &Workplace, columns: &str, fields: &[&str]) {
        let export = place.call(&["export", "--data", "data", self.table]);
        let exported: Vec<Value> =
            export.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(self.events.len(), exported.len(), "{}", self.path);
        for (position, (event, exported)) in self.events.iter().zip(&exported).enumerate() {
            assert_eq!(event, exported, "{} at {position}", self.path);
            assert_eq!(event["sequence"], format!("{:020}", position + 1), "{} at {position}", self.path);
        }
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
        let name = |event: &Value| fields.iter().map(|field| text(&event["data"][*field])).collect();
        let mut read: Vec<Vec<String>> = self.events.iter().map(name).collect();
        let mut rows = place.query(&format!("SELECT {columns} FROM {}", self.table.replace('-', "_")));
        read.sort();
        rows.sort();
        assert!(read == rows, "{} is not what the table has", self.path);
    }
}

/// How long starts of the service took.
#[derive(Default)]
struct Starts(Vec<Duration>);

impl Starts {
    fn start(&mut self, place: &Workplace) -> Served {
        let began = Instant::now();
        let served = Served::start(place, &[("TALLYBOOK_COMMIT__ACCRUAL_INTERVAL_MS", "1")]);
        self.0.push(began.elapsed());
        served
    }

    fn tell(mut self) {
        self.0.sort();
        let at = |part: usize| self.0[(self.0.len() - 1) * part / 100];
        eprintln!("{} starts: {:?} in the middle, {:?} of the slowest", self.0.len(), at(50), at(100));
    }
}

/// Kills a service that others still ask.
fn kill(served: &Served) {
    let id = served.id().to_string();
    assert!(std::process::Command::new("kill").args(["-9", &id]).status().unwrap().success());
}

#[test]
fn ack_1_dedup_1_rate_2_what_a_killed_service_acknowledged_is_there_once_and_read_once() {
    let place = place();
    let kills = std::env::var("TALLYBOOK_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut seed = u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    eprintln!("seed {seed}");
    let mut starts = Starts::default();
    let served = RwLock::new(starts.start(&place));
    let mut readers =
        [StreamReader::new("/v1/rated", "rated-usage"), StreamReader::new("/v1/accruals", "accruals")];
    let (is_over, retries) = (AtomicBool::new(false), AtomicU64::new(0));
    let acknowledged = Mutex::new(BTreeMap::new());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let (served, is_over, retries, acknowledged) = (&served, &is_over, &retries, &acknowledged);
            scope.spawn(move || {
                for request in 0.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    // One event of the request before comes again.
                    let ids: Vec<String> = (0..EVENTS)
                        .map(|number| format!("{client}-{}", request * (EVENTS - 1) + number))
                        .collect();
                    let time = format!("2026-10-{:02}T00:00:00Z", 1 + client * 7);
                    let events: Vec<String> =
                        ids.iter().map(|id| event(id, "tokens", "a", &time, r#"{"tokens":1}"#)).collect();
                    let body = format!("[{}]", events.join(","));
                    loop {
                        let headers = "Content-Type: application/cloudevents-batch+json\r\n";
                        let answer =
                            served.read().unwrap().request("POST", "/v1/events", headers, body.as_bytes());
                        match answer {
                            Ok(answer) if answer.status == 200 => {
                                let receipt = answer.json();
                                let verdicts = receipt["verdicts"].as_array().unwrap().clone();
                                let mut known = acknowledged.lock().unwrap();
                                for (id, verdict) in ids.into_iter().zip(verdicts) {
                                    let accepted = known.entry(id).or_insert(0);
                                    *accepted += u64::from(verdict == "accepted");
                                    assert!(verdict == "accepted" || verdict == "duplicate", "{verdict}");
                                }
                                break;
                            }
                            _ => {
                                retries.fetch_add(1, Ordering::SeqCst);
                                thread::sleep(Duration::from_millis(5));
                            }
                        }
                    }
                }
            });
        }
        for reader in &mut readers {
            let (served, is_over) = (&served, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::SeqCst) {
                    if reader.read(&served.read().unwrap()) != Some(true) {
                        thread::sleep(Duration::from_millis(5));
                    }
                }
            });
        }
        for _ in 0..kills {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let longer = if (seed >> 50) % LONG_LIVES == 0 { 1_100 } else { 0 };
            thread::sleep(Duration::from_millis(20 + longer + (seed >> 33) % 300));
            kill(&served.read().unwrap());
            let mut current = served.write().unwrap();
            *current = starts.start(&place);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(served.into_inner().unwrap().end(), 0);
    // The last accruals are made at the end.
    let served = starts.start(&place);
    for reader in &mut readers {
        reader.read_to_the_end(&served);
    }
    assert_eq!(served.end(), 0);
    let [rated, accruals] = &readers;
    rated.check(&place, "epoch, event_id, amount", &["epoch", "event_id", "amount"]);
    accruals.check(&place, "epoch, accrual_id, delta_amount", &["epoch", "accrual_id", "delta_amount"]);
    let acknowledged = acknowledged.into_inner().unwrap();
    let twice: Vec<_> = acknowledged.iter().filter(|(_, accepted)| **accepted > 1).collect();
    assert!(twice.is_empty(), "accepted twice: {twice:?}");
    let rows = place.query("SELECT event_id, count(*) FROM rated_usage GROUP BY 1");
    let counted: BTreeMap<&str, &str> = rows.iter().map(|row| (row[0].as_str(), row[1].as_str())).collect();
    let doubled: Vec<_> = counted.iter().filter(|(_, count)| **count != "1").collect();
    assert!(doubled.is_empty(), "counted twice: {doubled:?}");
    for id in acknowledged.keys() {
        assert!(counted.contains_key(id.as_str()), "{id} was acknowledged and is not there");
    }
    assert_eq!(place.call(&["doctor", "data"]).code, 0);
    let retries = retries.load(Ordering::SeqCst);
    eprintln!(
        "{kills} kills, {} events acknowledged, {} counted, {retries} retries; {} rated and {} accruals read",
        acknowledged.len(),
        counted.len(),
        rated.events.len(),
        accruals.events.len(),
    );
    starts.tell();
    assert!(acknowledged.len() as u64 > kills * EVENTS, "the service did next to nothing");
}
