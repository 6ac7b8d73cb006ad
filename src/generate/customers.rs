//! The customers of the workload: accounts, the contract lines they are under, and how active they are.

use super::fixed_point::{ONE, Powers, log2};
use super::prices::PRICE_BOOKS;
use super::random::{Random, Stream};

/// Ids of the legal entities, and how many lines in a hundred are theirs.
pub(super) const LEGAL_ENTITIES: [&str; 4] = ["LE-US", "LE-EU", "LE-UK", "LE-SG"];
const ENTITY_SHARES: [u64; 4] = [50, 25, 15, 10];

/// Currencies, and how many lines in a hundred are in them. All have cents.
pub(super) const CURRENCIES: [&str; 3] = ["USD", "EUR", "GBP"];
const CURRENCY_SHARES: [u64; 3] = [60, 25, 15];

/// Of ten accounts, eight have a contract line of their own; the others share one of these.
const LINES_IN_TEN_ACCOUNTS: u32 = 8;

/// Zipf's exponent of activity, in tenths: the account of rank k is used `k^-1.1` as much as the first.
const ACTIVITY_EXPONENT_TENTHS: i64 = 11;

/// Weight of the most active account, as a power of two.
const FIRST_WEIGHT: i64 = 40;

/// Slices of all activity, each with the rank it begins in.
const SLICES: usize = 1 << 16;

/// The most active accounts, which have more users.
const LARGE_ACCOUNTS: usize = 200;

/// What a contract line says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LineTerms {
    pub(super) legal_entity: usize,
    pub(super) currency: usize,
    pub(super) price_book: usize,
}

/// The accounts and contract lines.
#[derive(Debug)]
pub(super) struct Customers {
    /// Per account, its contract line.
    line_of: Vec<u32>,
    lines: Vec<LineTerms>,
    /// Per rank of activity, the account.
    ranked: Vec<u32>,
    /// Per rank, the activity of it and all before it.
    activity: Vec<u64>,
    slices: Vec<u32>,
    /// Per account, the number of its first user among all; one more at the end.
    first_user: Vec<u64>,
}

impl Customers {
    pub(super) fn new(accounts: u32, seed: u64) -> Self {
        let mut random = Random::new(seed, Stream::Accounts, 0);
        let own_lines = (accounts / 10 * LINES_IN_TEN_ACCOUNTS).max(1);
        let mut line_of: Vec<u32> = (0..accounts)
            .map(|account| if account < own_lines { account } else { small(random.below(own_lines.into())) })
            .collect();
        shuffle(&mut line_of, &mut random);
        let mut ranked: Vec<u32> = (0..accounts).collect();
        shuffle(&mut ranked, &mut random);
        let lines = (0..own_lines).map(|line| {
            let mut random = Random::new(seed, Stream::Lines, line.into());
            LineTerms {
                legal_entity: random.weighted(&ENTITY_SHARES),
                currency: random.weighted(&CURRENCY_SHARES),
                price_book: usize::try_from(random.below(PRICE_BOOKS.len() as u64)).unwrap_or(0),
            }
        });
        let lines = lines.collect();
        let powers = Powers::new();
        let activity = activity(accounts, &powers);
        let slices = slices(&activity);
        let first_user = first_users(&ranked, &powers, &mut random);
        Self { line_of, lines, ranked, activity, slices, first_user }
    }

    /// Number of accounts.
    pub(super) const fn accounts(&self) -> usize {
        self.line_of.len()
    }

    /// Number of contract lines.
    pub(super) const fn lines(&self) -> usize {
        self.lines.len()
    }

    /// The contract line of an account.
    pub(super) fn line_of(&self, account: usize) -> usize {
        self.line_of.get(account).map_or(0, |line| *line as usize)
    }

    /// What a contract line says.
    pub(super) fn terms(&self, line: usize) -> LineTerms {
        let none = LineTerms { legal_entity: 0, currency: 0, price_book: 0 };
        self.lines.get(line).copied().unwrap_or(none)
    }

    /// Any account, the more active the likelier.
    pub(super) fn any_account(&self, random: &mut Random) -> u32 {
        let point = random.below(self.activity.last().copied().unwrap_or(0));
        let slice = self.slice_of(point);
        let rank_from = |slice: usize| self.slices.get(slice).map_or(0, |rank| *rank as usize);
        let (from, to) = (rank_from(slice), (rank_from(slice + 1) + 1).min(self.activity.len()));
        let within = self.activity.get(from..to).unwrap_or_default();
        let rank = from + within.partition_point(|activity| *activity <= point);
        self.ranked.get(rank).copied().unwrap_or(0)
    }

    fn slice_of(&self, point: u64) -> usize {
        let total = self.activity.last().copied().unwrap_or(1);
        usize::try_from(u128::from(point) * SLICES as u128 / u128::from(total)).unwrap_or(0)
    }

    /// The numbers of an account's users among all users.
    pub(super) fn users(&self, account: usize) -> std::ops::Range<u64> {
        let at = |account: usize| self.first_user.get(account).copied().unwrap_or(0);
        at(account)..at(account + 1)
    }

    /// Number of all users.
    pub(super) fn all_users(&self) -> u64 {
        self.first_user.last().copied().unwrap_or(0)
    }
}

fn small(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn shuffle(items: &mut [u32], random: &mut Random) {
    for last in (1..items.len()).rev() {
        let other = usize::try_from(random.below(last as u64 + 1)).unwrap_or(last);
        items.swap(last, other);
    }
}

fn activity(accounts: u32, powers: &Powers) -> Vec<u64> {
    let mut sum = 0;
    let weights = (1..=u64::from(accounts)).map(|rank| {
        sum += powers.power(FIRST_WEIGHT * ONE - log2(rank) * ACTIVITY_EXPONENT_TENTHS / 10);
        sum
    });
    weights.collect()
}

/// Per slice of all activity, the rank that its first point is in; the last rank at the end.
fn slices(activity: &[u64]) -> Vec<u32> {
    let total = u128::from(activity.last().copied().unwrap_or(0));
    let starts = (0..=SLICES).map(|slice| {
        let start = u64::try_from(total * slice as u128 / SLICES as u128).unwrap_or(u64::MAX);
        let rank = activity.partition_point(|activity| *activity <= start);
        u32::try_from(rank.min(activity.len().saturating_sub(1))).unwrap_or(u32::MAX)
    });
    starts.collect()
}

/// Numbers of users are about log-normal: ten in the middle, 2,000 at most.
fn first_users(ranked: &[u32], powers: &Powers, random: &mut Random) -> Vec<u64> {
    let mut users = vec![0u64; ranked.len()];
    for (rank, account) in ranked.iter().enumerate() {
        // The logarithm to the base two has a mean of 3.32 and a deviation of 1.44.
        let exponent = (332 * ONE + 144 * random.normal()) / 100;
        let number = powers.power(exponent).clamp(1, 2_000);
        if let Some(users) = users.get_mut(*account as usize) {
            *users = number + if rank < LARGE_ACCOUNTS { 500 } else { 0 };
        }
    }
    let mut sum = 0;
    let mut first = vec![0];
    first.extend(users.into_iter().map(|users| {
        sum += users;
        sum
    }));
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activity_falls_with_rank_and_every_account_has_a_line() {
        let customers = Customers::new(1_000, 42);
        assert_eq!((customers.accounts(), customers.lines()), (1_000, 800));
        let mut used = vec![0u32; 1_000];
        let mut random = Random::new(42, Stream::Usage, 0);
        for _ in 0..100_000 {
            used[customers.any_account(&mut random) as usize] += 1;
        }
        let of_rank = |rank: usize| used[customers.ranked[rank] as usize];
        // Of 1,000 accounts the first has 1 / sum(k^-1.1) of everything, the tenth 10^-1.1 of that.
        assert!(of_rank(0).abs_diff(17_900) < 600, "{}", of_rank(0));
        assert!(of_rank(9).abs_diff(1_420) < 200, "{}", of_rank(9));
        assert!(used.iter().filter(|used| **used > 0).count() > 950);
        assert!((0..1_000).all(|account| customers.line_of(account) < 800));
        assert!((0..1_000).all(|account| !customers.users(account).is_empty()));
    }
}
