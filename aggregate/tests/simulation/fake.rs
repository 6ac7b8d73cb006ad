//! A program as small as the promise allows, in which bugs can be planted: what it gets wrong the auditor must see.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use aggregate::disk::{Disk, DiskFile, DiskLock, read, replace};
use arrow::array::{
    ArrayRef, BinaryArray, Date32Array, Decimal128Array, FixedSizeBinaryArray, Int64Array, RecordBatch,
    StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::auditor::{
    AMOUNT_PLACES, Epoch, Files, KnownFrames, Ledger, QUANTITY_PLACES, Tail, hex, price, read_ledger, round,
    units,
};
use crate::calendar::{DAY, month_start};
use crate::catalog::{Account, METERS, Meter, account};
use crate::disk::SimDisk;
use crate::history::{Event, FILE, Identity, Verdict};
use crate::subject::{Batch, Process, Program, Stop, Work};

/// A planted bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bug {
    AcknowledgesBeforeSync,
    ForgetsToSyncNames,
    TrustsAnUnsyncedTail,
    LeavesATornTail,
    TriesAFailedSyncAgain,
    ForgetsIdentities,
    ForgetsConflicts,
    ReadsTheFileAgain,
    RoundsEveryDay,
    ForgetsRevisions,
    TakesNoLock,
    TakesDamageForATornTail,
}

impl Bug {
    pub(crate) const ALL: [Self; 12] = [
        Self::AcknowledgesBeforeSync,
        Self::ForgetsToSyncNames,
        Self::TrustsAnUnsyncedTail,
        Self::LeavesATornTail,
        Self::TriesAFailedSyncAgain,
        Self::ForgetsIdentities,
        Self::ForgetsConflicts,
        Self::ReadsTheFileAgain,
        Self::RoundsEveryDay,
        Self::ForgetsRevisions,
        Self::TakesNoLock,
        Self::TakesDamageForATornTail,
    ];
}

/// The program, with a bug or without.
#[derive(Debug, Default)]
pub(crate) struct Fake {
    pub(crate) bug: Option<Bug>,
    /// Events by their bytes: it does not parse what it reads back.
    known: Arc<Mutex<BTreeMap<Vec<u8>, Arc<Event>>>>,
    frames: Mutex<KnownFrames>,
}

impl Fake {
    pub(crate) fn with(bug: Bug) -> Self {
        Self { bug: Some(bug), ..Self::default() }
    }
}

/// What a day of a charge is accrued as.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Accrued {
    quantity: i128,
    events: i64,
    exact: i128,
    /// In minor units.
    net: i128,
    cumulative_quantity: i128,
    cumulative: i128,
}

/// Account, meter and day.
type DayKey = (&'static str, &'static str, i64);

/// What is counted so far.
#[derive(Debug, Default)]
struct State {
    counted: BTreeMap<Identity, Vec<u8>>,
    /// Usage of days: quantity and events.
    days: BTreeMap<DayKey, (i128, i64)>,
    /// Revision and content of their accruals.
    accrued: BTreeMap<DayKey, (i64, Accrued)>,
    file_position: u64,
}

/// What an epoch adds.
#[derive(Debug, Default)]
struct Rows {
    sent: Vec<Arc<Event>>,
    verdicts: Vec<Verdict>,
    rated: Vec<(Arc<Event>, &'static Account, &'static Meter, i128, i128)>,
    quarantine: Vec<(Arc<Event>, &'static str)>,
    accruals: Vec<(DayKey, i64, Accrued, Accrued)>,
    /// Where the file was before, and is now.
    read: Option<(u64, u64, bool)>,
}

#[derive(Debug)]
pub(crate) struct FakeProcess {
    disk: SimDisk,
    bug: Option<Bug>,
    _lock: Option<Box<dyn DiskLock>>,
    known: Arc<Mutex<BTreeMap<Vec<u8>, Arc<Event>>>>,
    /// The segment that is written, and how many epochs are in it.
    segment: Option<(Box<dyn DiskFile>, u64)>,
    epoch: u64,
    hash: [u8; 32],
    state: State,
    rows: Rows,
}

const ID: &str = "fake";
const DIRECTORY: &str = "ledger/0";
const SEGMENT_EPOCHS_MAX: u64 = 2;

impl Program for Fake {
    type Process = FakeProcess;

    fn open(&self, disk: &SimDisk, _now: i64) -> Result<FakeProcess, Stop> {
        disk.create_directory(DIRECTORY).map_err(failed)?;
        let lock = match disk.lock("lock") {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.bug != Some(Bug::TakesNoLock) {
                    return Err(Stop::Busy);
                }
                None
            }
            Err(error) => return Err(failed(error)),
        };
        let Ledger { epochs, ends } = recover(disk, self.bug, &mut self.frames.lock().unwrap())?;
        let mut process = FakeProcess {
            disk: disk.clone(),
            bug: self.bug,
            _lock: lock,
            known: Arc::clone(&self.known),
            segment: None,
            epoch: 0,
            hash: *blake3::hash(ID.as_bytes()).as_bytes(),
            state: State::default(),
            rows: Rows::default(),
        };
        if let Some((last, _)) = ends.last_key_value() {
            let first = last.trim_matches(|letter: char| !letter.is_ascii_digit()).rsplit('/').next();
            let first: u64 = first.unwrap_or_default().parse().unwrap();
            let count = epochs.iter().filter(|epoch| epoch.number >= first).count() as u64;
            process.segment = Some((disk.append(last).map_err(failed)?, count));
        }
        for epoch in &epochs {
            process.apply(epoch);
        }
        match self.bug {
            Some(Bug::ForgetsIdentities) => process.state.counted.clear(),
            Some(Bug::ForgetsRevisions) => process.state.accrued.clear(),
            Some(Bug::ReadsTheFileAgain) => process.state.file_position = 0,
            _ => {}
        }
        Ok(process)
    }
}

/// Reads the ledger, and cuts what a crash left.
fn recover(disk: &SimDisk, bug: Option<Bug>, known: &mut KnownFrames) -> Result<Ledger, Stop> {
    let mut files = Files::new();
    for name in disk.list(DIRECTORY).map_err(failed)? {
        let name = format!("{DIRECTORY}/{name}");
        files.insert(name.clone(), read(disk, &name).map_err(failed)?);
    }
    let ledger = match read_ledger(&files, Tail::Torn, known) {
        Err(_) if bug == Some(Bug::TakesDamageForATornTail) => Ledger::default(),
        read => read.map_err(Stop::Corrupt)?,
    };
    for (name, bytes) in &files {
        let end = ledger.ends.get(name).copied();
        match end {
            _ if bug == Some(Bug::LeavesATornTail) => {}
            Some(end) if end < bytes.len() => disk.cut(name, end as u64).map_err(failed)?,
            Some(_) => {}
            None => disk.remove(name).map_err(failed)?,
        }
        if end.is_some() && bug != Some(Bug::TrustsAnUnsyncedTail) {
            disk.append(name).and_then(|mut file| file.sync()).map_err(failed)?;
        }
    }
    if bug != Some(Bug::TrustsAnUnsyncedTail) {
        disk.sync_directory(DIRECTORY).map_err(failed)?;
    }
    Ok(ledger)
}

impl FakeProcess {
    /// Does again what an epoch did.
    fn apply(&mut self, epoch: &Epoch) {
        let content = epoch.contents.iter().find(|content| content.kind == "events");
        let lines: Vec<Vec<u8>> = serde_json::from_slice(&content.unwrap().bytes).unwrap();
        let known = Arc::clone(&self.known);
        for line in lines {
            let event = Arc::clone(&known.lock().unwrap_or_else(PoisonError::into_inner)[&line]);
            self.decide(&event);
        }
        if epoch.document["is_accrued"] == true {
            self.accrue();
        }
        for progress in epoch.document["positions"].as_array().into_iter().flatten() {
            self.state.file_position = progress["to_offset"].as_u64().unwrap_or(0);
        }
        (self.epoch, self.hash, self.rows) = (epoch.number, epoch.hash, Rows::default());
    }

    fn decide(&mut self, event: &Arc<Event>) {
        let verdict = match self.state.counted.get(&event.identity) {
            _ if !event.is_valid() => Verdict::Rejected,
            None => Verdict::Accepted,
            Some(bytes) if *bytes == event.bytes => Verdict::Duplicate,
            Some(_) => Verdict::Conflict,
        };
        self.rows.sent.push(Arc::clone(event));
        self.rows.verdicts.push(verdict);
        match verdict {
            Verdict::Duplicate => {}
            Verdict::Rejected => self.rows.quarantine.push((Arc::clone(event), "rejected")),
            Verdict::Conflict if self.bug == Some(Bug::ForgetsConflicts) => {}
            Verdict::Conflict => self.rows.quarantine.push((Arc::clone(event), "conflict")),
            Verdict::Accepted => self.count(event),
        }
    }

    fn count(&mut self, event: &Arc<Event>) {
        self.state.counted.insert(event.identity.clone(), event.bytes.clone());
        let Some(account) = account(&event.account).filter(|_| event.meters().next().is_some()) else {
            self.rows.quarantine.push((Arc::clone(event), "unrated"));
            return;
        };
        for meter in event.meters() {
            let value = meter.property.and(event.value.as_deref()).unwrap_or("1");
            let quantity = units(value, QUANTITY_PLACES).unwrap();
            let day = event.time.div_euclid(DAY);
            let amount = |state: &State| {
                let of_period = state.period(account.id, meter.id, day);
                let quantity = of_period.iter().map(|(_, (quantity, _))| quantity).sum();
                if of_period.is_empty() { 0 } else { price(&meter.model, quantity).unwrap() }
            };
            let before = amount(&self.state);
            let of_day = self.state.days.entry((account.id, meter.id, day)).or_default();
            *of_day = (of_day.0 + quantity, of_day.1 + 1);
            let amount = amount(&self.state) - before;
            self.rows.rated.push((Arc::clone(event), account, meter, quantity, amount));
        }
    }

    fn accrue(&mut self) {
        let keys: Vec<DayKey> = self.state.days.keys().copied().collect();
        for key in keys {
            let account = account(key.0).unwrap();
            let meter = METERS.iter().find(|meter| meter.id == key.1).unwrap();
            let rounded = |amount| round(amount, account.exponent, account.rounding);
            let (quantity, events) = self.state.days[&key];
            let of_period = self.state.period(key.0, key.1, key.2);
            let until: i128 =
                of_period.iter().filter(|(day, _)| *day <= key.2).map(|(_, (used, _))| used).sum();
            let is_first = of_period.first().is_some_and(|(day, _)| *day == key.2);
            let before = if is_first { 0 } else { price(&meter.model, until - quantity).unwrap() };
            let cumulative = price(&meter.model, until).unwrap();
            let exact = cumulative - before;
            let is_wrong = self.bug == Some(Bug::RoundsEveryDay);
            let net = if is_wrong { rounded(exact) } else { rounded(cumulative) - rounded(before) };
            let now = Accrued { quantity, events, exact, net, cumulative_quantity: until, cumulative };
            let (revision, previous) = self.state.accrued.get(&key).copied().unwrap_or_default();
            if now != previous {
                self.state.accrued.insert(key, (revision + 1, now));
                self.rows.accruals.push((key, revision + 1, previous, now));
            }
        }
    }

    /// Appends the epoch of what was sent.
    fn append(&mut self, is_accrued: bool) -> io::Result<()> {
        let epoch = self.epoch + 1;
        let events: Vec<&[u8]> = self.rows.sent.iter().map(|event| event.bytes.as_slice()).collect();
        let identities = self.rows.verdicts.iter().filter(|verdict| **verdict == Verdict::Accepted).count();
        let contents = [
            ("rated_usage", self.rows.rated.len(), self.rows.rated_table(epoch)),
            ("quarantine", self.rows.quarantine.len(), self.rows.quarantine_table(epoch)),
            ("accruals", self.rows.accruals.len(), self.rows.accrual_table(epoch)),
            ("identities", identities, vec![0; identities * 24]),
            ("events", events.len(), serde_json::to_vec(&events)?),
        ];
        let document = self.rows.document(epoch, &self.hash, is_accrued, &contents);
        let document = serde_json::to_vec(&document)?;
        if self.segment.as_ref().is_none_or(|(_, epochs)| *epochs == SEGMENT_EPOCHS_MAX) {
            let name = format!("{DIRECTORY}/{epoch:020}.epochs");
            let mut file = self.disk.create(&name)?;
            let header =
                json!({"ledger_id": ID, "partition": 0, "first_epoch": epoch, "previous": hex(&self.hash)});
            let header = serde_json::to_vec(&header)?;
            let mut bytes = b"tallybook-ledger\x01\0\0\0".to_vec();
            bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
            bytes.extend(&header);
            bytes.extend(blake3::hash(&header).as_bytes());
            file.write_all(&bytes)?;
            file.sync()?;
            if self.bug != Some(Bug::ForgetsToSyncNames) {
                self.disk.sync_directory(DIRECTORY)?;
            }
            self.segment = Some((file, 0));
        }
        let mut frame = b"EPOC".to_vec();
        let length: usize = contents.iter().map(|(_, _, bytes)| bytes.len()).sum();
        frame.extend(u32::try_from(document.len()).unwrap().to_le_bytes());
        frame.extend((length as u64).to_le_bytes());
        frame.extend(&document);
        frame.extend(contents.iter().flat_map(|(_, _, bytes)| bytes));
        self.hash = *blake3::hash(&document).as_bytes();
        frame.extend(self.hash);
        let Some((file, epochs)) = &mut self.segment else { return Ok(()) };
        file.write_all(&frame)?;
        match self.bug {
            Some(Bug::AcknowledgesBeforeSync) => {}
            Some(Bug::TriesAFailedSyncAgain) => file.sync().or_else(|_| file.sync())?,
            _ => file.sync()?,
        }
        let mut marker = b"SYNC".to_vec();
        marker.extend(epoch.to_le_bytes());
        marker.extend(&self.hash[..16]);
        marker.extend_from_slice(&blake3::hash(&marker).as_bytes()[..4]);
        file.write_all(&marker)?;
        (self.epoch, *epochs) = (epoch, *epochs + 1);
        Ok(())
    }
}

impl Process for FakeProcess {
    fn file_position(&self) -> u64 {
        self.state.file_position
    }

    fn send(&mut self, batch: &Batch) -> Result<Vec<Verdict>, Stop> {
        let before = self.rows.verdicts.len();
        for event in &batch.events {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.insert(event.bytes.clone(), Arc::clone(event));
            drop(known);
            self.decide(event);
        }
        if let Some((from, to, is_end)) = batch.place {
            let (from, ..) = self.rows.read.unwrap_or((from, to, is_end));
            self.rows.read = Some((from, to, is_end));
        }
        Ok(self.rows.verdicts[before..].to_vec())
    }

    fn commit(&mut self, is_accrued: bool, _now: i64) -> Result<(), Stop> {
        if is_accrued {
            self.accrue();
        }
        self.append(is_accrued).map_err(failed)?;
        if let Some((_, to, _)) = self.rows.read {
            self.state.file_position = to;
        }
        self.rows = Rows::default();
        Ok(())
    }

    fn maintain(&mut self, work: Work, _now: i64) -> Result<(), Stop> {
        match work {
            Work::Checkpoint => replace(&self.disk, "checkpoint", &self.epoch.to_le_bytes()).map_err(failed),
            Work::Snapshot | Work::Compact | Work::Remove => Ok(()),
        }
    }

    fn close(self) -> Result<(), Stop> {
        Ok(())
    }
}

impl State {
    /// Days of a charge in the billing period of a day.
    fn period(&self, account: &'static str, meter: &'static str, day: i64) -> Vec<(i64, (i128, i64))> {
        let start = month_start(day);
        let days = self.days.range((account, meter, start)..=(account, meter, start + 30));
        days.map(|((.., day), used)| (*day, *used)).filter(|(day, _)| month_start(*day) == start).collect()
    }
}

impl Rows {
    fn document(
        &self,
        epoch: u64,
        previous: &[u8; 32],
        is_accrued: bool,
        contents: &[(&str, usize, Vec<u8>)],
    ) -> Value {
        let verdicts = |verdict| self.verdicts.iter().filter(|given| **given == verdict).count();
        let in_quarantine = |class| self.quarantine.iter().filter(|(_, found)| *found == class).count();
        let unrated = in_quarantine("unrated");
        let counts = json!({
            "received": self.verdicts.len(), "rated": verdicts(Verdict::Accepted) - unrated, "unrated": unrated,
            "duplicate": verdicts(Verdict::Duplicate), "conflict": verdicts(Verdict::Conflict),
            "rejected": verdicts(Verdict::Rejected), "voided": 0,
        });
        let rated = self.rated.iter().map(|(_, account, _, _, amount)| (account.currency, *amount));
        let accrued = self.accruals.iter().map(|(key, _, old, new)| (currency(key), new.exact - old.exact));
        let posted = self.accruals.iter().map(|(key, _, old, new)| {
            let unit = 10i128.pow(AMOUNT_PLACES - u32::from(account(key.0).unwrap().exponent));
            (currency(key), (new.net - old.net) * unit)
        });
        let contents: Vec<Value> = contents
            .iter()
            .map(|(kind, rows, bytes)| {
                let hash = hex(blake3::hash(bytes).as_bytes());
                json!({"kind": kind, "rows": rows, "bytes": bytes.len(), "hash": hash, "file": null})
            })
            .collect();
        let positions: Vec<Value> = self
            .read
            .iter()
            .map(|(from, to, is_end)| {
                let file = json!({"path": FILE, "bytes": 0, "modified_ns": 0});
                json!({"input": FILE, "file": file, "from_offset": from, "to_offset": to, "to_line": 0, "is_complete": is_end})
            })
            .collect();
        json!({
            "format": 1, "ledger_id": ID, "partition": 0, "epoch": epoch, "previous": hex(previous),
            "positions": positions, "counts": counts,
            "control_totals": [{"counts": counts}],
            "rejected_by_reason": {"any": in_quarantine("rejected")}, "unrated_by_reason": {"any": unrated},
            "rated": money(rated), "accrued": money(accrued), "posted": money(posted),
            "is_accrued": is_accrued, "contents": contents,
        })
    }

    fn rated_table(&self, epoch: u64) -> Vec<u8> {
        let rows = &self.rated;
        table(vec![
            ("source", texts(rows.iter().map(|row| Some(row.0.identity.0.as_str())))),
            ("event_id", texts(rows.iter().map(|row| Some(row.0.identity.1.as_str())))),
            ("event_time", times(rows.iter().map(|row| row.0.time))),
            ("meter_id", texts(rows.iter().map(|row| Some(row.2.id)))),
            ("account_id", texts(rows.iter().map(|row| Some(row.1.id)))),
            ("quantity", decimals(QUANTITY_PLACES, rows.iter().map(|row| row.3))),
            ("amount", decimals(AMOUNT_PLACES, rows.iter().map(|row| row.4))),
            ("currency", texts(rows.iter().map(|row| Some(row.1.currency)))),
            ("legal_entity_id", texts(rows.iter().map(|row| Some(row.1.entity)))),
            ("contract_line_id", texts(rows.iter().map(|row| Some(row.1.line)))),
            ("service_day", dates(rows.iter().map(|row| row.0.time.div_euclid(DAY)))),
            ("billing_period_start", dates(rows.iter().map(|row| month_start(row.0.time.div_euclid(DAY))))),
            ("epoch", numbers(rows.iter().map(|_| epoch))),
        ])
    }

    fn quarantine_table(&self, epoch: u64) -> Vec<u8> {
        let rows = &self.quarantine;
        table(vec![
            ("class", texts(rows.iter().map(|row| Some(row.1)))),
            ("bytes", Arc::new(rows.iter().map(|row| Some(row.0.bytes.as_slice())).collect::<BinaryArray>())),
            ("source", texts(rows.iter().map(|row| Some(row.0.identity.0.as_str())))),
            ("event_id", texts(rows.iter().map(|row| Some(row.0.identity.1.as_str())))),
            ("epoch", numbers(rows.iter().map(|_| epoch))),
        ])
    }

    fn accrual_table(&self, epoch: u64) -> Vec<u8> {
        let rows = &self.accruals;
        let keys: Vec<String> = rows.iter().map(|row| format!("{:?}", row.0)).collect();
        let ids =
            rows.iter().map(|row| blake3::hash(format!("{row:?}").as_bytes()).as_bytes()[..16].to_vec());
        let line = |key: &DayKey| Some(account(key.0).unwrap().line);
        let net = |key: &DayKey, net: i128| net * 10i128.pow(4 - u32::from(account(key.0).unwrap().exponent));
        table(vec![
            ("accrual_key", texts(keys.iter().map(|key| Some(key.as_str())))),
            ("revision", numbers(rows.iter().map(|row| row.1.unsigned_abs()))),
            (
                "accrual_id",
                Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(ids.map(Some), 16).unwrap()),
            ),
            ("entry_kind", texts(rows.iter().map(|row| Some(if row.1 == 1 { "ACCRUE" } else { "TRUE_UP" })))),
            ("contract_line_id", texts(rows.iter().map(|row| line(&row.0)))),
            ("meter_id", texts(rows.iter().map(|row| Some(row.0.1)))),
            ("service_day", dates(rows.iter().map(|row| row.0.2))),
            ("currency", texts(rows.iter().map(|row| Some(currency(&row.0))))),
            ("metered_quantity", decimals(QUANTITY_PLACES, rows.iter().map(|row| row.3.quantity))),
            (
                "delta_metered_quantity",
                decimals(QUANTITY_PLACES, rows.iter().map(|row| row.3.quantity - row.2.quantity)),
            ),
            (
                "cumulative_quantity",
                decimals(QUANTITY_PLACES, rows.iter().map(|row| row.3.cumulative_quantity)),
            ),
            ("event_count", numbers(rows.iter().map(|row| row.3.events.unsigned_abs()))),
            (
                "delta_event_count",
                numbers(rows.iter().map(|row| (row.3.events - row.2.events).unsigned_abs())),
            ),
            ("net_amount_exact", decimals(AMOUNT_PLACES, rows.iter().map(|row| row.3.exact))),
            ("delta_amount_exact", decimals(AMOUNT_PLACES, rows.iter().map(|row| row.3.exact - row.2.exact))),
            ("cumulative_amount_exact", decimals(AMOUNT_PLACES, rows.iter().map(|row| row.3.cumulative))),
            ("net_amount", decimals(4, rows.iter().map(|row| net(&row.0, row.3.net)))),
            ("previous_net_amount", decimals(4, rows.iter().map(|row| net(&row.0, row.2.net)))),
            ("delta_amount", decimals(4, rows.iter().map(|row| net(&row.0, row.3.net - row.2.net)))),
            ("epoch", numbers(rows.iter().map(|_| epoch))),
        ])
    }
}

fn currency(key: &DayKey) -> &'static str {
    account(key.0).unwrap().currency
}

/// Sums by currency, with all decimal places.
fn money(amounts: impl Iterator<Item = (&'static str, i128)>) -> Vec<Value> {
    let mut sums: BTreeMap<&str, i128> = BTreeMap::new();
    amounts.for_each(|(currency, amount)| *sums.entry(currency).or_default() += amount);
    let unit = 10u128.pow(AMOUNT_PLACES);
    let text = |sum: i128| {
        let sign = if sum < 0 { "-" } else { "" };
        format!("{sign}{}.{:018}", sum.unsigned_abs() / unit, sum.unsigned_abs() % unit)
    };
    sums.into_iter().map(|(currency, sum)| json!({"amount": text(sum), "currency": currency})).collect()
}

fn texts<'a>(texts: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(texts.collect::<StringArray>())
}

fn numbers(numbers: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(numbers.map(|number| i64::try_from(number).ok()).collect::<Int64Array>())
}

fn dates(days: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(days.map(|day| i32::try_from(day).ok()).collect::<Date32Array>())
}

fn times(times: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(times.map(Some).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

fn decimals(places: u32, numbers: impl Iterator<Item = i128>) -> ArrayRef {
    let numbers: Decimal128Array = numbers.map(Some).collect();
    Arc::new(numbers.with_precision_and_scale(38, i8::try_from(places).unwrap()).unwrap())
}

fn table(columns: Vec<(&str, ArrayRef)>) -> Vec<u8> {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

#[expect(clippy::needless_pass_by_value, reason = "it is what results are mapped with")]
fn failed(error: io::Error) -> Stop {
    Stop::Failed(error.to_string())
}
