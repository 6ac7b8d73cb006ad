//! Durable commits of a few events each, as live usage asks for them: how many answers in a second where many
//! wait, and how long one who is alone waits, beside what the disk takes for a sync of 4 KiB.
//!
//! It prints figures, and asserts no times: they are those of the disk.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use aggregate::live::LiveWriter;
use criterion::Criterion;
use ingest::decoder::Decoder;
use ingest::event_batch::EventBatch;
use ingest::input::Input;
use ingest::metering::MeteringPlan;
use ingest::reader::Reader;

use crate::workload::{Workload, number_accounts, workload};

/// Events of a request.
const EVENTS: usize = 10;

/// Clients that wait at once.
const CLIENTS: usize = 64;

/// A batch to be counted, and who waits for it.
struct Request {
    batch: EventBatch,
    answer: Sender<EventBatch>,
}

pub(crate) fn bench(_: &mut Criterion) {
    let mut arguments = env::args().skip(1);
    if arguments.any(|argument| !argument.starts_with('-') && !"small_epochs".contains(&*argument)) {
        return;
    }
    // A test only shows that it works.
    let is_test = env::args().any(|argument| argument == "--test");
    let (each, alone) = if is_test { (5, 5) } else { (500, 2_000) };
    let workload = workload();
    let place = workload.scratch();
    fs::create_dir(&place).unwrap();

    let began = Instant::now();
    let (latencies, commits) = answer(workload, &place.join("many"), CLIENTS, each);
    let seconds = began.elapsed().as_millis().max(1);
    let per_second = |number: usize| number as u128 * 1000 / seconds;
    println!(
        "small_epochs/clients={CLIENTS}/events={EVENTS}: {} answers/s, {} commits/s, {} events/s; {}",
        per_second(latencies.len()),
        per_second(commits),
        per_second(latencies.len() * EVENTS),
        shown(latencies),
    );
    let (latencies, _) = answer(workload, &place.join("one"), 1, alone);
    println!("small_epochs/clients=1/events={EVENTS}: {}", shown(latencies));
    println!("small_epochs/fdatasync=4KiB: {}", shown(syncs(&place.join("synced"), alone)));
    fs::remove_dir_all(place).unwrap();
}

/// How long an answer takes, or a sync.
fn shown(mut latencies: Vec<Duration>) -> String {
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
    format!("{} µs, 1 in 100 over {} µs", at(50), at(99))
}

/// Lets clients send requests, each as soon as the one before is answered; their latencies, and the commits.
fn answer(workload: &Workload, place: &Path, clients: usize, requests: usize) -> (Vec<Duration>, usize) {
    let (partition, _) = workload.open(&place.join("data"), clients);
    let key = *partition.directory().key();
    let writer = LiveWriter::new(partition, Vec::new()).unwrap();
    let readers: Vec<Reader> = (0..clients)
        .map(|client| reader(workload, &place.join(format!("{client}.ndjson")), client, requests))
        .collect();
    let (request_tx, request_rx) = channel();
    thread::scope(|scope| {
        let committing = scope.spawn(move || commit(writer, &request_rx));
        let asking: Vec<_> = readers
            .into_iter()
            .enumerate()
            .map(|(client, reader)| {
                let (metering, accounts) = (metering(workload), Arc::new(number_accounts(&workload.catalog)));
                let decoder = Decoder::new(client, metering, accounts, key);
                let request = request_tx.clone();
                scope.spawn(move || ask(reader, decoder, workload, &request))
            })
            .collect();
        drop(request_tx);
        let latencies: Vec<Duration> = asking.into_iter().flat_map(|asking| asking.join().unwrap()).collect();
        let (writer, commits) = committing.join().unwrap();
        let counts = writer.partition().committer.standing().books.counts;
        let sent = i64::try_from(clients * requests * EVENTS).unwrap();
        assert_eq!((latencies.len(), counts.received, counts.rated), (clients * requests, sent, sent));
        (latencies, commits)
    })
}

fn metering(workload: &Workload) -> Arc<MeteringPlan> {
    Arc::new(MeteringPlan::new(workload.catalog.meters()))
}

/// Commits as long as there are clients: one commit for all who wait.
fn commit(mut writer: LiveWriter, requests: &Receiver<Request>) -> (LiveWriter, usize) {
    let mut commits = 0;
    let mut waiting = Vec::new();
    while let Ok(first) = requests.recv() {
        for Request { batch, answer } in std::iter::once(first).chain(requests.try_iter()) {
            let batch = writer.decide(batch, |decided| assert_eq!(decided.batch.len(), EVENTS)).unwrap();
            waiting.push((answer, batch));
        }
        assert!(writer.commit(Vec::new(), false).unwrap().is_some());
        commits += 1;
        for (answer, batch) in waiting.drain(..) {
            answer.send(batch).unwrap();
        }
    }
    (writer, commits)
}

/// Sends requests until there are no more events; how long each waited.
fn ask(
    mut reader: Reader,
    mut decoder: Decoder,
    workload: &Workload,
    requests: &Sender<Request>,
) -> Vec<Duration> {
    let mut latencies = Vec::new();
    let (answer, answered) = channel();
    let mut batch = EventBatch::new(metering(workload).dimensions().len());
    loop {
        let records = reader.next(&mut batch).unwrap();
        let began = Instant::now();
        let Some(records) = records else { return latencies };
        decoder.decode(&mut batch, &records);
        if batch.is_empty() {
            return latencies;
        }
        requests.send(Request { batch, answer: answer.clone() }).unwrap();
        batch = answered.recv().unwrap();
        latencies.push(began.elapsed());
    }
}

/// A reader of events that no other client has, so many at a time. All have one length.
fn reader(workload: &Workload, path: &Path, client: usize, requests: usize) -> Reader {
    let mut events = String::new();
    for number in 0..requests * EVENTS {
        writeln!(
            events,
            r#"{{"specversion":"1.0","id":"{client:02}-{number:08}","source":"bench","type":"api.request","subject":"acct-000001","time":"2026-10-03T12:34:56.789Z","data":{{"region":"eu-central-1","user_id":"u1","model":"m1"}}}}"#
        )
        .unwrap();
    }
    let batch_bytes = events.len() / requests;
    fs::write(path, events).unwrap();
    let inputs = vec![(Input::file(PathBuf::from(path), None), None)];
    Reader::new(inputs, Vec::new(), metering(workload), Arc::new(AtomicU64::new(0)))
        .with_batch_bytes(batch_bytes)
}

/// How long the disk takes to make 4 KiB durable, so many times.
fn syncs(path: &Path, times: usize) -> Vec<Duration> {
    let mut file = File::create(path).unwrap();
    let sync = |_| {
        let began = Instant::now();
        file.write_all(&[7; 4096]).unwrap();
        file.sync_data().unwrap();
        began.elapsed()
    };
    (0..times).map(sync).collect()
}
