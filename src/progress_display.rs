//! Shows how far a run is, on standard error: a line for every stage that ends, and on a terminal a
//! bar with rate and remaining time for the stage that runs.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::progress::{Progress, Stage};
use crate::summary::{grouped, show_duration};

/// Time between two looks at the progress.
const INTERVAL: Duration = Duration::from_millis(100);

/// A display that ends, with everything shown, when it is dropped.
pub(crate) struct ProgressDisplay {
    running: Option<(Sender<()>, JoinHandle<()>)>,
}

impl ProgressDisplay {
    /// Begins showing a run's progress, unless it should be quiet.
    pub(crate) fn start(progress: &Arc<Progress>, quiet: bool) -> Self {
        if quiet {
            return Self { running: None };
        }
        let (end, ended) = bounded::<()>(0);
        let progress = Arc::clone(progress);
        let shown = thread::Builder::new().name("progress".to_owned()).spawn(move || {
            let mut lines = Lines { progress: &progress, bar: bar(), ended: 0 };
            while ended.recv_timeout(INTERVAL) == Err(RecvTimeoutError::Timeout) {
                lines.update();
            }
            lines.update();
            lines.bar.finish_and_clear();
        });
        // A run without a display is still a run.
        Self { running: shown.ok().map(|shown| (end, shown)) }
    }
}

impl Drop for ProgressDisplay {
    fn drop(&mut self) {
        if let Some((end, shown)) = self.running.take() {
            drop(end);
            // A display that failed is no reason to fail the run.
            let _ = shown.join();
        }
    }
}

/// A bar on the terminal; nowhere, where there is none.
pub(crate) fn bar() -> ProgressBar {
    let target =
        if stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    match ProgressStyle::with_template("{prefix:9} {wide_bar} {percent:>3} %  {msg}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

struct Lines<'a> {
    progress: &'a Progress,
    bar: ProgressBar,
    /// Stages whose end is shown.
    ended: usize,
}

impl Lines<'_> {
    fn update(&mut self) {
        let stages = self.progress.stages();
        while let Some([(stage, began), (_, ended)]) = stages.get(self.ended..self.ended + 2) {
            let line = self.line(*stage, ended.duration_since(*began));
            // A line that nobody sees is no reason to end.
            let _ = self.bar.suspend(|| writeln!(stderr(), "{line}"));
            self.ended += 1;
        }
        if let Some((stage, began)) = stages.last() {
            self.show(*stage, *began);
        }
    }

    /// What is said of a stage that ended.
    fn line(&self, stage: Stage, took: Duration) -> String {
        let duration = show_duration(took);
        let counted = |number: u64, what: &str| {
            let number = grouped(&number.to_string());
            format!("{number} {what} in {duration}{}", rate(self.work(stage), took))
        };
        let text = match stage {
            Stage::Counting => counted(self.work(stage), "events"),
            Stage::Accruing => counted(self.work(stage), "contract lines, meters and periods"),
            Stage::Catalog | Stage::Recovering | Stage::Committing | Stage::Done => duration.clone(),
        };
        format!("{:9} {text}", name(stage))
    }

    /// What a stage has done, in what people count.
    fn work(&self, stage: Stage) -> u64 {
        match stage {
            Stage::Counting => self.progress.events.load(Ordering::Relaxed),
            Stage::Accruing => self.progress.groups.load(Ordering::Relaxed),
            Stage::Catalog | Stage::Recovering | Stage::Committing | Stage::Done => 0,
        }
    }

    fn show(&self, stage: Stage, began: Instant) {
        let took = began.elapsed();
        let (done, total) = self.progress.of(stage).unwrap_or((0, 0));
        self.bar.set_prefix(name(stage));
        self.bar.set_length(total);
        self.bar.set_position(done);
        let remaining = u128::from(total.saturating_sub(done)) * took.as_millis() / u128::from(done.max(1));
        let remaining = Duration::from_millis(u64::try_from(remaining).unwrap_or(u64::MAX));
        let left = if total > 0 { format!("  {} left", show_duration(remaining)) } else { String::new() };
        let work = self.work(stage);
        self.bar.set_message(format!("{}{}{left}", grouped(&work.to_string()), rate(work, took)));
    }
}

const fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Catalog => "catalog",
        Stage::Recovering => "recovered",
        Stage::Counting => "counted",
        Stage::Accruing => "accrued",
        Stage::Committing => "committed",
        Stage::Done => "done",
    }
}

/// Work per second, once there is enough to tell.
fn rate(work: u64, took: Duration) -> String {
    let millis = took.as_millis();
    if work == 0 || millis < 10 {
        return String::new();
    }
    let per_second = u128::from(work) * 1000 / millis;
    format!(" ({}/s)", grouped(&per_second.to_string()))
}
