//! The index against a map, with settling, merging, forgetting and restarts in between; and against
//! damaged runs.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Microseconds of a time in a month.
fn time_in(month: u16) -> i64 {
    i64::from(month) * 2_629_746_000_000 + 1_300_000_000_000
}

fn open(name: String, bytes: Vec<u8>, key: &HashKey) -> Result<Run, RunError> {
    Run::open(name, Arc::new(bytes), key)
}

/// The index and what it should hold.
struct Models {
    key: HashKey,
    dedup: Dedup,
    map: HashMap<u128, (u64, u16)>,
    forgotten: u16,
    /// Admitted since hot was settled: what a ledger would hold.
    admitted: Vec<Entry>,
    runs: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Admit(Vec<(u128, u64, u16)>),
    Settle,
    SettleInTwo,
    Merge(Vec<Index>),
    MergeByPlan,
    Forget(u16),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let events = prop::collection::vec((0u128..3000, 0u64..3, 0u16..12), 0..900);
    let step = prop_oneof![
        6 => events.prop_map(Step::Admit),
        2 => Just(Step::Settle),
        1 => Just(Step::SettleInTwo),
        1 => prop::collection::vec(any::<Index>(), 1..4).prop_map(Step::Merge),
        1 => Just(Step::MergeByPlan),
        1 => (0u16..10).prop_map(Step::Forget),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..25)
}

impl Models {
    fn new(reserved: usize) -> Self {
        let key = HashKey::fixed(3);
        let mut dedup = Dedup::new(&key, 1 << 20);
        dedup.reserve(reserved);
        Self { key, dedup, map: HashMap::new(), forgotten: 0, admitted: Vec::new(), runs: 0 }
    }

    fn name(&mut self) -> String {
        self.runs += 1;
        format!("run-{}", self.runs)
    }

    fn expected(&mut self, identity: u128, content: u64, month: u16) -> Admit {
        match self.map.get(&identity) {
            Some((_, known)) if *known < self.forgotten => {}
            Some(known) if *known == (content, month) => return Admit::Duplicate,
            Some(_) => return Admit::Conflict,
            None => {}
        }
        self.map.insert(identity, (content, month));
        Admit::Accept
    }

    fn take(&mut self, step: Step, spread: u128) {
        match step {
            Step::Admit(events) => self.admit(&events, spread),
            Step::Settle => {
                let mut bytes = Vec::new();
                let summary =
                    write_sorted_run(self.dedup.hot_entries_sorted(), &self.key, &mut bytes).unwrap();
                assert_eq!(summary.bytes, bytes.len() as u64);
                let run = open(self.name(), bytes, &self.key).unwrap();
                assert_eq!(run.entries(), summary.entries);
                run.verify().unwrap();
                self.dedup.settle(vec![run]);
                self.admitted.clear();
            }
            Step::SettleInTwo => {
                let half = self.admitted.len() / 2;
                let parts = [self.admitted[..half].to_vec(), self.admitted[half..].to_vec()];
                let runs = parts.map(|mut entries| {
                    let mut bytes = Vec::new();
                    write_run(&mut entries, &self.key, &mut bytes).unwrap();
                    open(self.name(), bytes, &self.key).unwrap()
                });
                self.dedup.settle(runs.into());
                self.admitted.clear();
            }
            Step::Merge(chosen) => {
                let count = self.dedup.runs().len();
                let mut chosen: Vec<usize> =
                    chosen.iter().filter(|_| count > 0).map(|chosen| chosen.index(count)).collect();
                chosen.sort_unstable();
                chosen.dedup();
                self.merge(&chosen);
            }
            Step::MergeByPlan => {
                let sizes: Vec<u64> = self.dedup.runs().iter().map(Run::entries).collect();
                self.merge(&plan_merge(&sizes).unwrap_or_default());
            }
            Step::Forget(month) => {
                self.dedup.forget_before(Month::of(time_in(month)));
                self.forgotten = self.forgotten.max(month);
            }
            Step::Restart => {
                let runs = self.dedup.runs().to_vec();
                self.dedup = Dedup::new(&self.key, 1 << 16);
                for run in runs {
                    self.dedup.add_run(run);
                }
                self.dedup.insert_all(&self.admitted);
                self.dedup.forget_before(Month::of(time_in(self.forgotten)));
            }
        }
    }

    fn merge(&mut self, chosen: &[usize]) {
        let runs: Vec<&Run> = chosen.iter().map(|run| &self.dedup.runs()[*run]).collect();
        let old: Vec<RunName> = runs.iter().map(|run| run.name().clone()).collect();
        let mut bytes = Vec::new();
        let summary = merge(&runs, Month::of(time_in(self.forgotten)), &self.key, &mut bytes).unwrap();
        let run = open(self.name(), bytes, &self.key).unwrap();
        run.verify().unwrap();
        self.dedup.replace_runs(&old, (summary.entries > 0).then_some(run));
    }

    fn admit(&mut self, events: &[(u128, u64, u16)], spread: u128) {
        let identities: Vec<u128> = events.iter().map(|event| event.0.wrapping_mul(spread)).collect();
        let contents: Vec<u64> = events.iter().map(|event| event.1 << 11).collect();
        let times: Vec<i64> = events.iter().map(|event| time_in(event.2)).collect();
        let mut verdicts = Vec::new();
        let before = self.admitted.len();
        self.dedup.admit_all(&identities, &contents, &times, &mut verdicts, &mut self.admitted).unwrap();
        let expected: Vec<Admit> = events
            .iter()
            .zip(&identities)
            .map(|(event, identity)| self.expected(*identity, event.1, event.2))
            .collect();
        assert_eq!(verdicts, expected);
        let accepted = expected.iter().filter(|verdict| **verdict == Admit::Accept).count();
        assert_eq!(self.admitted.len() - before, accepted);
    }
}

proptest! {
    #[test]
    fn dedup_1_verdicts_are_those_of_a_map(
        steps in steps(),
        // Neighbours, and identities that differ in the lower or upper half alone.
        spread in select(vec![1u128, 1 << 64, 0x1_0000_0001, u128::MAX / 3001]),
        reserved in 0usize..5000,
    ) {
        let mut models = Models::new(reserved);
        for step in steps {
            models.take(step, spread);
        }
        let all: Vec<_> = (0..3000).map(|number| (number, 0, 11)).collect();
        models.admit(&all, spread);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn dedup_1_damage_is_an_error_and_never_another_verdict(
        at in any::<Index>(), bit in 0u32..8, cut in any::<Index>(),
    ) {
        let key = HashKey::fixed(3);
        let (identities, bytes) = some_run(&key);
        let mut damaged = bytes.clone();
        damaged[at.index(bytes.len())] ^= 1 << bit;
        if let Ok(run) = open("damaged".to_owned(), damaged, &key) {
            let error = run.verify().unwrap_err();
            prop_assert!(matches!(error, RunError::Corrupt { .. }), "{error}");
            let mut dedup = Dedup::new(&key, 1 << 20);
            dedup.add_run(run);
            for identities in identities.chunks(1000) {
                let (mut verdicts, mut admitted) = (Vec::new(), Vec::new());
                let numbers = vec![7 << 20; identities.len()];
                let times = vec![0; identities.len()];
                match dedup.admit_all(identities, &numbers, &times, &mut verdicts, &mut admitted) {
                    Ok(()) => prop_assert!(verdicts.iter().all(|verdict| *verdict == Admit::Duplicate)),
                    Err(error) => {
                        prop_assert!(matches!(error, RunError::Corrupt { .. }), "{error}");
                        prop_assert!(verdicts.is_empty() && admitted.is_empty());
                    }
                }
            }
            prop_assert_eq!(dedup.hot_len(), 0);
        }
        let mut short = bytes;
        short.truncate(cut.index(short.len()));
        let error = open("short".to_owned(), short, &key).unwrap_err();
        prop_assert!(matches!(error, RunError::Corrupt { .. }), "{error}");
    }
}

/// Identities, and a run of them of three groups, the last of one page.
fn some_run(key: &HashKey) -> (Vec<u128>, Vec<u8>) {
    let identities: Vec<u128> = (0..2 * layout::GROUP_ENTRIES as u128 + 100).collect();
    let placement = Placement::new(key);
    let entry = |identity: &u128| placement.entry(*identity, 7 << 20, Month::default());
    let mut entries: Vec<Entry> = identities.iter().map(entry).collect();
    let mut bytes = Vec::new();
    write_run(&mut entries, key, &mut bytes).unwrap();
    (identities, bytes)
}

#[test]
fn dedup_1_a_run_that_is_not_ours_is_refused() {
    let key = HashKey::fixed(3);
    let (_, bytes) = some_run(&key);
    let other_key = open("run".to_owned(), bytes.clone(), &HashKey::fixed(4)).unwrap_err();
    assert!(matches!(other_key, RunError::OtherKey(_)), "{other_key}");
    let mut newer = bytes.clone();
    newer[8] = 2;
    let newer = open("run".to_owned(), newer, &key).unwrap_err();
    assert!(matches!(newer, RunError::OtherVersion { expected: 1, found: 2, .. }), "{newer}");
    // Pages that are whole, but in each other's place.
    let mut swapped = bytes;
    let (first, second) = swapped[4096..4096 * 3].split_at_mut(4096);
    first.swap_with_slice(second);
    let error = open("run".to_owned(), swapped, &key).unwrap().verify().unwrap_err();
    assert!(matches!(error, RunError::Corrupt { part: RunPart::Page(0), .. }), "{error}");
    assert_eq!(
        error.to_string(),
        "dedup run run is damaged: page 0: expected 0xaa000000000000, found 0xaa000000000001; restore it or rebuild it"
    );
}

#[test]
fn dedup_1_every_key_of_large_runs_is_found_and_few_pages_are_read_for_others() {
    let key = HashKey::fixed(3);
    let (identities, bytes) = some_run(&key);
    let run = open("run".to_owned(), bytes, &key).unwrap();
    run.verify().unwrap();
    let placement = Placement::new(&key);
    let mut page = run::Page::default();
    for identity in &identities {
        let entry = placement.entry(*identity, 0, Month::default());
        run.read_page(run.page_of(run.group_of(&entry), &entry).unwrap(), &mut page).unwrap();
        assert_eq!(page.find(&entry).map(EntryWord::month), Some(Month::default()));
    }
    let absent =
        (1 << 70..(1 << 70) + 100_000u128).map(|identity| placement.entry(identity, 0, Month::default()));
    let reads = absent.filter(|entry| run.page_of(run.group_of(entry), entry).is_some()).count();
    assert!(reads < 800, "{reads} of 100,000");
}

#[test]
fn dedup_1_a_hot_part_of_any_size_is_exact_and_keeps_its_bound() {
    let key = HashKey::fixed(3);
    for (keys, bytes_max) in [(2_000u64, 256 << 10), (60_000, 2 << 20)] {
        let mut dedup = Dedup::new(&key, bytes_max);
        let (mut verdicts, mut admitted) = (Vec::new(), Vec::new());
        let mut next = 0u128;
        while !dedup.is_full() && next < u128::from(keys) * 2 {
            let identities: Vec<u128> = (next..next + 500).collect();
            dedup.admit_all(&identities, &[5 << 40; 500], &[0; 500], &mut verdicts, &mut admitted).unwrap();
            next += 500;
        }
        let held = dedup.hot_len();
        assert!(held as u64 >= keys * 9 / 10, "{held}");
        assert!(dedup.hot.memory_bytes() <= bytes_max * 17 / 16, "{} {bytes_max}", dedup.hot.memory_bytes());
        assert!(dedup.hot_entries_sorted().is_sorted());
        assert_eq!(dedup.hot_entries_sorted().count(), held);
        admitted.sort_unstable();
        assert!(dedup.hot_entries_sorted().eq(admitted.iter().copied()));
        verdicts.clear();
        let identities: Vec<u128> = (0..next).collect();
        let contents = vec![5 << 40; identities.len()];
        let times = vec![0; identities.len()];
        dedup.admit_all(&identities, &contents, &times, &mut verdicts, &mut admitted).unwrap();
        assert!(verdicts.iter().all(|verdict| *verdict == Admit::Duplicate));
    }
}
