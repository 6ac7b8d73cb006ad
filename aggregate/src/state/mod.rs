//! The decider's state between two epochs as bytes, without dedup: what a checkpoint keeps and recovery begins
//! with.
//!
//! The bytes stand alone: accounts, contract lines, meters and price book versions are named, each where
//! it is met first, and a number afterwards. They hold no prices: what a charge's segments cost is what
//! the catalog says of their events. The same state gives the same bytes, whatever order hash maps are in;
//! what follows from the rest is left out. A fold that goes on from its state comes to the same bytes as one
//! that was never interrupted (RATE-2), also in the middle of a round of accruals.
//!
//! Under another catalog the state goes on only where that rates what is rated already as it was rated:
//! then going on is the same as beginning anew with these usages (RATE-1, ACCR-1). Else it says what differs
//! ([`CatalogConflicts`](crate::catalog_conflicts::CatalogConflicts)) and nothing changes. Usage that had
//! no price gets none by this.
//!
//! ```text
//! version
//! sources, event types, values of each dimension by its name, combinations of values
//! round of accruals
//! charges: key, amount, segments, newest first: price book version, terms, days, newest first
//! distinct values, sorted
//! ```
//!
//! Bytes that are damaged are an error, never a panic, and take no more memory than sound ones as long.

mod bytes;
mod catalog_names;
mod charge_record;
mod comparison;
mod decode;
mod encode;
mod resolver;
mod texts;

use std::io::{self, Write};
use std::sync::Arc;

use ingest::event_batch::NewTexts;
use ingest::keyed_hash::HashKey;
use rating::catalog::Catalog;

use crate::decider::Decider;
use crate::error::AggregateError;
use bytes::{ByteReader, ByteWriter, Damage};

/// The version of the format.
const VERSION: u64 = 1;

impl Decider {
    /// Writes the state, without dedup.
    ///
    /// # Errors
    /// What `to` says.
    pub fn encode_state(&self, to: &mut impl Write) -> io::Result<()> {
        let mut writer = ByteWriter::new(to);
        writer.number(VERSION);
        texts::encode_interner(&self.sources, &mut writer)?;
        texts::encode_interner(&self.event_types, &mut writer)?;
        self.values.encode(self.totals.catalog.dimensions(), &mut writer)?;
        self.totals.encode(&mut writer)?;
        writer.pour_all()
    }

    /// A machine that goes on from encoded state, with an empty dedup.
    ///
    /// The key is the one the state was made with. `previous` is the catalog it was made with, where that
    /// is another one than `catalog`.
    ///
    /// # Errors
    /// [`AggregateError::CatalogConflict`] when the catalog would change what is rated already; another
    /// when the bytes are of another version or no state at all.
    pub fn restore(
        bytes: &[u8],
        catalog: Arc<Catalog>,
        previous: Option<&Catalog>,
        key: &HashKey,
        decoders: usize,
    ) -> Result<Self, AggregateError> {
        let mut reader = ByteReader::new(bytes);
        let version = reader.number()?;
        if version != VERSION {
            return Err(AggregateError::StateVersion { found: version, known: VERSION });
        }
        let mut decider = Self::new(catalog, key, decoders);
        texts::decode_interner(&mut decider.sources, &mut reader)?;
        texts::decode_interner(&mut decider.event_types, &mut reader)?;
        decider.values.decode(decider.totals.catalog.dimensions(), &mut reader)?;
        decider.totals.decode(previous, &mut reader)?;
        if !reader.is_at_end() {
            return Err(Damage("there is more than a state").into());
        }
        Ok(decider)
    }

    /// Goes on under another catalog, with decoders that begin anew. Nothing changes on an error.
    ///
    /// # Errors
    /// [`AggregateError::CatalogConflict`] when the catalog would change what is rated already.
    pub fn change_catalog(
        &mut self,
        catalog: Arc<Catalog>,
        key: &HashKey,
        decoders: usize,
    ) -> Result<(), AggregateError> {
        let mut bytes = Vec::new();
        if self.encode_state(&mut bytes).is_err() {
            return Err(Damage("it cannot be written to memory").into());
        }
        let previous = Arc::clone(&self.totals.catalog);
        let mut changed = Self::restore(&bytes, catalog, Some(&previous), key, decoders)?;
        std::mem::swap(&mut changed.dedup, &mut self.dedup);
        changed.accepts_from = self.accepts_from;
        changed.note_known();
        *self = changed;
        Ok(())
    }

    /// All texts so far, in order of their numbers: what a table needs to know of a decider that did not
    /// begin with it.
    #[must_use]
    pub fn texts(&self) -> NewTexts {
        let dimensions = 0..self.totals.catalog.dimensions().len();
        NewTexts {
            sources: texts::all(&self.sources),
            event_types: texts::all(&self.event_types),
            dimensions: dimensions.map(|dimension| self.values.all(dimension)).collect(),
        }
    }
}
