//! Quarantined records decided again: with the mended catalog they come to what they would have come to at once, each
//! counted once, however often and in however many steps they are decided.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use aggregate::books::Books;
use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::export::{CommittedUsage, committed_usages};
use aggregate::partition::{Catalogs, Partition, PartitionOptions};
use aggregate::quarantine_rows::quarantine_records;
use aggregate::replay::{Fate, OpenRecord, Replayer, StillOpen};
use aggregate::snapshot::{self, SnapshotTable};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use rating::catalog::Catalog;
use schemas::epoch::{ContentHash, EpochCause, EventCounts, SettledOutcome};
use schemas::meter::Aggregation;
use schemas::quarantine::{QuarantineClass, QuarantineRecord, UnratedReason};
use serde_json::{Value, json};

use crate::decided::catalog;
use crate::partition::{Writing, epochs, state};
use crate::random::Random;
use crate::running_totals::cases;

/// A catalog before and after it was mended.
struct Mended {
    before: Arc<Catalog>,
    after: Arc<Catalog>,
}

impl Catalogs for Mended {
    fn load(&self, hash: &ContentHash) -> Result<Arc<Catalog>, String> {
        Ok(Arc::clone(if *hash == BEFORE { &self.before } else { &self.after }))
    }
}

const BEFORE: ContentHash = ContentHash([1; 32]);
const AFTER: ContentHash = ContentHash([2; 32]);

fn documents(accounts: &[&str], meters: &Value, rates: &[&str]) -> Value {
    let rate = |meter: &&str| match *meter {
        "used" => json!({ "meter": "used", "model": "graduated", "tiers": [
            { "up_to": "10", "unit_price": "1.5" }, { "up_to": null, "unit_price": "0.25" }] }),
        "paid" => json!({ "meter": "paid", "model": "dynamic", "multiplier": "1.5" }),
        meter => json!({ "meter": meter, "model": "per_unit", "unit_price": "0.75" }),
    };
    json!({
        "legal_entities": [{ "id": "entity" }],
        "meters": meters,
        "price_books": [{ "id": "book", "currencies": ["EUR"], "versions": [
            { "version": 1, "rates": rates.iter().map(rate).collect::<Vec<_>>() },
        ] }],
        "contracts": [{ "id": "contract", "accounts": accounts, "legal_entity": "entity", "currency": "EUR",
            "lines": [{ "id": "line", "price_book": "book" }] }],
    })
}

impl Mended {
    /// The first catalog lacks an account, a rate, the meters of a type, and reads a property that is not there.
    fn new() -> Self {
        let used = json!({ "id": "used", "event_type": "use", "aggregation": "sum", "value": "$.v" });
        let users = json!({ "id": "users", "event_type": "use", "aggregation": "unique", "value": "$.user" });
        let paid = json!({ "id": "paid", "event_type": "use", "aggregation": "sum", "value": "$.v",
            "event_price": { "property": "$.price", "is": "amount", "currency": "EUR" } });
        let calls = |value: &str| {
            json!({ "id": "calls", "event_type": "call", "aggregation": "sum", "value": value,
            "dimensions": { "plan": "$.plan" } })
        };
        let logins = |id: &str| json!({ "id": id, "event_type": "login", "aggregation": "count" });
        let before = documents(&["acme"], &json!([used, users, paid, calls("$.wrong")]), &["used", "calls"]);
        let meters = json!([used, users, paid, calls("$.seconds"), logins("logins"), logins("free")]);
        let after = documents(&["acme", "globex"], &meters, &["used", "users", "paid", "calls", "logins"]);
        Self { before: catalog(&before).unwrap(), after: catalog(&after).unwrap() }
    }

    fn open(&self, place: &Path, hash: ContentHash) -> Partition {
        let directory = Arc::new(DataDirectory::open(&directory_disk(place)).unwrap());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let in_force = (hash, self.load(&hash).unwrap());
        Partition::open(directory, self, in_force, clock, PartitionOptions::default()).unwrap().0
    }
}

/// A line from a seed. Ids are those of a type, so that another catalog does not change which event is the first
/// of its identity; some are sent again, some with other content.
fn line(seed: u64) -> String {
    let random = &mut Random::new(seed);
    let event_type = random.pick(&["use", "use", "use", "call", "login", "strange"]);
    let number = random.below(40);
    let mut content = Random::new(number as u64 * 7 + u64::from(random.once_in(12)));
    let day = 1 + content.below(60);
    let (month, day) = if day > 30 { (10, day - 30) } else { (9, day) };
    match random.below(20) {
        0 => return "no event".to_owned(),
        1 => return json!({ "source": format!("lost-{}", random.below(3)), "type": event_type }).to_string(),
        _ => {}
    }
    json!({
        "specversion": "1.0",
        "id": format!("event-{number}"),
        "source": event_type,
        "type": event_type,
        "subject": content.pick(&["acme", "globex", "globex", "nobody"]),
        "time": format!("2026-{month:02}-{day:02}T10:00:00Z"),
        "data": {
            "v": content.below(20),
            "user": format!("user-{}", content.below(4)),
            "price": content.below(9).to_string(),
            "seconds": content.below(100),
            "plan": format!("plan-{}", content.below(5)),
        },
    })
    .to_string()
}

/// The records of a partition that are not settled, in order.
fn open_records(partition: &Partition) -> Vec<OpenRecord> {
    let (_, views) = snapshot::views(partition.directory(), 0).unwrap();
    let view = views.into_iter().find(|view| view.table == SnapshotTable::Quarantine).unwrap();
    assert!(view.files.is_empty());
    let mut records: Vec<QuarantineRecord> = Vec::new();
    for bytes in view.inline {
        for rows in ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap().build().unwrap() {
            records.append(&mut quarantine_records(&rows.unwrap()).unwrap());
        }
    }
    let mut settled = BTreeSet::new();
    for record in epochs(partition).into_iter().flat_map(|sealed| sealed.epoch.settled) {
        assert!(settled.insert(record.quarantine_id.clone()), "{} is settled twice", record.quarantine_id);
    }
    records.retain(|record| !settled.contains(&record.quarantine_id));
    let number = |record: &QuarantineRecord| -> u64 {
        record.quarantine_id.split_once('-').unwrap().1.parse().unwrap()
    };
    records.sort_by_key(|record| (record.epoch, number(record)));
    let event = |record: &QuarantineRecord| (record.epoch, record.source.clone(), record.event_id.clone());
    let mut open_of = BTreeMap::new();
    for record in records.iter().filter(|record| record.class == QuarantineClass::Unrated) {
        *open_of.entry(event(record)).or_insert(0) += 1;
    }
    let open_of_event = |record: &QuarantineRecord| open_of.get(&event(record)).copied().unwrap_or(0);
    records.into_iter().map(|record| OpenRecord { open_of_event: open_of_event(&record), record }).collect()
}

type ControlTotals = BTreeMap<(Option<String>, Option<String>, Option<String>), EventCounts>;

/// The sums of control totals. No count may be negative after any epoch.
fn control_totals(partition: &Partition) -> ControlTotals {
    let mut sums = ControlTotals::new();
    for sealed in epochs(partition) {
        for total in sealed.epoch.control_totals {
            let sum = sums.entry((total.source, total.event_type, total.month)).or_default();
            *sum += total.counts;
            let EventCounts { received, rated, unrated, duplicate, conflict, rejected, voided } = *sum;
            let least = [received, rated, unrated, duplicate, conflict, rejected, voided].into_iter().min();
            assert!(least >= Some(0), "epoch {}: {sum:?}", sealed.epoch.epoch);
        }
    }
    sums.retain(|_, sum| *sum != EventCounts::default());
    sums
}

/// All usages of counted events, in no order. Distinct values are hashes with the key of a directory.
fn usages(partition: &Partition) -> Vec<String> {
    let mut usages = Vec::new();
    let meters = partition.catalog().meters();
    let found = committed_usages(partition.directory(), 0, partition.catalog(), |usage| {
        assert!(usage.measure.is_some(), "{usage:?}");
        let is_hash = meters[usize::from(usage.meter)].aggregation == Aggregation::Unique;
        let measure = usage.measure.filter(|_| !is_hash);
        usages.push(format!("{:?}", CommittedUsage { measure, ..*usage }));
    });
    let found = found.unwrap();
    assert_eq!((found.usages, found.unknown), (usages.len() as u64, 0));
    assert_eq!(found.epoch, partition.committer.standing().epoch);
    usages.sort_unstable();
    usages
}

/// What does not depend on when events were decided. The reasons of what is still unrated do: an open record keeps
/// the one it was written with.
fn outcome(partition: &Partition) -> (ControlTotals, Books) {
    let mut books = partition.committer.standing().books.clone();
    let open = open_records(partition);
    for (class, reasons) in [
        (QuarantineClass::Rejected, &mut books.rejected_by_reason),
        (QuarantineClass::Unrated, &mut books.unrated_by_reason),
    ] {
        let mut of_class = BTreeMap::new();
        for open in open.iter().filter(|open| open.record.class == class) {
            *of_class.entry(open.record.reason.clone()).or_insert(0) += 1;
        }
        assert_eq!(*reasons, of_class, "the books and the open records");
    }
    books.unrated_by_reason.clear();
    (control_totals(partition), Books { rows: BTreeMap::new(), settled: 0, ..books })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(8), max_shrink_time: 10_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn cons_1_dedup_1_what_is_decided_again_comes_to_what_it_would_have_come_to_at_once(
        seeds in prop::collection::vec(any::<u64>(), 1..150),
        seed in any::<u64>(),
    ) {
        let random = &mut Random::new(seed);
        let mended = Mended::new();
        let lines: Vec<String> = seeds.iter().map(|seed| line(*seed)).collect();
        let (late, at_once) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut expected = Writing::new(mended.open(at_once.path(), AFTER));
        let mut before = Writing::new(mended.open(late.path(), BEFORE));
        for lines in lines.chunks(1 + random.below(60)) {
            before.commit(lines, random.once_in(2));
            expected.commit(lines, random.once_in(2));
        }
        expected.commit(&[], true);
        drop(before);

        let mut settled = 0;
        loop {
            let partition = mended.open(late.path(), AFTER);
            let open = open_records(&partition);
            let mut replayer = Replayer::new(partition).unwrap();
            let chunk = 1 + random.below(40);
            let left_out = random.below(10).to_string();
            let (mut was_settled, mut is_committed) = (0, false);
            for records in open.chunks(chunk) {
                // Some are left out; of rejected ones all with one id, as the first of them is the one that counts.
                let mut is_chosen = |open: &&OpenRecord| match open.record.class {
                    QuarantineClass::Unrated => !random.once_in(3),
                    _ => open.record.event_id.as_deref().is_none_or(|id| !id.ends_with(&left_out)),
                };
                let chosen: Vec<OpenRecord> = records.iter().filter(|open| is_chosen(open)).cloned().collect();
                let replayed = replayer.replay(&chosen).unwrap();
                let count = replayed.fates.iter().filter(|fate| matches!(fate, Fate::Settled(_))).count();
                prop_assert_eq!(replayed.epoch.as_ref().map_or(0, |epoch| epoch.settled.len()), count);
                was_settled += count;
                is_committed = replayed.epoch.is_some();
                if let Some(epoch) = replayed.epoch {
                    prop_assert_eq!(epoch.cause, EpochCause::Replay);
                    prop_assert_eq!(epoch.counts.received, 0);
                }
                if random.once_in(4) {
                    break;
                }
            }
            settled += was_settled;
            let partition = replayer.into_partition();
            let live = state(&partition);
            partition.balance().unwrap();
            let totals = control_totals(&partition);
            drop(partition);
            let folded = mended.open(late.path(), AFTER);
            // Texts of what stays open go into the next epoch, or into none.
            prop_assert!(!is_committed || state(&folded) == live, "the fold is another state");
            prop_assert_eq!(control_totals(&folded), totals);
            outcome(&folded);
            drop(folded);
            if was_settled == 0 && random.once_in(2) {
                break;
            }
        }

        let mut replayer = Replayer::new(mended.open(late.path(), AFTER)).unwrap();
        loop {
            let open = open_records(replayer.partition());
            let replayed = replayer.replay(&open).unwrap();
            settled += replayed.epoch.as_ref().map_or(0, |epoch| epoch.settled.len());
            if replayed.epoch.is_none() {
                break;
            }
        }
        let partition = replayer.into_partition();
        let left = open_records(&partition);
        prop_assert_eq!(usages(&partition), usages(expected.writer.partition()));
        prop_assert_eq!(partition.committer.standing().books.settled, settled as u64);
        let unpriced: BTreeSet<&str> = left
            .iter()
            .filter(|open| open.record.class == QuarantineClass::Unrated)
            .map(|open| open.record.reason.as_str())
            .collect();
        let known = BTreeSet::from(["unknown_account", "unknown_event_type", "no_contract_line"]);
        prop_assert!(unpriced.is_subset(&known), "{:?}", unpriced);
        let mut writing = Writing::new(partition);
        writing.commit(&[], true);
        drop(writing);
        let partition = mended.open(late.path(), AFTER);
        prop_assert_eq!(outcome(&partition), outcome(expected.writer.partition()));
    }
}

#[test]
fn cons_1_an_event_is_unrated_as_long_as_one_of_its_records_is_open() {
    let mended = Mended::new();
    let place = tempfile::tempdir().unwrap();
    let event = json!({
        "specversion": "1.0", "id": "1", "source": "s", "type": "use", "subject": "globex",
        "time": "2026-10-01T00:00:00Z", "data": { "v": 3, "user": "u", "price": "2" },
    });
    Writing::new(mended.open(place.path(), BEFORE)).commit(&[event.to_string()], true).unwrap();
    let count = |unrated, rated| EventCounts { received: 0, unrated, rated, ..EventCounts::default() };
    for (left, counts) in [(3, count(0, 0)), (2, count(0, 0)), (1, count(-1, 1))] {
        let partition = mended.open(place.path(), AFTER);
        let open = open_records(&partition);
        assert_eq!(open.len(), left);
        assert!(
            open.iter()
                .all(|open| open.record.reason == "unknown_account" && open.open_of_event == left as u64)
        );
        let replayed = Replayer::new(partition).unwrap().replay(&open[left - 1..]).unwrap();
        assert_eq!(replayed.fates, [Fate::Settled(SettledOutcome::Rated)]);
        let epoch = replayed.epoch.unwrap();
        assert_eq!(epoch.counts, counts);
        assert_eq!(epoch.unrated_by_reason, BTreeMap::from([("unknown_account".to_owned(), -1)]));
        assert!(epoch.is_accrued);
    }
    assert_eq!(open_records(&mended.open(place.path(), AFTER)), []);
}

#[test]
fn dedup_1_conflicts_stay_and_what_is_refused_again_is_untouched() {
    let mended = Mended::new();
    let place = tempfile::tempdir().unwrap();
    let event = |id: &str, event_type: &str, value: u32| {
        json!({
            "specversion": "1.0", "id": id, "source": "s", "type": event_type, "subject": "acme",
            "time": "2026-10-01T00:00:00Z", "data": { "v": value, "user": "u", "price": "2", "seconds": value },
        })
        .to_string()
    };
    let lines = [
        event("1", "use", 1),
        event("1", "use", 2),
        "{}".to_owned(),
        event("2", "strange", 1),
        event("3", "call", 1),
        event("3", "call", 1),
        event("3", "call", 2),
        event("4", "login", 1),
    ];
    Writing::new(mended.open(place.path(), BEFORE)).commit(&lines, true).unwrap();
    let partition = mended.open(place.path(), AFTER);
    let open = open_records(&partition);
    let mut replayer = Replayer::new(partition).unwrap();
    let replayed = replayer.replay(&open).unwrap();
    let fates: BTreeMap<(String, String), Fate> = open
        .iter()
        .zip(&replayed.fates)
        .map(|(open, fate)| ((open.record.quarantine_id.clone(), open.record.reason.clone()), *fate))
        .collect();
    let settled = |outcome| Fate::Settled(outcome);
    let expected = [
        (
            "1-1",
            "unsupported_specversion",
            Fate::Open(StillOpen::Rejected(schemas::quarantine::RejectReason::UnsupportedSpecversion)),
        ),
        ("1-2", "missing_quantity", settled(SettledOutcome::Rated)),
        ("1-3", "missing_quantity", settled(SettledOutcome::Duplicate)),
        ("1-4", "missing_quantity", settled(SettledOutcome::Quarantined)),
        ("1-5", "conflict", Fate::Open(StillOpen::Conflict)),
        ("1-6", "no_contract_line", settled(SettledOutcome::Rated)),
        ("1-7", "no_contract_line", settled(SettledOutcome::Rated)),
        ("1-8", "unknown_event_type", Fate::Open(StillOpen::Unrated(UnratedReason::UnknownEventType))),
        ("1-9", "unknown_event_type", settled(SettledOutcome::Quarantined)),
    ];
    let expected: BTreeMap<(String, String), Fate> =
        expected.map(|(id, reason, fate)| ((id.to_owned(), reason.to_owned()), fate)).into();
    assert_eq!(fates, expected);

    // What is in quarantine now is where it was, and nothing comes of it once more.
    let left = open_records(replayer.partition());
    let ids: Vec<(&str, &str)> =
        left.iter().map(|open| (open.record.quarantine_id.as_str(), open.record.reason.as_str())).collect();
    let new = [("2-1", "conflict"), ("2-2", "no_contract_line")];
    let old = [("1-1", "unsupported_specversion"), ("1-5", "conflict"), ("1-8", "unknown_event_type")];
    assert_eq!(ids, [old.as_slice(), &new].concat());
    for (id, was) in [("2-1", "1-4"), ("2-2", "1-9")] {
        let find = |records: &[OpenRecord], id: &str| {
            records.iter().find(|open| open.record.quarantine_id == id).unwrap().record.clone()
        };
        let (now, then) = (find(&left, id), find(&open, was));
        assert_eq!(
            (now.input, now.line, now.offset, now.length),
            (then.input, then.line, then.offset, then.length)
        );
        assert_eq!(now.bytes, then.bytes);
    }
    let again = replayer.replay(&left).unwrap();
    assert!(again.epoch.is_none(), "{:?}", again.epoch);
    assert_eq!(open_records(replayer.partition()), left);
}
