//! All cores on a list of plans.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::world::Plan;

/// Runs plans until one fails: the first of those that failed, and why. A panic is a failure.
pub(crate) fn first_failure(
    plans: &[Plan],
    run: impl Fn(&Plan) -> Result<(), String> + Sync,
) -> Option<(usize, String)> {
    let next = AtomicUsize::new(0);
    let failure: Mutex<Option<(usize, String)>> = Mutex::new(None);
    let work = || {
        loop {
            let position = next.fetch_add(1, Ordering::SeqCst);
            let Some(plan) = plans.get(position) else { return };
            let result = catch_unwind(AssertUnwindSafe(|| run(plan)));
            let Err(what) = result.unwrap_or_else(|panic| Err(format!("panicked: {}", text(panic.as_ref()))))
            else {
                continue;
            };
            let mut failure = failure.lock().unwrap();
            if failure.as_ref().is_none_or(|(first, _)| position < *first) {
                *failure = Some((position, what));
            }
            next.store(plans.len(), Ordering::SeqCst);
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    failure.into_inner().unwrap()
}

fn text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("something")
}
