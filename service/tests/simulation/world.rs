//! A world: a machine, services on it one after the other, clients and readers, and what goes wrong, all from a seed.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::client::Client;
use crate::machine::disk::{Crash, CrashKind, DiskError, Effect, Faults, Machine, Space, Survival};
use crate::oracle;
use crate::random::Random;
use crate::reader::Reader;
use crate::service_process::{Requests, ServiceProcess};

/// Processes without faults that may be needed until everything is answered.
const CALM_PROCESSES_MAX: usize = 3;

/// What runs came to.
#[derive(Default)]
pub(crate) struct Ran {
    runs: usize,
    processes: usize,
    faults: usize,
    events: usize,
    unheard: usize,
    refused: usize,
    rated: usize,
    accruals: usize,
}

impl Ran {
    pub(crate) fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.processes += other.processes;
        self.faults += other.faults;
        self.events += other.events;
        self.unheard += other.unheard;
        self.refused += other.refused;
        self.rated += other.rated;
        self.accruals += other.accruals;
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { runs, processes, faults, events, unheard, refused, rated, accruals } = self;
        write!(
            formatter,
            "{runs} runs, {processes} processes, {faults} of them with faults, {events} events sent, "
        )?;
        write!(formatter, "{unheard} requests without an answer, {refused} refused, ")?;
        write!(formatter, "{rated} rated and {accruals} accruals read")
    }
}

/// Who is there besides the machine.
struct People {
    clients: Vec<Client>,
    rated: Reader,
    accruals: Reader,
}

impl People {
    fn is_done(&self) -> bool {
        self.clients.iter().all(Client::is_done)
    }
}

/// Runs the world of a seed; what failed.
pub(crate) fn run(seed: u64) -> Result<Ran, String> {
    let mut random = Random::new(seed ^ 0xc11e);
    let machine = Machine::new(seed);
    let runtime = Builder::new_current_thread().enable_time().build().unwrap();
    let mut people = People {
        clients: (0..2 + random.below(3)).map(|number| Client::new(number, &mut random)).collect(),
        rated: Reader::new("/v1/rated"),
        accruals: Reader::new("/v1/accruals"),
    };
    let mut ran = Ran { runs: 1, ..Ran::default() };
    for _ in 0..=random.below(4) {
        let faults = faults(&mut random);
        let end = random.once_in(2).then(|| crash_kind(&mut random));
        people = live(&runtime, &machine, people, faults, end, &mut random, &mut ran)?;
    }
    for _ in 0..CALM_PROCESSES_MAX {
        people = live(&runtime, &machine, people, Faults::default(), None, &mut random, &mut ran)?;
        if people.is_done() {
            break;
        }
    }
    if !people.is_done() {
        return Err("events are never counted".to_owned());
    }
    // The last accruals are there since the last process ended.
    let disk = machine.start(Faults::default());
    let process = ServiceProcess::start(&disk, 1 << 20)?;
    let mut again = [Reader::new("/v1/rated"), Reader::new("/v1/accruals")];
    let [all_rated, all_accruals] = &mut again;
    for reader in [&mut people.rated, &mut people.accruals, all_rated, all_accruals] {
        runtime.block_on(reader.read_to_the_end(&process.requests))?;
    }
    process.end();
    oracle::check(&people.clients, &people.rated, &people.accruals)?;
    if again[0].events != people.rated.events || again[1].events != people.accruals.events {
        return Err("who reads from the first row has other events".to_owned());
    }
    ran.events = people.clients.iter().flat_map(Client::events).count();
    ran.unheard = people.clients.iter().map(|client| client.unheard).sum();
    ran.refused = people.clients.iter().map(|client| client.refused).sum();
    (ran.rated, ran.accruals) = (people.rated.events.len(), people.accruals.events.len());
    Ok(ran)
}

/// Lets a process live, with everybody around it.
fn live(
    runtime: &Runtime,
    machine: &Machine,
    people: People,
    faults: Faults,
    end: Option<CrashKind>,
    random: &mut Random,
    ran: &mut Ran,
) -> Result<People, String> {
    let disk = machine.start(faults);
    ran.processes += 1;
    // Of a few requests, or of all.
    let waiting_bytes_max = if random.once_in(3) { 5_000 } else { 1 << 20 };
    let people = match ServiceProcess::start(&disk, waiting_bytes_max) {
        Ok(process) => {
            let people = runtime.block_on(meet(people, &process.requests))?;
            if let Some(kind) = end {
                machine.crash(&disk, kind);
            }
            process.end();
            people
        }
        Err(what) if disk.faults_met() == 0 => return Err(format!("it does not start: {what}")),
        Err(_) => people,
    };
    ran.faults += usize::from(disk.faults_met() > 0 || end.is_some());
    // Whatever is left of it, it holds nothing any more.
    machine.crash(&disk, CrashKind::Kill);
    Ok(people)
}

/// Everybody does what they do until the process does not answer any more, or clients have nothing to send.
async fn meet(people: People, requests: &Requests) -> Result<People, String> {
    let People { clients, rated, accruals } = people;
    let sending = Arc::new(AtomicUsize::new(clients.len()));
    let mut tasks = JoinSet::new();
    for client in clients {
        let (requests, sending) = (requests.clone(), Arc::clone(&sending));
        tasks.spawn(async move {
            let client = client.run(requests).await;
            sending.fetch_sub(1, Ordering::SeqCst);
            client
        });
    }
    let is_over = || {
        let sending = Arc::clone(&sending);
        move || sending.load(Ordering::SeqCst) == 0
    };
    let (rated, accruals) =
        tokio::join!(rated.run(requests.clone(), is_over()), accruals.run(requests.clone(), is_over()));
    let mut clients = Vec::new();
    while let Some(client) = tasks.join_next().await {
        clients.push(client.map_err(|error| error.to_string())??);
    }
    Ok(People { clients, rated: rated?, accruals: accruals? })
}

/// What goes wrong for a process, as in the simulation of the ledger.
fn faults(random: &mut Random) -> Faults {
    let mut faults = Faults::default();
    let call = |random: &mut Random| {
        let limit = [60, 300, 1_500][random.below(3)];
        random.below(limit) as u64
    };
    if !random.once_in(4) {
        let effect = [Effect::None, Effect::Part, Effect::Whole][random.below(3)];
        faults.crash = Some(Crash { call: call(random), effect, kind: crash_kind(random) });
    }
    if random.once_in(4) {
        for _ in 0..=random.below(2) {
            faults.errors.insert(call(random), DiskError::ALL[random.below(DiskError::ALL.len())]);
        }
    }
    if random.once_in(10) {
        faults.space = Some(Space { bytes: random.below(400_000), until: call(random) + call(random) });
    }
    faults
}

fn crash_kind(random: &mut Random) -> CrashKind {
    match random.below(8) {
        0..=2 => CrashKind::Kill,
        3 => CrashKind::PowerLoss(Survival::Nothing),
        4 => CrashKind::PowerLoss(Survival::Everything),
        _ => CrashKind::PowerLoss(Survival::Some(random.next())),
    }
}
