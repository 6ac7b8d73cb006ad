//! Usages of one account and meter as columns, in chunks.

use std::sync::Arc;

/// Rows of a chunk.
const CHUNK_ROWS: usize = 1_024;

/// Which event a usage is of: its id and source, which decide between events of one time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EventName {
    pub(super) id: Box<str>,
    pub(super) source: Box<str>,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) time: i64,
    pub(super) measure: i128,
    pub(super) set: u32,
    pub(super) event: Option<&'a EventName>,
}

/// Rows in the order they were added, which is about that of their times.
#[derive(Debug, Default)]
pub(super) struct Series {
    full: Vec<Arc<Chunk>>,
    open: Chunk,
}

/// Rows that can be read while others are added.
#[derive(Debug, Default)]
pub(super) struct View(Vec<Arc<Chunk>>);

#[derive(Clone, Debug)]
struct Chunk {
    /// First and last time.
    first: i64,
    last: i64,
    times: Vec<i64>,
    sets: Vec<u32>,
    measures: Measures,
    /// Of `latest` meters.
    events: Vec<EventName>,
}

/// As narrow as they can be.
#[derive(Clone, Debug)]
enum Measures {
    /// All are one.
    Ones,
    Narrow(Vec<i64>),
    Wide(Vec<i128>),
}

impl Series {
    pub(super) fn push(&mut self, time: i64, measure: i128, set: u32, event: Option<EventName>) {
        self.open.push(time, measure, set, event);
        if self.open.times.len() >= CHUNK_ROWS {
            let mut full = std::mem::take(&mut self.open);
            full.events.shrink_to_fit();
            self.full.push(Arc::new(full));
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.full.is_empty() && self.open.times.is_empty()
    }

    /// The rows of some times, and others.
    pub(super) fn view(&self, (from, to): (i64, i64)) -> View {
        let holds = |chunk: &Chunk| chunk.last >= from && chunk.first < to;
        let mut chunks: Vec<_> = self.full.iter().filter(|chunk| holds(chunk)).map(Arc::clone).collect();
        if holds(&self.open) {
            chunks.push(Arc::new(self.open.clone()));
        }
        View(chunks)
    }

    /// Drops chunks whose rows are all older; were there any?
    pub(super) fn forget_before(&mut self, time: i64) -> bool {
        let before = self.full.len();
        self.full.retain(|chunk| chunk.last >= time);
        let is_old = !self.open.times.is_empty() && self.open.last < time;
        if is_old {
            self.open = Chunk::default();
        }
        is_old || self.full.len() < before
    }

    pub(super) fn bytes(&self) -> usize {
        let full: usize = self.full.iter().map(|chunk| chunk.bytes()).sum();
        full + self.full.capacity() * size_of::<Arc<Chunk>>() + self.open.bytes()
    }
}

impl View {
    /// First and last time of the chunks: no row is outside.
    pub(super) fn span(&self) -> Option<(i64, i64)> {
        let first = self.0.iter().map(|chunk| chunk.first).min()?;
        Some((first, self.0.iter().map(|chunk| chunk.last).max()?))
    }

    /// Hands over the rows of some times.
    pub(super) fn rows<E>(
        &self,
        (from, to): (i64, i64),
        mut take: impl FnMut(Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        for chunk in &self.0 {
            for (row, (time, set)) in chunk.times.iter().zip(&chunk.sets).enumerate() {
                if (from..to).contains(time) {
                    let measure = chunk.measures.get(row);
                    take(Row { time: *time, measure, set: *set, event: chunk.events.get(row) })?;
                }
            }
        }
        Ok(())
    }
}

impl Default for Chunk {
    fn default() -> Self {
        Self {
            first: i64::MAX,
            last: i64::MIN,
            times: Vec::new(),
            sets: Vec::new(),
            measures: Measures::Ones,
            events: Vec::new(),
        }
    }
}

impl Chunk {
    fn push(&mut self, time: i64, measure: i128, set: u32, event: Option<EventName>) {
        self.measures.push(measure, self.times.len());
        self.times.push(time);
        self.sets.push(set);
        self.events.extend(event);
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }

    fn bytes(&self) -> usize {
        let texts: usize = self.events.iter().map(|event| event.id.len() + event.source.len()).sum();
        let measures = match &self.measures {
            Measures::Ones => 0,
            Measures::Narrow(measures) => measures.capacity() * size_of::<i64>(),
            Measures::Wide(measures) => measures.capacity() * size_of::<i128>(),
        };
        let columns = self.times.capacity() * size_of::<i64>() + self.sets.capacity() * size_of::<u32>();
        size_of::<Self>() + columns + measures + self.events.capacity() * size_of::<EventName>() + texts
    }
}

impl Measures {
    /// Adds the measure of a row, after so many others.
    fn push(&mut self, measure: i128, rows: usize) {
        match self {
            Self::Ones if measure == 1 => {}
            Self::Ones => {
                let mut narrow = Vec::with_capacity((rows + 1).next_power_of_two());
                narrow.resize(rows, 1);
                *self = Self::Narrow(narrow);
                self.push(measure, rows);
            }
            Self::Narrow(narrow) => match i64::try_from(measure) {
                Ok(measure) => narrow.push(measure),
                Err(_) => {
                    let mut wide = Vec::with_capacity((rows + 1).next_power_of_two());
                    wide.extend(narrow.iter().map(|measure| i128::from(*measure)));
                    wide.push(measure);
                    *self = Self::Wide(wide);
                }
            },
            Self::Wide(wide) => wide.push(measure),
        }
    }

    fn get(&self, row: usize) -> i128 {
        match self {
            Self::Ones => 1,
            Self::Narrow(narrow) => narrow.get(row).copied().map_or(0, i128::from),
            Self::Wide(wide) => wide.get(row).copied().unwrap_or(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows(view: &View, times: (i64, i64)) -> Vec<(i64, i128, u32)> {
        let mut rows = Vec::new();
        let taken = view.rows(times, |row| {
            rows.push((row.time, row.measure, row.set));
            Ok::<_, ()>(())
        });
        assert_eq!(taken, Ok(()));
        rows
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_view_has_the_rows_of_its_times_whatever_their_width(
            pushed in prop::collection::vec((0i64..100, prop_oneof![Just(1), any::<i128>(), -9i128..9], any::<u32>()), 0..3_000),
            (from, to) in (0i64..100, 0i64..100),
        ) {
            let mut series = Series::default();
            for (time, measure, set) in &pushed {
                series.push(*time, *measure, *set, None);
            }
            let expected: Vec<_> = pushed.into_iter().filter(|(time, ..)| (from..to).contains(time)).collect();
            prop_assert_eq!(rows(&series.view((from, to)), (from, to)), expected);
        }
    }

    #[test]
    fn rows_are_compact() {
        let measure_of = [("ones", 1, 12), ("numbers", 1 << 60, 20), ("hashes", 1 << 100, 28)];
        for (name, measure, bytes) in measure_of {
            let mut series = Series::default();
            for time in 0..100_000 {
                series.push(time, measure, 0, None);
            }
            assert!(series.bytes() <= 100_000 * bytes + 100_000, "{name}: {} bytes", series.bytes());
        }
    }
}
