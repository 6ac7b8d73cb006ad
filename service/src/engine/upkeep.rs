//! The thread that writes checkpoints and tables while others commit; one piece of work at a time.

use std::thread::{self, JoinHandle};

use aggregate::error::AggregateError;
use aggregate::maintenance::{Maintained, Maintenance};
use crossbeam_channel::{Receiver, Sender, bounded};

/// Work that is done beside commits. When it is dropped, what was begun is done first.
pub(super) struct Upkeep {
    begun: Option<Sender<Maintenance>>,
    done: Receiver<Maintained>,
    is_working: bool,
    thread: Option<JoinHandle<()>>,
}

impl Upkeep {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the operating system says.
    pub(super) fn start() -> std::io::Result<Self> {
        let (begun, work) = bounded::<Maintenance>(1);
        let (finished, done) = bounded(1);
        let run = move || {
            for work in work {
                if finished.send(work.run()).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("upkeep".to_owned()).spawn(run)?;
        Ok(Self { begun: Some(begun), done, is_working: false, thread: Some(thread) })
    }

    /// Is work being done?
    pub(super) const fn is_working(&self) -> bool {
        self.is_working
    }

    /// Begins a piece of work; the one before has ended.
    pub(super) fn begin(&mut self, work: Maintenance) -> Result<(), AggregateError> {
        self.is_working = true;
        let sent = self.begun.as_ref().is_some_and(|begun| begun.send(work).is_ok());
        if sent { Ok(()) } else { Err(AggregateError::Stopped) }
    }

    /// What tells that work is done.
    pub(super) const fn done(&self) -> &Receiver<Maintained> {
        &self.done
    }

    /// Notes that work is done.
    pub(super) const fn note_done(&mut self) {
        self.is_working = false;
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.begun = None;
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}
