//! The catalog that events are counted under.

use std::sync::Arc;

use aggregate::replay::number_accounts;
use ingest::decoder::Decoder;
use ingest::interner::Interner;
use ingest::keyed_hash::HashKey;
use ingest::metering::MeteringPlan;
use rating::catalog::Catalog;
use schemas::epoch::ContentHash;

/// A catalog in force, with what decoders and readers need of it.
#[derive(Debug)]
pub struct InForce {
    /// Its hash.
    pub hash: ContentHash,
    /// The catalog.
    pub catalog: Arc<Catalog>,
    /// Its accounts, by number.
    pub(super) accounts: Arc<Interner>,
    plan: Arc<MeteringPlan>,
    key: HashKey,
}

impl InForce {
    pub(super) fn new(hash: ContentHash, catalog: Arc<Catalog>, key: HashKey) -> Self {
        let plan = Arc::new(MeteringPlan::new(catalog.meters()));
        let accounts = Arc::new(number_accounts(&catalog));
        Self { hash, catalog, accounts, plan, key }
    }

    /// A decoder that begins anew.
    pub(super) fn decoder(&self, number: usize) -> Decoder {
        Decoder::new(number, Arc::clone(&self.plan), Arc::clone(&self.accounts), self.key)
    }

    /// Columns of dimensions that a batch has.
    pub(super) fn dimensions(&self) -> usize {
        self.plan.dimensions().len()
    }
}
