//! The auditor against ledgers that were tampered with: each rule must be seen broken.

use serde_json::{Value, json};

use super::ledger::{KnownFrames, Tail, hex, last_marker, read_ledger};
use super::{Auditor, Files};
use crate::history::{Answer, Sent, Verdict};
use crate::random::Random;
use crate::tallybook::Tallybook;
use crate::world::{Plan, World};

pub(crate) const CHECKS: &[(&str, fn())] = &[
    ("auditor_sees_every_bit_that_is_turned_around", sees_every_bit_that_is_turned_around),
    ("auditor_sees_every_change_of_a_document", sees_every_change_of_a_document),
    ("auditor_sees_what_is_done_to_the_chain", sees_what_is_done_to_the_chain),
    ("auditor_sees_answers_that_do_not_fit", sees_answers_that_do_not_fit),
];

/// What a run without faults leaves.
fn evidence() -> (Files, Vec<Sent>) {
    let program = Tallybook::new();
    let plan = Plan { seed: 7, ..Plan::default() };
    let mut world = World::new(&program, &plan);
    let result = world.finish();
    let evidence = world.evidence();
    world.tell(&plan, result).unwrap();
    evidence
}

fn audit(files: &Files, history: &[Sent]) -> Result<(), String> {
    Auditor::default().audit(files, history, Tail::Whole).map(drop)
}

fn sees_every_bit_that_is_turned_around() {
    let (files, history) = evidence();
    audit(&files, &history).unwrap();
    let mut random = Random::new(1);
    // What follows the last marker may be taken for what a crash left.
    let segments: Vec<&String> =
        files.iter().filter(|(_, bytes)| last_marker(bytes).is_some()).map(|(name, _)| name).collect();
    for _ in 0..300 {
        let mut files = files.clone();
        let bytes = files.get_mut(segments[random.below(segments.len())]).unwrap();
        let offset = random.below(last_marker(bytes).unwrap());
        bytes[offset] ^= 1 << random.below(8);
        assert!(audit(&files, &history).is_err(), "the byte at {offset}");
    }
}

/// The epochs of a ledger, each a document and its contents.
fn epochs(files: &Files) -> Vec<(Value, Vec<u8>)> {
    let known = read_ledger(files, Tail::Whole, &[], &mut KnownFrames::default()).unwrap();
    let contents = |epoch: &super::Epoch| {
        let inline = epoch.contents.iter().filter(|content| content.file.is_none());
        inline.flat_map(|content| content.bytes.clone()).collect()
    };
    known.epochs.iter().map(|epoch| (epoch.document.clone(), contents(epoch))).collect()
}

/// Files with a ledger of one segment, with all hashes as they have to be; without what follows from a ledger.
fn with_ledger(files: &Files, epochs: &[(Value, Vec<u8>)]) -> Files {
    let id = epochs[0].0["ledger_id"].as_str().unwrap();
    let mut previous = *blake3::hash(id.as_bytes()).as_bytes();
    let header = json!({"ledger_id": id, "partition": 0, "first_epoch": 1, "previous": hex(&previous)});
    let header = serde_json::to_vec(&header).unwrap();
    let mut bytes = b"tallybook-ledger\x01\0\0\0".to_vec();
    bytes.extend(u32::try_from(header.len()).unwrap().to_le_bytes());
    bytes.extend(&header);
    bytes.extend(blake3::hash(&header).as_bytes());
    for (document, contents) in epochs {
        let mut document = document.clone();
        document["previous"] = hex(&previous).into();
        let document = serde_json::to_vec(&document).unwrap();
        previous = *blake3::hash(&document).as_bytes();
        bytes.extend(b"EPOC");
        bytes.extend(u32::try_from(document.len()).unwrap().to_le_bytes());
        bytes.extend((contents.len() as u64).to_le_bytes());
        bytes.extend(&document);
        bytes.extend(contents);
        bytes.extend(previous);
    }
    let mut files = files.clone();
    files.retain(|name, _| ["tables/", "identities/"].iter().any(|place| name.starts_with(place)));
    files.retain(|name, _| !name.contains("/_delta_log/"));
    files.insert("ledger/0/00000000000000000001.epochs".to_owned(), bytes);
    files
}

fn sees_every_change_of_a_document() {
    let (files, history) = evidence();
    let epochs = epochs(&files);
    audit(&with_ledger(&files, &epochs), &history).unwrap();
    let money = || json!({"amount": "0.01", "currency": "USD"});
    let numbers = [
        "/counts/received",
        "/counts/rated",
        "/counts/unrated",
        "/counts/duplicate",
        "/counts/conflict",
        "/counts/rejected",
        "/control_totals/0/counts/rated",
        "/positions/0/from_offset",
        "/positions/0/to_offset",
        "/contents/0/rows",
        "/contents/3/rows",
        "/epoch",
    ];
    for place in numbers {
        let changed = |document: &Value| document.pointer(place).is_some_and(Value::is_number);
        let at = epochs.iter().position(|(document, _)| changed(document)).unwrap();
        let mut epochs = epochs.clone();
        add_one(epochs[at].0.pointer_mut(place).unwrap());
        assert!(audit(&with_ledger(&files, &epochs), &history).is_err(), "{place}");
    }
    for field in ["rejected_by_reason", "unrated_by_reason"] {
        let has_some =
            |document: &Value| document[field].as_object().is_some_and(|counts| !counts.is_empty());
        let at = epochs.iter().position(|(document, _)| has_some(document)).unwrap();
        let mut epochs = epochs.clone();
        add_one(epochs[at].0[field].as_object_mut().unwrap().values_mut().next().unwrap());
        assert!(audit(&with_ledger(&files, &epochs), &history).is_err(), "{field}");
    }
    for field in ["rated", "accrued", "posted"] {
        let mut epochs = epochs.clone();
        epochs[0].0[field].as_array_mut().unwrap().push(money());
        assert!(audit(&with_ledger(&files, &epochs), &history).is_err(), "{field}");
    }
    let mut more = epochs.clone();
    let counts = &mut more[0].0["counts"];
    add_one(&mut counts["received"]);
    add_one(&mut counts["duplicate"]);
    let counts = counts.clone();
    more[0].0["control_totals"] = json!([{ "counts": counts }]);
    assert!(audit(&with_ledger(&files, &more), &history).is_err(), "a duplicate that nobody sent");
    let mut unaccrued = epochs;
    for (document, _) in &mut unaccrued {
        document["is_accrued"] = false.into();
    }
    assert!(audit(&with_ledger(&files, &unaccrued), &history).is_err(), "accruals of what is not accrued");
}

fn add_one(number: &mut Value) {
    *number = (number.as_i64().unwrap() + 1).into();
}

fn sees_what_is_done_to_the_chain() {
    let (files, history) = evidence();
    let epochs = epochs(&files);
    let mut gap = epochs.clone();
    gap.remove(1);
    let mut swapped = epochs.clone();
    swapped.swap(0, 1);
    let mut twice = epochs.clone();
    twice.insert(1, epochs[0].clone());
    let mut renumbered = twice.clone();
    for ((document, _), number) in renumbered.iter_mut().zip(1..) {
        document["epoch"] = number.into();
    }
    let mut shorter = epochs.clone();
    shorter.pop();
    while shorter.last().is_some_and(|(document, _)| document["counts"]["rated"] == 0) {
        shorter.pop();
    }
    shorter.pop();
    for (what, epochs) in [
        ("gap", gap),
        ("swapped", swapped),
        ("twice", twice),
        ("renumbered", renumbered),
        ("shorter", shorter),
    ] {
        assert!(audit(&with_ledger(&files, &epochs), &history).is_err(), "{what}");
    }
    let mut auditor = Auditor::default();
    let found = auditor.audit(&files, &history, Tail::Whole).unwrap();
    auditor.acknowledge(&found);
    let mut other = epochs;
    other.last_mut().unwrap().0["note"] = "written anew".into();
    assert!(auditor.audit(&with_ledger(&files, &other), &history, Tail::Whole).is_err(), "a fork");
    let mut without = files.clone();
    without.pop_first();
    without.retain(|name, _| !name.ends_with("1.epochs"));
    assert!(audit(&without, &history).is_err(), "a segment is missing");
}

fn sees_answers_that_do_not_fit() {
    let (files, history) = evidence();
    for told in [Verdict::Accepted, Verdict::Duplicate, Verdict::Conflict, Verdict::Rejected] {
        for lie in [Verdict::Accepted, Verdict::Duplicate, Verdict::Conflict, Verdict::Rejected] {
            let Some(at) = history.iter().position(|sent| sent.answer == Answer::Told(told)) else {
                continue;
            };
            let mut history = history.clone();
            history[at].answer = Answer::Told(lie);
            assert_eq!(audit(&files, &history).is_err(), told != lie, "{told:?} as {lie:?}");
        }
    }
    let accepted = history.iter().position(|sent| sent.answer == Answer::Told(Verdict::Accepted)).unwrap();
    let mut unsent = history.clone();
    let identity = unsent[accepted].event.identity.clone();
    unsent.retain(|sent| sent.event.identity != identity);
    assert!(audit(&files, &unsent).is_err(), "an event that nobody sent");
}
