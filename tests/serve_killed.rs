//! ACK-1, DEDUP-1: a service that is killed under load, again and again, has every event that it acknowledged, once.
//!
//! `TALLYBOOK_KILLS` says how often it is killed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::command_line::place;
use crate::http_client::Served;
use crate::support::event;

/// Kills, when nobody says.
const KILLS: u64 = 10;

/// Clients that send and retry.
const CLIENTS: u64 = 4;

/// Events of a request.
const EVENTS: u64 = 7;

#[test]
fn ack_1_dedup_1_what_a_killed_service_acknowledged_is_there_once() {
    let place = place();
    let kills = std::env::var("TALLYBOOK_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    let mut seed = u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos());
    eprintln!("seed {seed}");
    let served = RwLock::new(Served::start(&place, &[]));
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
                    let events: Vec<String> = ids
                        .iter()
                        .map(|id| event(id, "tokens", "a", "2026-10-01T00:00:00Z", r#"{"tokens":1}"#))
                        .collect();
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
        for _ in 0..kills {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            thread::sleep(Duration::from_millis(20 + (seed >> 33) % 300));
            let id = served.read().unwrap().id().to_string();
            assert!(std::process::Command::new("kill").args(["-9", &id]).status().unwrap().success());
            let mut current = served.write().unwrap();
            *current = Served::start(&place, &[]);
        }
        is_over.store(true, Ordering::SeqCst);
    });
    assert_eq!(served.into_inner().unwrap().end(), 0);
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
        "{kills} kills, {} events acknowledged, {} counted, {retries} retries",
        acknowledged.len(),
        counted.len()
    );
    assert!(acknowledged.len() as u64 > kills * EVENTS, "the service did next to nothing");
}
