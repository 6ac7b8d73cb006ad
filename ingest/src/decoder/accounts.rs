//! Fills the account column of a batch.

use crate::event_batch::{EventColumns, EventText, UNKNOWN_ACCOUNT};
use crate::interner::{Aim, Interner};

/// Accounts looked up with their slots loaded ahead.
const TOUCH_AHEAD: usize = 64;

/// Fills the account column from the subjects. A large catalog makes every look-up a cache miss;
/// done for many events at a time the misses overlap.
pub(super) fn find_accounts(accounts: &Interner, bytes: &[u8], unescaped: &[u8], events: &mut EventColumns) {
    let place = |EventText { subject, .. }: &EventText| {
        let start = subject.start as usize;
        (if subject.unescaped { unescaped } else { bytes }, start, start + subject.length as usize)
    };
    let mut aims = [Aim::default(); TOUCH_AHEAD];
    for texts in events.text.chunks(TOUCH_AHEAD) {
        for (aim, text) in aims.iter_mut().zip(texts) {
            let (buffer, start, end) = place(text);
            *aim = accounts.aim(buffer, start, end);
        }
        // A loop of nothing but loads, so that as many as can be wait together.
        std::hint::black_box(aims.iter().fold(0, |sum, aim| sum ^ accounts.touch(*aim)));
        events.account.extend(aims.iter().zip(texts).map(|(aim, text)| {
            let (buffer, start, _) = place(text);
            accounts.find_aimed(*aim, buffer, start).unwrap_or(UNKNOWN_ACCOUNT)
        }));
    }
}
