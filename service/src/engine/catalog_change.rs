//! Taking another catalog into force between two epochs.
//!
//! ```text
//! decoders:  ... old batches | stopped ............... | new batches
//! writer:    ... decides them, commits | changes, commits the change | goes on
//! ```
//!
//! Decoders stop between two submissions. What they had decoded is decided and committed under the catalog that it was
//! decoded with; the change is an epoch of its own. Requests wait meanwhile, and nobody is refused.

use std::sync::Arc;

use aggregate::account_charges::AccountCharges;
use aggregate::error::AggregateError;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use rating::catalog::Catalog;
use schemas::epoch::ContentHash;
use tokio::sync::oneshot;

use super::decoding::{Decoded, Pause};
use super::in_force::InForce;
use super::writing::Writing;

/// Lets a decoder go on, under another catalog if there is one.
type Go = Sender<Option<Arc<InForce>>>;

/// A catalog to take into force; it is kept where epochs that name it find it.
#[derive(Debug)]
pub(super) struct CatalogCommand {
    pub(super) hash: ContentHash,
    pub(super) catalog: Arc<Catalog>,
    pub(super) reply: oneshot::Sender<CatalogChange>,
}

/// What became of a change of the catalog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CatalogChange {
    /// It is in force, and this epoch records it; none where nothing was counted yet, or it was in force already.
    InForce(Option<u64>),
    /// It would change what is rated already; in words, with what to do.
    Refused(String),
}

impl Writing {
    /// Takes a catalog into force.
    pub(super) fn change_catalog(
        &mut self,
        command: CatalogCommand,
        decoded: &Receiver<Decoded>,
    ) -> Result<(), AggregateError> {
        let CatalogCommand { hash, catalog, reply } = command;
        if self.in_force.borrow().hash == hash {
            let _ = reply.send(CatalogChange::InForce(None));
            return Ok(());
        }
        let Some(stopped) = self.stop_decoders(decoded)? else { return Ok(()) };
        self.commit(true)?;
        let changed = self.writer.change_catalog((hash, Arc::clone(&catalog)), self.options.decoders);
        let epoch = match changed {
            Ok(epoch) => epoch,
            Err(AggregateError::CatalogConflict(conflicts)) => {
                go_on(&stopped, None);
                let _ = reply.send(CatalogChange::Refused(conflicts.to_string()));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        self.usage.change_catalog(self.writer.partition())?;
        self.accounts = AccountCharges::default();
        self.accounts.follow(self.writer.partition().decider.totals());
        self.redecider = None;
        let in_force = Arc::new(InForce::new(hash, catalog, *self.writer.partition().directory().key()));
        self.own.change_catalog(self.writer.add_decoder(), &in_force);
        self.in_force.send_replace(Arc::clone(&in_force));
        if let Some(epoch) = &epoch {
            self.note(epoch);
        }
        go_on(&stopped, Some(&in_force));
        tracing::info!(%hash, "another catalog is in force");
        let _ = reply.send(CatalogChange::InForce(epoch.map(|epoch| epoch.epoch)));
        Ok(())
    }

    /// Stops all decoders between two submissions, and decides what they decoded; what lets each go on, or nothing where
    /// they have ended.
    fn stop_decoders(&mut self, decoded: &Receiver<Decoded>) -> Result<Option<Vec<Go>>, AggregateError> {
        let (stopped, stops) = bounded(self.pauses.len());
        let mut waiting = Vec::new();
        for pause in &self.pauses {
            let (go, gone) = bounded(1);
            if pause.send(Pause { stopped: stopped.clone(), go: gone }).is_err() {
                return Ok(None);
            }
            waiting.push(go);
        }
        drop(stopped);
        let mut running = waiting.len();
        while running > 0 {
            select! {
                recv(stops) -> stop => match stop {
                    Ok(()) => running -= 1,
                    Err(_) => return Ok(None),
                },
                recv(decoded) -> batch => if let Ok(batch) = batch {
                    self.decide(batch)?;
                },
            }
        }
        while let Ok(batch) = decoded.try_recv() {
            self.decide(batch)?;
        }
        Ok(Some(waiting))
    }
}

/// Lets decoders go on, under another catalog if there is one.
fn go_on(stopped: &[Go], in_force: Option<&Arc<InForce>>) {
    for go in stopped {
        // A decoder that is gone decodes nothing.
        let _ = go.send(in_force.cloned());
    }
}
