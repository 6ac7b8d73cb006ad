//! Checkpoints: each is whole, of an epoch of the chain, and says of the epochs before what they say.

use std::sync::Arc;

use serde_json::Value;

use super::conservation::{COUNTS, read_counts};
use super::ledger::hex;
use super::{Audit, Epoch, Files, rule};

const DIRECTORY: &str = "checkpoints/";
const MAGIC: &[u8] = b"tallybook-checks";

/// Checks all checkpoints; the epochs they are of.
pub(crate) fn check(files: &Files, epochs: &[Arc<Epoch>]) -> Audit<Vec<u64>> {
    let mut found = Vec::new();
    for (name, bytes) in files.range(DIRECTORY.to_owned()..) {
        if !name.starts_with(DIRECTORY) || !name.ends_with(".checkpoint") {
            continue;
        }
        found.push(check_one(files, bytes, epochs).map_err(|what| format!("{name}: {what}"))?);
    }
    Ok(found)
}

fn check_one(files: &Files, bytes: &[u8], epochs: &[Arc<Epoch>]) -> Audit<u64> {
    let (body, hash) =
        bytes.len().checked_sub(32).map(|end| bytes.split_at(end)).ok_or("it is no checkpoint")?;
    rule(body.starts_with(MAGIC) && blake3::hash(body).as_bytes() == hash, || "it is not whole".to_owned())?;
    let length = body.get(20..24).and_then(|length| length.try_into().ok()).map_or(0, u32::from_le_bytes);
    let description = body.get(24..24 + length as usize).ok_or("its description is cut")?;
    let description: Value =
        serde_json::from_slice(description).map_err(|error| format!("its description: {error}"))?;
    let epoch = description["epoch"].as_u64().ok_or("it names no epoch")?;
    let before = usize::try_from(epoch).ok().and_then(|epoch| epochs.get(..epoch));
    let before = before.ok_or_else(|| format!("epoch {epoch}, the last one there is is {}", epochs.len()))?;
    if let Some(last) = before.last() {
        rule(description["hash"] == hex(&last.hash), || "it is of another chain".to_owned())?;
    }
    let mut counts = [0; 7];
    for epoch in before {
        let of_epoch = read_counts(&epoch.document["counts"])?;
        counts.iter_mut().zip(of_epoch).for_each(|(sum, count)| *sum += count);
    }
    let of_books = read_counts(&description["books"]["counts"])?;
    rule(of_books == counts, || format!("{COUNTS:?} are {counts:?}, it says {of_books:?}"))?;
    for run in description["runs"].as_array().into_iter().flatten() {
        let name = run.as_str().unwrap_or_default();
        rule(files.contains_key(name), || format!("{name}, which it names, is missing"))?;
    }
    Ok(epoch)
}
