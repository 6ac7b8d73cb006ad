//! DEDUP-1 and the promise of an acknowledgement: what is counted, against what was sent and answered.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rows::Row;
use super::{Audit, Epoch, rule};
use crate::history::{Answer, Event, Identity, Sent, Verdict};

/// What the rows of all epochs say of events.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) events: BTreeMap<Identity, CountedEvent>,
    /// Conflicts and rejected events, by their bytes: how many there are.
    conflicts: BTreeMap<Vec<u8>, usize>,
    rejected: BTreeMap<Vec<u8>, usize>,
    /// Duplicates, of which there are no rows.
    duplicates: i64,
}

/// An event that is counted.
#[derive(Debug, Default)]
pub(crate) struct CountedEvent {
    pub(crate) epoch: u64,
    /// Its rated usage, by meter.
    pub(crate) rated: BTreeMap<String, Row>,
    /// Its bytes, where it lacks a price.
    pub(crate) unrated: Option<Vec<u8>>,
}

/// Collects what epochs count, each once.
pub(crate) fn count(epochs: &[Arc<Epoch>]) -> Audit<Counted> {
    let mut counted = Counted::default();
    for epoch in epochs {
        let number = epoch.number;
        counted.duplicates += epoch.document["counts"]["duplicate"].as_i64().unwrap_or(0);
        for row in epoch.rows("rated_usage") {
            rule(row.integer("epoch")? == number.into(), || format!("epoch {number} has a row of another"))?;
            let identity = (row.text("source")?.to_owned(), row.event_id()?);
            let event = counted.event(&identity, number)?;
            let meter = row.text("meter_id")?.to_owned();
            let is_new = event.rated.insert(meter.clone(), row.clone()).is_none();
            rule(is_new, || format!("{identity:?} is counted twice by {meter} in epoch {number}"))?;
        }
        for row in epoch.rows("quarantine") {
            rule(row.integer("epoch")? == number.into(), || format!("epoch {number} has a row of another"))?;
            let bytes = row.bytes("bytes")?.to_vec();
            match row.text("class")? {
                "conflict" => *counted.conflicts.entry(bytes).or_default() += 1,
                "rejected" => *counted.rejected.entry(bytes).or_default() += 1,
                "unrated" => {
                    let identity = (row.text("source")?.to_owned(), row.text("event_id")?.to_owned());
                    counted.event(&identity, number)?.unrated = Some(bytes);
                }
                class => return Err(format!("a row of class {class}")),
            }
        }
    }
    Ok(counted)
}

impl Counted {
    fn event(&mut self, identity: &Identity, epoch: u64) -> Audit<&mut CountedEvent> {
        let event = self
            .events
            .entry(identity.clone())
            .or_insert_with(|| CountedEvent { epoch, ..CountedEvent::default() });
        rule(event.epoch == epoch, || {
            format!("{identity:?} is counted twice: in epoch {} and in epoch {epoch}", event.epoch)
        })?;
        Ok(event)
    }

    /// Compares with what clients know, who were read up to here from the file.
    pub(crate) fn check(&self, history: &[Sent], file_end: u64) -> Audit<()> {
        let mut by_identity: BTreeMap<&Identity, Vec<&Sent>> = BTreeMap::new();
        for sent in history {
            by_identity.entry(&sent.event.identity).or_default().push(sent);
        }
        for identity in self.events.keys() {
            rule(by_identity.contains_key(identity), || {
                format!("{identity:?} is counted, and nobody sent it")
            })?;
        }
        for (identity, sent) in &by_identity {
            self.check_identity(sent, file_end).map_err(|what| format!("{identity:?} {what}"))?;
        }
        bounds("conflict", &self.conflicts, history, Verdict::Conflict)?;
        bounds("rejected event", &self.rejected, history, Verdict::Rejected)?;
        let told = |answer| history.iter().filter(|sent| sent.answer == answer).count();
        let least = told(Answer::Told(Verdict::Duplicate));
        let most = least + told(Answer::None);
        let found = usize::try_from(self.duplicates).unwrap_or(0);
        rule((least..=most).contains(&found), || format!("{found} duplicates, not {least} to {most}"))
    }

    fn check_identity(&self, sent: &[&Sent], file_end: u64) -> Audit<()> {
        let counted = self.events.get(&sent[0].event.identity);
        let content = match counted {
            None => None,
            Some(counted) => {
                let content = sent.iter().find(|sent| counted.is(&sent.event)).map(|sent| &sent.event);
                Some(
                    content
                        .ok_or_else(|| format!("is counted with a content that nobody sent: {counted:?}"))?,
                )
            }
        };
        let mut accepted = 0;
        let mut before: BTreeSet<&[u8]> = BTreeSet::new();
        for sent in sent {
            let is_counted = content.is_some_and(|content| content.bytes == sent.event.bytes);
            let was_sent = before.contains(sent.event.bytes.as_slice());
            let holds = match sent.answer {
                Answer::None => {
                    let is_passed = sent.end.is_some_and(|end| end <= file_end);
                    let is_kept = self.conflicts.contains_key(&sent.event.bytes)
                        || self.rejected.contains_key(&sent.event.bytes);
                    !is_passed || is_counted || is_kept
                }
                Answer::Told(Verdict::Accepted) => {
                    accepted += 1;
                    is_counted && accepted == 1
                }
                Answer::Told(Verdict::Duplicate) => is_counted && was_sent,
                Answer::Told(Verdict::Conflict) => content.is_some() && !is_counted && !before.is_empty(),
                Answer::Told(Verdict::Rejected) => !is_counted && !sent.event.is_valid(),
            };
            rule(holds, || {
                let state = match content {
                    None => "is not counted",
                    Some(_) if is_counted => "is counted with this content",
                    Some(_) => "is counted with other content",
                };
                format!(
                    "{state}, sent {} times before, accepted {accepted} times, but the answer is {:?}",
                    before.len(),
                    sent.answer
                )
            })?;
            before.insert(&sent.event.bytes);
        }
        Ok(())
    }
}

impl CountedEvent {
    /// Is it this event?
    pub(crate) fn is(&self, event: &Event) -> bool {
        match &self.unrated {
            Some(bytes) => *bytes == event.bytes,
            None => self.rated.values().all(|row| super::rated::is_of(row, event) == Ok(true)),
        }
    }
}

/// Are there as many rows for each event as clients know of, and no more than they can have caused?
fn bounds(what: &str, found: &BTreeMap<Vec<u8>, usize>, history: &[Sent], verdict: Verdict) -> Audit<()> {
    let mut expected: BTreeMap<&[u8], (usize, usize)> = BTreeMap::new();
    for sent in history {
        let (least, most) = expected.entry(&sent.event.bytes).or_default();
        *least += usize::from(sent.answer == Answer::Told(verdict));
        *most += usize::from(!matches!(sent.answer, Answer::Told(other) if other != verdict));
    }
    for (bytes, (least, most)) in &expected {
        let found = found.get(*bytes).copied().unwrap_or(0);
        rule((*least..=*most).contains(&found), || {
            format!("{found} rows of a {what}, not {least} to {most}: {}", String::from_utf8_lossy(bytes))
        })?;
    }
    match found.keys().find(|bytes| !expected.contains_key(bytes.as_slice())) {
        Some(bytes) => Err(format!("a {what} that nobody sent: {}", String::from_utf8_lossy(bytes))),
        None => Ok(()),
    }
}
