//! The service over real connections: durable batches, single events beside an answer that does nothing, and how long an
//! event waits at a tenth of that load.
//!
//! It prints figures, and asserts no times: they are those of the machine. The service is a process of its own, so that
//! its CPU time is told without that of the clients.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::post;
use criterion::Criterion;

use crate::workload::workload;

const BATCH_EVENTS: usize = 1_000;
const BATCH_CONNECTIONS: usize = 8;
const CONNECTIONS: usize = 64;

/// In place of a status, where the connection ended before there was one.
const LOST: u16 = 0;

/// What clients wait after they were refused.
const IMPATIENCE: Duration = Duration::from_millis(10);

/// Clock ticks of a second in `/proc`.
const TICKS: u64 = 100;

pub(crate) fn bench(_: &mut Criterion) {
    let mut arguments = env::args().skip(1);
    if arguments.any(|argument| !argument.starts_with('-') && !"service".contains(&*argument)) {
        return;
    }
    // A test only shows that it works.
    let is_test = env::args().any(|argument| argument == "--test");
    let workload = workload();
    let place = workload.scratch();
    fs::create_dir_all(&place).unwrap();
    let lines = lines(workload.directory.path(), if is_test { 20_000 } else { usize::MAX });
    let catalog = workload.directory.path().join("workload/catalog");

    let batches: Vec<Vec<u8>> = lines.chunks(BATCH_EVENTS).map(batch).collect();
    let served = Served::start(&place.join("batches"), &catalog);
    let begun = served.cpu_ms();
    let (seconds, _) = load(served.address, BATCH_CONNECTIONS, &batches, None);
    let per_cpu = 1_000 * lines.len() as u64 / (served.cpu_ms() - begun).max(1);
    let per_second = per_second(lines.len(), seconds);
    println!(
        "service/batches={BATCH_EVENTS}/connections={BATCH_CONNECTIONS}: {per_second} events/s, {per_cpu} events per CPU-second"
    );
    drop(served);
    usage(&place.join("usage"), &catalog, &batches, &lines, per_second);
    overload(&place.join("overload"), &catalog, &batches, per_second);
    let run = run_cpu_ms(&place.join("run"), &catalog, &workload.directory.path().join("workload/usage"));
    println!("service/file_job: {} events per CPU-second", 1_000 * crate::workload::EVENTS / run.max(1));

    let single: Vec<Vec<u8>> =
        lines.iter().map(|line| request("application/cloudevents+json", line)).collect();
    let single = &single[..single.len().min(if is_test { 640 } else { 100_000 })];
    let served = Served::start(&place.join("single"), &catalog);
    let (half, rest) = single.split_at(single.len() / 2);
    let (seconds, latencies) = load(served.address, CONNECTIONS, half, None);
    let peak = self::per_second(half.len(), seconds);
    println!("service/single/connections={CONNECTIONS}: {peak} requests/s; {}", shown(latencies));
    let (seconds, latencies) = load(empty_handler(), CONNECTIONS, half, None);
    let empty = self::per_second(half.len(), seconds);
    println!("service/empty/connections={CONNECTIONS}: {empty} requests/s; {}", shown(latencies));
    let pause = Duration::from_micros(10_000_000 * BATCH_CONNECTIONS as u64 / peak.max(1));
    let paced = &rest[..rest.len().min(usize::try_from(peak).unwrap())];
    let (_, latencies) = load(served.address, BATCH_CONNECTIONS, paced, Some(pause));
    println!("service/single/load=tenth: {}", shown(latencies));
    drop(served);
    fs::remove_dir_all(place).unwrap();
}

/// Where a handler that does nothing takes the same requests.
fn empty_handler() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    listener.set_nonblocking(true).unwrap();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_io().build().unwrap();
        runtime.block_on(async {
            let router = Router::new().route("/v1/events", post(async || {}));
            axum::serve(tokio::net::TcpListener::from_std(listener).unwrap(), router).await.unwrap();
        });
    });
    address
}

/// How long `GET /v1/usage` of one account and month takes while events arrive at half the peak.
fn usage(data: &Path, catalog: &Path, batches: &[Vec<u8>], lines: &[String], peak: u64) {
    let field = |line: &str, name: &str| {
        let value: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(value.get(name)?.as_str()?.to_owned())
    };
    let known = lines.iter().find_map(|line| Some((field(line, "subject")?, field(line, "time")?)));
    let (account, time) = known.unwrap();
    let meter = &workload().catalog.meters()[0].id;
    let month = &time[..7];
    let path = format!(
        "/v1/usage?account={account}&meter={meter}&from={month}-01T00:00:00Z&to={month}-28T00:00:00Z&window=day"
    );
    let question = vec![format!("GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n").into_bytes(); 400];
    let served = Served::start(data, catalog);
    let rounds = 2 * batches.len() / BATCH_CONNECTIONS.max(1);
    let pause = Duration::from_micros(2_000_000 * (BATCH_CONNECTIONS * BATCH_EVENTS) as u64 / peak.max(1));
    let asking = pause * u32::try_from(rounds / 2).unwrap() / 400;
    let latencies = thread::scope(|scope| {
        let events = scope.spawn(|| load(served.address, BATCH_CONNECTIONS, batches, Some(pause)));
        let latencies = ask(served.address, question.iter(), Some(asking));
        events.join().unwrap();
        latencies
    });
    println!("service/usage/load=half: {}", shown(latencies));
}

/// What is counted, and how soon others are refused, while ten times as many clients send as there is room for.
fn overload(data: &Path, catalog: &Path, batches: &[Vec<u8>], peak: u64) {
    let longest = batches.iter().map(Vec::len).max().unwrap();
    let room = (BATCH_CONNECTIONS * longest).to_string();
    let served = Served::start_with(data, catalog, &[("TALLYBOOK_LIMITS__WAITING_BYTES_MAX", &room)]);
    let next = AtomicUsize::new(0);
    let (cpu, began) = (served.cpu_ms(), Instant::now());
    let answers: Vec<(u16, Duration)> = thread::scope(|scope| {
        let flood = || {
            let mut answers = Vec::new();
            while let Some(batch) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                loop {
                    let (status, took) = served.send(batch);
                    answers.push((status, took));
                    if status == 200 {
                        break;
                    }
                    // IMPORTANT: they are told to wait for a second, and do not.
                    thread::sleep(IMPATIENCE);
                }
            }
            answers
        };
        let clients: Vec<_> = (0..BATCH_CONNECTIONS * 10).map(|_| scope.spawn(flood)).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    let counted = per_second(batches.len() * BATCH_EVENTS, began.elapsed());
    let per_cpu = 1_000 * (batches.len() * BATCH_EVENTS) as u64 / (served.cpu_ms() - cpu).max(1);
    let of = |wanted: fn(u16) -> bool| {
        answers.iter().filter(|(status, _)| wanted(*status)).map(|(_, took)| *took).collect::<Vec<_>>()
    };
    let (taken, refused, lost) =
        (of(|status| status == 200), of(|status| status > 200), of(|status| status == LOST).len());
    let part = counted * 100 / peak.max(1);
    println!(
        "service/overload: {counted} events/s, {part} % of the peak, {per_cpu} events per CPU-second; {}",
        shown(taken)
    );
    println!("service/overload/refused: {} requests, {lost} lost; {}", refused.len(), shown(refused));
}

fn per_second(number: usize, time: Duration) -> u64 {
    number as u64 * 1_000 / u64::try_from(time.as_millis()).unwrap().max(1)
}

fn shown(mut latencies: Vec<Duration>) -> String {
    if latencies.is_empty() {
        return "none".to_owned();
    }
    latencies.sort_unstable();
    let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_micros();
    format!("{} µs, 1 in 100 over {} µs", at(50), at(99))
}

/// Events of the workload, those that begin like one.
fn lines(workload: &Path, most: usize) -> Vec<String> {
    let mut files: Vec<_> =
        fs::read_dir(workload.join("workload/usage")).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let texts = files.iter().map(|file| fs::read_to_string(file).unwrap());
    let lines: Vec<String> =
        texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>()).collect();
    let whole = |line: &String| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    lines.into_iter().filter(whole).take(most).collect()
}

fn batch(lines: &[String]) -> Vec<u8> {
    request("application/cloudevents-batch+json", &format!("[{}]", lines.join(",")))
}

fn request(kind: &str, body: &str) -> Vec<u8> {
    let mut request = String::new();
    let length = body.len();
    let head = "POST /v1/events HTTP/1.1\r\nhost: bench\r\n";
    write!(request, "{head}content-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
    request.into_bytes()
}

/// CPU time of a run over files.
fn run_cpu_ms(data: &Path, catalog: &Path, usage: &Path) -> u64 {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tallybook"));
    command.args(["run", "--quiet", "--json", "--catalog"]).arg(catalog).arg("--data").arg(data).arg(usage);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let mut cpu = 0;
    while child.try_wait().unwrap().is_none() {
        cpu = cpu_ms(child.id()).unwrap_or(cpu);
        thread::sleep(Duration::from_millis(1));
    }
    cpu
}

fn cpu_ms(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let (user, system): (u64, u64) = (fields.nth(11)?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) * 1_000 / TICKS)
}

/// A service that runs.
struct Served {
    child: Child,
    address: SocketAddr,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Served {
    fn start(data: &Path, catalog: &Path) -> Self {
        Self::start_with(data, catalog, &[])
    }

    fn start_with(data: &Path, catalog: &Path, settings: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tallybook"));
        for (name, _) in env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TALLYBOOK_")) {
            command.env_remove(name);
        }
        command.args(["serve", "--listen", "127.0.0.1:0", "--data"]).arg(data).arg("--catalog").arg(catalog);
        let mut child = command
            .envs([("TALLYBOOK_LOG", "warn"), ("TALLYBOOK_USAGE_DAYS", "3650")])
            .envs(settings.iter().copied())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("//").next().unwrap().parse().unwrap();
        Self { child, address }
    }

    fn cpu_ms(&self) -> u64 {
        cpu_ms(self.child.id()).unwrap()
    }

    /// Sends a request on a connection of its own; the status of its answer, and the time until it was there.
    fn send(&self, request: &[u8]) -> (u16, Duration) {
        let sent = Instant::now();
        let mut stream = TcpStream::connect(self.address).unwrap();
        // Who is refused may not be read to the end.
        let _ = stream.write_all(request);
        (read_answer(&mut BufReader::new(stream)).unwrap_or(LOST), sent.elapsed())
    }
}

/// Sends requests over connections, each as soon as the one before is answered, or with pauses; the time it took,
/// and how long each waited.
fn load(
    address: SocketAddr,
    connections: usize,
    requests: &[Vec<u8>],
    pause: Option<Duration>,
) -> (Duration, Vec<Duration>) {
    let began = Instant::now();
    let latencies = thread::scope(|scope| {
        let clients: Vec<_> = (0..connections)
            .map(|client| {
                let requests = requests.iter().skip(client).step_by(connections);
                scope.spawn(move || ask(address, requests, pause))
            })
            .collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    (began.elapsed(), latencies)
}

fn ask<'a>(
    address: SocketAddr,
    requests: impl Iterator<Item = &'a Vec<u8>>,
    pause: Option<Duration>,
) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut answers = BufReader::new(stream.try_clone().unwrap());
    let mut latencies = Vec::new();
    let mut next = Instant::now();
    for request in requests {
        if let Some(pause) = pause {
            thread::sleep(next.saturating_duration_since(Instant::now()));
            next += pause;
        }
        let sent = Instant::now();
        stream.write_all(request).unwrap();
        let status = read_answer(&mut answers).unwrap();
        latencies.push(sent.elapsed());
        // Events of the workload may be none, or contradict others.
        assert!([200, 409, 422].contains(&status), "{status}");
    }
    latencies
}

/// Reads an answer to its end; its status.
fn read_answer(answers: &mut impl BufRead) -> io::Result<u16> {
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        if answers.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if line.starts_with("HTTP/") {
            status = line.split(' ').nth(1).unwrap().parse().unwrap();
        } else if let Some(text) = line.strip_prefix("content-length: ") {
            length = text.trim().parse().unwrap();
        } else if line == "\r\n" {
            break;
        }
    }
    io::copy(&mut answers.take(length), &mut io::sink())?;
    Ok(status)
}
