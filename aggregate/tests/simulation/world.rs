//! A world: a machine, a program, clients, and what goes wrong, all from a seed.
//!
//! Processes run one after the other, each with its faults, until the last, which has none: it must come back, take
//! everything that clients still send, and end with every event answered. The auditor looks whenever a recovery is
//! done, and at what a loss of power would leave whenever clients are answered.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::auditor::{Auditor, Files, Tail, last_marker};
use crate::disk::{Call, Crash, CrashKind, DiskError, Effect, Faults, Machine, SimDisk, Space, Survival};
use crate::history::{Answer, Event, FILE, Sent, Verdict};
use crate::random::Random;
use crate::subject::{Batch, Process, Program, Stop, Work};
use crate::workload::Workload;

/// The most handles of files a process may hold at once.
const HELD_MAX: usize = 64;

/// Calls before a failure that are shown.
const CALLS_SHOWN: usize = 40;

/// What the processes before the last meet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Seed of the events and of what processes do.
    pub(crate) seed: u64,
    pub(crate) size: Size,
    pub(crate) processes: Vec<ProcessPlan>,
}

/// How much clients send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Size {
    /// Few events, of which processes take some.
    #[default]
    Small,
    /// Events of 200 identities; every process goes on until all are answered.
    Large,
}

impl Size {
    fn identities(self, random: &mut Random) -> usize {
        match self {
            Self::Small => 20 + random.below(41),
            Self::Large => 200,
        }
    }

    /// The most events that are sent together.
    const fn batch_events_max(self) -> usize {
        match self {
            Self::Small => 8,
            Self::Large => 40,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct ProcessPlan {
    pub(crate) faults: Faults,
    /// What is done to the machine when the process is done.
    pub(crate) end: End,
    /// Damage to a file before it starts: a choice of file, offset and bit.
    pub(crate) damage: Option<u64>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    Close,
    Crash(CrashKind),
}

/// How it went.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ran {
    pub(crate) epochs: usize,
    pub(crate) events: usize,
    /// Calls of each process.
    pub(crate) calls: Vec<Vec<Call>>,
    /// Processes that met a fault.
    pub(crate) faults: usize,
}

impl Plan {
    /// The plan of a seed.
    pub(crate) fn random(seed: u64) -> Self {
        let mut random = Random::new(seed ^ 0x5eed);
        let processes = (0..=random.below(3)).map(|_| ProcessPlan::random(&mut random)).collect();
        Self { seed, size: Size::Small, processes }
    }
}

impl ProcessPlan {
    /// Nothing goes wrong.
    pub(crate) fn calm() -> Self {
        Self { faults: Faults::default(), end: End::Close, damage: None }
    }

    pub(crate) fn with(faults: Faults) -> Self {
        Self { faults, ..Self::calm() }
    }

    fn random(random: &mut Random) -> Self {
        let mut faults = Faults::default();
        let kind = |random: &mut Random| match random.below(8) {
            0..=2 => CrashKind::Kill,
            3 => CrashKind::PowerLoss(Survival::Nothing),
            4 => CrashKind::PowerLoss(Survival::Everything),
            _ => CrashKind::PowerLoss(Survival::Some(random.next())),
        };
        let call = |random: &mut Random| {
            let limit = random.pick(&[&60, &250, &1000]);
            random.below(*limit) as u64
        };
        if !random.once_in(4) {
            let effect = [Effect::None, Effect::Part, Effect::Whole][random.below(3)];
            faults.crash = Some(Crash { call: call(random), effect, kind: kind(random) });
        }
        if random.once_in(4) {
            for _ in 0..=random.below(2) {
                faults.errors.insert(call(random), DiskError::ALL[random.below(DiskError::ALL.len())]);
            }
        }
        if random.once_in(10) {
            let until = call(random) + call(random);
            faults.space = Some(Space { bytes: random.below(400_000), until });
        }
        let end = if random.once_in(3) { End::Crash(kind(random)) } else { End::Close };
        let damage = random.once_in(8).then(|| random.next());
        if damage.is_some() {
            // One thing at a time: what a crash leaves of a damaged file proves nothing.
            faults = Faults::default();
        }
        Self { faults, end, damage }
    }
}

/// Runs a plan; what failed, with the last calls.
pub(crate) fn run<P: Program>(program: &P, plan: &Plan) -> Result<Ran, String> {
    let mut world = World::new(program, plan);
    let result = world.live_through(&plan.processes).and_then(|()| world.finish());
    world.tell(plan, result)
}

/// Clients and a machine, while plans are carried out.
pub(crate) struct World<'a, P: Program> {
    program: &'a P,
    seed: u64,
    size: Size,
    machine: Machine,
    auditor: Auditor,
    history: Vec<Sent>,
    /// Pushed events, and whether there was an answer.
    pushed: Vec<(Arc<Event>, bool)>,
    lines: Vec<Arc<Event>>,
    line_ends: Vec<u64>,
    /// Lines that clients know to be counted, and those that were sent.
    lines_done: usize,
    lines_sent: usize,
    now: i64,
    ran: Ran,
    /// Bits that were turned around.
    damaged: Vec<String>,
}

/// How a process of the program did.
enum Ended {
    InOrder,
    Stopped(Stop),
}

/// What was sent since the last commit.
#[derive(Default)]
struct Pending {
    /// Positions in the history, positions among the pushed, and verdicts.
    verdicts: Vec<(usize, Option<usize>, Verdict)>,
    /// Lines sent.
    lines: usize,
}

impl<'a, P: Program> World<'a, P> {
    /// The world of a plan, before its first process.
    pub(crate) fn new(program: &'a P, plan: &Plan) -> Self {
        let Plan { seed, size, .. } = *plan;
        let mut random = Random::new(seed);
        let identities = size.identities(&mut random);
        let workload = Workload::new(&mut random, identities);
        Self {
            program,
            seed,
            size,
            machine: Machine::new(seed),
            auditor: Auditor::default(),
            history: Vec::new(),
            line_ends: workload.line_ends(),
            pushed: workload.pushed.into_iter().map(|event| (event, false)).collect(),
            lines: workload.lines,
            lines_done: 0,
            lines_sent: 0,
            now: 1_800_000_000_000_000,
            ran: Ran::default(),
            damaged: Vec::new(),
        }
    }

    /// A world of its own that goes on from here.
    pub(crate) fn fork(&self) -> Self {
        Self {
            program: self.program,
            seed: self.seed,
            size: self.size,
            machine: self.machine.fork(),
            auditor: self.auditor.clone(),
            history: self.history.clone(),
            pushed: self.pushed.clone(),
            lines: self.lines.clone(),
            line_ends: self.line_ends.clone(),
            lines_done: self.lines_done,
            lines_sent: self.lines_sent,
            now: self.now,
            ran: self.ran.clone(),
            damaged: self.damaged.clone(),
        }
    }

    /// The files as processes see them, and what clients sent.
    pub(crate) fn evidence(&self) -> (Files, Vec<Sent>) {
        (self.machine.files(), self.history.clone())
    }

    /// How it went, or what failed after which calls.
    pub(crate) fn tell(self, plan: &Plan, result: Result<(), String>) -> Result<Ran, String> {
        let Err(what) = result else { return Ok(self.ran) };
        let calls = self.machine.calls();
        let mut text = format!("{what}\n\nplan: {plan:?}\n\ndamaged: {:?}\n\nlast calls:\n", self.damaged);
        for call in &calls[calls.len().saturating_sub(CALLS_SHOWN)..] {
            let _ = writeln!(text, "  {call}");
        }
        Err(text)
    }

    /// Processes, one after the other.
    pub(crate) fn live_through(&mut self, processes: &[ProcessPlan]) -> Result<(), String> {
        for process in processes {
            let number = self.ran.calls.len() as u64;
            let mut random = Random::new(self.seed.wrapping_mul(0x9e37_79b9).wrapping_add(number));
            self.run_process(process, &mut random, self.size == Size::Large)
                .map_err(|what| format!("process {number}: {what}"))?;
        }
        Ok(())
    }

    /// The last process, and one that looks at what it left.
    pub(crate) fn finish(&mut self) -> Result<(), String> {
        let calm = ProcessPlan::calm();
        self.run_process(&calm, &mut Random::new(self.seed ^ 0xca1), true)
            .map_err(|what| format!("the last process: {what}"))?;
        if self.has_answered() {
            let calm = ProcessPlan::calm();
            // What is closed in order loses nothing with the power.
            let end = End::Crash(CrashKind::PowerLoss(Survival::Nothing));
            self.run_process(&ProcessPlan { end, ..calm }, &mut Random::new(0), true)
                .map_err(|what| format!("opened again: {what}"))?;
            return self.audit(Tail::Torn);
        }
        let unanswered = self.pushed.iter().filter(|(_, is_answered)| !is_answered).count();
        Err(format!("{unanswered} events are not answered, {} lines read", self.lines_done))
    }

    /// Was every event answered, and every line read?
    fn has_answered(&self) -> bool {
        self.pushed.iter().all(|(_, is_answered)| *is_answered) && self.lines_done == self.lines.len()
    }

    fn run_process(&mut self, plan: &ProcessPlan, random: &mut Random, is_last: bool) -> Result<(), String> {
        let damaged = plan.damage.and_then(|choice| self.damage(&mut Random::new(choice)));
        self.damaged.extend(damaged.as_ref().map(|(what, _)| what.clone()));
        let disk = self.machine.start(plan.faults.clone());
        self.now += i64::try_from(random.below(3_600_000_000)).unwrap_or(0);
        let ended = self.live(&disk, random, is_last, damaged.is_some(), plan.end)?;
        self.ran.calls.push(disk.calls());
        self.ran.faults += usize::from(disk.faults_met() > 0);
        if disk.held_most() > HELD_MAX {
            return Err(format!("{} handles held at once", disk.held_most()));
        }
        if disk.is_running() {
            match (&ended, plan.end) {
                (Ended::InOrder, End::Crash(kind)) => self.machine.crash(&disk, kind),
                _ => self.machine.crash(&disk, CrashKind::Kill),
            }
        }
        if let Some((_, file)) = damaged {
            self.machine.flip_back(file);
        }
        let is_excused = match &ended {
            Ended::InOrder => true,
            Ended::Stopped(Stop::Corrupt(_)) => damaged.is_some(),
            Ended::Stopped(Stop::Failed(_)) => disk.faults_met() > 0 || damaged.is_some(),
            Ended::Stopped(Stop::Busy) => false,
        };
        match ended {
            Ended::Stopped(stop) if !is_excused => Err(format!("stopped without a reason: {stop:?}")),
            _ => Ok(()),
        }
    }

    /// Lets a process work until it is done or stops.
    fn live(
        &mut self,
        disk: &SimDisk,
        random: &mut Random,
        is_last: bool,
        is_damaged: bool,
        end: End,
    ) -> Result<Ended, String> {
        let mut process = match self.program.open(disk, self.now) {
            Ok(process) => process,
            Err(stop) => return Ok(Ended::Stopped(stop)),
        };
        if disk.is_running() && !is_damaged {
            self.audit(Tail::Whole).map_err(|what| format!("after the recovery: {what}"))?;
            // What was recovered is built on.
            self.audit_without_power().map_err(|what| format!("without power after the recovery: {what}"))?;
        }
        self.seek(&process)?;
        let mut pending = Pending::default();
        let had_answered = self.has_answered();
        let mut steps = if is_last { usize::MAX } else { 3 + random.below(25) };
        while steps > 0 {
            steps -= 1;
            self.now += i64::try_from(random.below(60_000_000)).unwrap_or(0);
            let is_sent = self.pushed.iter().all(|(_, is_answered)| *is_answered)
                && self.lines_sent == self.lines.len();
            if is_last && is_sent && pending.verdicts.is_empty() {
                break;
            }
            let choice = random.below(20);
            let done = match choice {
                0..=9 => self.push(&mut process, &mut pending, random),
                10..=12 => self.read(&mut process, &mut pending, random),
                13..=16 if pending.verdicts.is_empty() && !random.once_in(8) => Ok(()),
                13..=16 => self.commit(disk, &mut process, &mut pending, !random.once_in(4), is_damaged)?,
                17..=18 => match process.maintain(Work::ALL[random.below(Work::ALL.len())], self.now) {
                    // What is not done now can be done later.
                    Err(Stop::Failed(_)) if disk.is_running() && random.once_in(2) => Ok(()),
                    done => done,
                },
                _ => {
                    self.intrude(disk)?;
                    Ok(())
                }
            };
            if let Err(stop) = done {
                // Who failed to decide or commit must not answer any more.
                if choice < 17 && disk.is_running() && process.commit(true, self.now).is_ok() {
                    return Err(format!("commits after it stopped: {stop:?}"));
                }
                return Ok(Ended::Stopped(stop));
            }
        }
        let mut finish = || {
            if is_last {
                if let Err(stop) = self.commit(disk, &mut process, &mut pending, true, is_damaged)? {
                    return Ok(Some(stop));
                }
                for work in Work::ALL.into_iter().filter(|_| !had_answered) {
                    if let Err(stop) = process.maintain(work, self.now) {
                        return Ok(Some(stop));
                    }
                }
            }
            Ok::<_, String>(None)
        };
        if let Some(stop) = finish()? {
            return Ok(Ended::Stopped(stop));
        }
        if let End::Close = end
            && let Err(stop) = process.close()
        {
            return Ok(Ended::Stopped(stop));
        }
        if disk.is_running() && !is_damaged {
            // The last marker may be there in part, where it was a fault that met it: the next start cuts it.
            let is_whole = is_last && disk.faults_met() == 0;
            self.audit(if is_whole { Tail::Whole } else { Tail::Torn })
                .map_err(|what| format!("after the end: {what}"))?;
        }
        Ok(Ended::InOrder)
    }

    /// Goes on in the file where the process says.
    fn seek(&mut self, process: &P::Process) -> Result<(), String> {
        let position = process.file_position();
        let lines = self.line_ends.iter().take_while(|end| **end <= position).count();
        let is_end_of_line = position == 0 || self.line_ends.get(lines.wrapping_sub(1)) == Some(&position);
        if !is_end_of_line || lines < self.lines_done {
            let done = self.lines_done;
            return Err(format!("{FILE} is to be read from {position} on, line {lines}, after {done} lines"));
        }
        (self.lines_done, self.lines_sent) = (lines, lines);
        Ok(())
    }

    fn push(
        &mut self,
        process: &mut P::Process,
        pending: &mut Pending,
        random: &mut Random,
    ) -> Result<(), Stop> {
        let mut chosen = Vec::new();
        let start = random.below(self.pushed.len().max(1));
        for at in (start..self.pushed.len()).chain(0..start) {
            // Now and then a client does not wait for its answer, or sends again what it has one to.
            let is_sent = self.pushed[at].1 || pending.verdicts.iter().any(|(_, sent, _)| *sent == Some(at));
            if chosen.len() < self.size.batch_events_max() && (!is_sent || random.once_in(12)) {
                chosen.push(at);
            }
        }
        let events = chosen.iter().map(|at| Arc::clone(&self.pushed[*at].0)).collect();
        let first = self.history.len();
        let sent = chosen.iter().map(|at| Arc::clone(&self.pushed[*at].0));
        self.history.extend(sent.map(|event| Sent { event, end: None, answer: Answer::None }));
        let verdicts = process.send(&Batch { events, place: None })?;
        let places = (first..).zip(chosen).zip(verdicts);
        pending.verdicts.extend(places.map(|((sent, at), verdict)| (sent, Some(at), verdict)));
        Ok(())
    }

    fn read(
        &mut self,
        process: &mut P::Process,
        pending: &mut Pending,
        random: &mut Random,
    ) -> Result<(), Stop> {
        let from = self.lines_sent;
        let to = self.lines.len().min(from + 1 + random.below(self.size.batch_events_max()));
        if from == to {
            return Ok(());
        }
        let offset = |line: usize| line.checked_sub(1).map_or(0, |before| self.line_ends[before]);
        let place = Some((offset(from), offset(to), to == self.lines.len()));
        let first = self.history.len();
        let lines = self.lines[from..to].iter().zip(&self.line_ends[from..to]);
        let sent = lines.map(|(event, end)| Sent {
            event: Arc::clone(event),
            end: Some(*end),
            answer: Answer::None,
        });
        self.history.extend(sent);
        let verdicts = process.send(&Batch { events: self.lines[from..to].to_vec(), place })?;
        pending.verdicts.extend((first..).zip(verdicts).map(|(sent, verdict)| (sent, None, verdict)));
        (self.lines_sent, pending.lines) = (to, pending.lines + to - from);
        Ok(())
    }

    /// Commits, answers clients, and looks at what a loss of power would leave.
    fn commit(
        &mut self,
        disk: &SimDisk,
        process: &mut P::Process,
        pending: &mut Pending,
        is_accrued: bool,
        is_damaged: bool,
    ) -> Result<Result<(), Stop>, String> {
        let result = process.commit(is_accrued, self.now);
        if result.is_err() {
            return Ok(result);
        }
        if !disk.is_running() {
            // It ended where nothing was left to do, and nobody heard of it.
            return Ok(Err(Stop::Failed("ended".to_owned())));
        }
        let Pending { verdicts, lines } = std::mem::take(pending);
        self.lines_done += lines;
        for (sent, pushed, verdict) in verdicts {
            self.history[sent].answer = Answer::Told(verdict);
            if let Some(at) = pushed {
                self.pushed[at].1 = true;
            }
        }
        if !is_damaged {
            self.audit_without_power().map_err(|what| format!("without power after a commit: {what}"))?;
        }
        Ok(result)
    }

    /// Another process must be kept out, and change nothing.
    fn intrude(&mut self, disk: &SimDisk) -> Result<(), String> {
        let other = self.machine.start(Faults::default());
        let opened = self.program.open(&other, self.now);
        self.machine.crash(&other, CrashKind::Kill);
        match opened {
            Err(Stop::Busy) => Ok(()),
            _ if !disk.is_running() => Ok(()),
            Err(stop) => Err(format!("a second process was not kept out by the lock: {stop:?}")),
            Ok(_) => Err("a second process was not kept out".to_owned()),
        }
    }

    /// Turns a bit around somewhere; not in what may be taken for the tail of a segment.
    fn damage(&self, random: &mut Random) -> Option<(String, u64)> {
        let files = self.machine.files();
        let mut places: Vec<(&String, usize)> = Vec::new();
        for (name, bytes) in &files {
            let durable = self.machine.durable_length(name).min(bytes.len());
            let end =
                if name.ends_with(".epochs") { last_marker(&bytes[..durable]).unwrap_or(0) } else { durable };
            if end > 0 {
                places.push((name, end));
            }
        }
        if places.is_empty() {
            return None;
        }
        let (name, end) = places[random.below(places.len())];
        let (offset, bit) = (random.below(end), u32::try_from(random.below(8)).unwrap_or(0));
        let what = format!("bit {bit} of byte {offset} of {name}");
        Some((what, self.machine.flip(name, offset, bit)))
    }

    /// Looks at what a loss of power would leave: from here on it is never lost.
    fn audit_without_power(&mut self) -> Result<(), String> {
        let files = self.machine.files_without_power(Survival::Nothing);
        let epochs = self.auditor.audit(&files, &self.history, Tail::Torn)?;
        self.auditor.acknowledge(&epochs);
        Ok(())
    }

    fn audit(&mut self, tail: Tail) -> Result<(), String> {
        let epochs = self.auditor.audit(&self.machine.files(), &self.history, tail)?;
        (self.ran.epochs, self.ran.events) = (epochs.len(), self.history.len());
        Ok(())
    }
}
