//! The service on a disk that is slow, fails to sync, or takes no writes (F05, F09, F10).

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use aggregate::data_directory::directory_disk;
use aggregate::disk::{Disk, DiskBytes, DiskFile, DiskLock};
use serde_json::{Value, json};
use service::engine::{EngineOptions, State};

use crate::support::{Answer, Server, call, catalog, request};

/// What the disk does.
#[derive(Debug, Default)]
pub(crate) struct Moods {
    /// Milliseconds that a sync of the ledger takes.
    pub(crate) sync_ms: AtomicU64,
    syncs: AtomicU64,
    fails_to_sync: AtomicBool,
    is_read_only: AtomicBool,
}

#[derive(Clone, Debug)]
pub(crate) struct MoodyDisk {
    disk: Arc<dyn Disk>,
    moods: Arc<Moods>,
}

impl MoodyDisk {
    pub(crate) fn on(place: &Path) -> (Arc<dyn Disk>, Arc<Moods>) {
        let moods = Arc::new(Moods::default());
        (Arc::new(Self { disk: directory_disk(place), moods: Arc::clone(&moods) }), moods)
    }

    fn written(&self, name: &str, file: Box<dyn DiskFile>) -> Box<dyn DiskFile> {
        let is_ledger = name.ends_with(".epochs");
        Box::new(MoodyFile { file, moods: Arc::clone(&self.moods), is_ledger })
    }

    fn check(&self) -> io::Result<()> {
        let is_read_only = self.moods.is_read_only.load(Ordering::SeqCst);
        if is_read_only { Err(io::ErrorKind::ReadOnlyFilesystem.into()) } else { Ok(()) }
    }
}

impl Disk for MoodyDisk {
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.check()?;
        Ok(self.written(name, self.disk.create(name)?))
    }

    fn append(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        self.check()?;
        Ok(self.written(name, self.disk.append(name)?))
    }

    fn open(&self, name: &str) -> io::Result<Arc<dyn DiskBytes>> {
        self.disk.open(name)
    }

    fn list(&self, directory: &str) -> io::Result<Vec<String>> {
        self.disk.list(directory)
    }

    fn create_directory(&self, name: &str) -> io::Result<()> {
        self.disk.create_directory(name)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn rename_new(&self, from: &str, to: &str) -> io::Result<()> {
        self.disk.rename_new(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.disk.remove(name)
    }

    fn cut(&self, name: &str, length: u64) -> io::Result<()> {
        self.check()?;
        self.disk.cut(name, length)
    }

    fn sync_directory(&self, name: &str) -> io::Result<()> {
        self.disk.sync_directory(name)
    }

    fn lock(&self, name: &str) -> io::Result<Box<dyn DiskLock>> {
        self.disk.lock(name)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.disk.path(name)
    }
}

#[derive(Debug)]
struct MoodyFile {
    file: Box<dyn DiskFile>,
    moods: Arc<Moods>,
    is_ledger: bool,
}

impl Write for MoodyFile {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        if self.moods.is_read_only.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        self.file.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl DiskFile for MoodyFile {
    fn sync(&mut self) -> io::Result<()> {
        if self.is_ledger {
            std::thread::sleep(Duration::from_millis(self.moods.sync_ms.load(Ordering::SeqCst)));
            if self.moods.fails_to_sync.load(Ordering::SeqCst) {
                return Err(io::Error::other("the disk is broken"));
            }
            self.moods.syncs.fetch_add(1, Ordering::SeqCst);
        }
        self.file.sync()
    }
}

async fn send(server: &Server, events: Vec<Value>) -> Answer {
    let headers = [("content-type", "application/cloudevents-batch+json")];
    request(server.address, "POST", "/v1/events", &headers, &Value::from(events).to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn f10_on_a_slow_disk_answers_wait_for_the_sync_and_what_waits_is_bounded() {
    let place = tempfile::tempdir().unwrap();
    let (disk, moods) = MoodyDisk::on(place.path());
    let options = EngineOptions { waiting_bytes_max: 4_000, ..EngineOptions::default() };
    let server = Arc::new(Server::start_on(&disk, &catalog(true), 1, options).await);
    server.count(vec![call(0)]).await;
    moods.sync_ms.store(400, Ordering::SeqCst);
    let clients: Vec<_> = (1..60)
        .map(|number| {
            let (server, moods) = (Arc::clone(&server), Arc::clone(&moods));
            tokio::spawn(async move {
                let before = moods.syncs.load(Ordering::SeqCst);
                let answer = send(&server, vec![call(number)]).await;
                (answer.status, answer, moods.syncs.load(Ordering::SeqCst) - before)
            })
        })
        .collect();
    let (mut counted, mut refused) = (0, 0);
    for client in clients {
        match client.await.unwrap() {
            (200, _, syncs) => {
                assert!(syncs > 0, "an answer before the sync");
                counted += 1;
            }
            (503, answer, _) => {
                assert_eq!(answer.json()["code"], "overloaded");
                refused += 1;
            }
            (status, answer, _) => panic!("{status}: {}", answer.text),
        }
    }
    assert!(counted > 0 && refused > 0, "{counted} counted, {refused} refused");
    moods.sync_ms.store(0, Ordering::SeqCst);
    // Those who were refused send again.
    let (mut accepted, mut duplicate) = (0, 0);
    for first in (0..60).step_by(10) {
        let again = server.count((first..first + 10).map(call).collect()).await;
        accepted += again["accepted"].as_u64().unwrap();
        duplicate += again["duplicate"].as_u64().unwrap();
    }
    assert_eq!((accepted, duplicate), (refused, counted + 1));
    Arc::into_inner(server).unwrap().stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f05_after_a_failed_sync_nothing_is_said_to_be_counted_and_a_new_start_counts_once() {
    let place = tempfile::tempdir().unwrap();
    let (disk, moods) = MoodyDisk::on(place.path());
    let server = Server::start_on(&disk, &catalog(true), 1, EngineOptions::default()).await;
    server.count(vec![call(1)]).await;
    moods.fails_to_sync.store(true, Ordering::SeqCst);
    let answer = send(&server, vec![call(2)]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("stopped")));
    moods.fails_to_sync.store(false, Ordering::SeqCst);
    // It is not tried again, whatever the disk would say.
    let answer = send(&server, vec![call(3)]).await;
    assert_eq!((answer.status, &answer.json()["code"]), (503, &json!("stopped")));
    assert!(matches!(server.engine.progress().borrow().state, State::Stopped(_)));
    assert_eq!(server.get("/readyz").await.status, 503);
    server.stop().await;
    let server = Server::start(place.path()).await;
    let again = server.count(vec![call(1), call(2), call(3), call(2)]).await;
    let counts = ["accepted", "duplicate"].map(|count| again[count].as_u64().unwrap());
    // The second one may have reached the disk, and nobody was told.
    assert!(counts == [2, 2] || counts == [1, 3], "{again}");
    assert_eq!(again["verdicts"][0], "duplicate");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn f09_a_disk_that_takes_no_writes_stops_the_service_and_what_was_counted_stays() {
    let place = tempfile::tempdir().unwrap();
    let (disk, moods) = MoodyDisk::on(place.path());
    let server = Server::start_on(&disk, &catalog(true), 1, EngineOptions::default()).await;
    server.count(vec![call(1)]).await;
    moods.is_read_only.store(true, Ordering::SeqCst);
    assert_eq!(send(&server, vec![call(2)]).await.status, 503);
    assert_eq!(server.get("/readyz").await.json()["reason"], "stopped");
    assert_eq!(server.get("/healthz").await.status, 200);
    server.stop().await;
    let server = Server::start(place.path()).await;
    let again = server.count(vec![call(1), call(2)]).await;
    assert_eq!(again["verdicts"], json!(["duplicate", "accepted"]));
    server.stop().await;
}
