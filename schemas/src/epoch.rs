//! The epoch: one atomic commit of a partition, and the unit of truth.
//!
//! What a partition is, is a fold over its epochs: each says how far its inputs were read, what became of
//! the events, and which rows it adds to which table. Epochs are numbered from 1 without gaps and chained: each holds the hash of
//! the document before it, and the hash of everything it refers to (EPOCH-1). Wire name: `epoch.v1`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::{AddAssign, Neg, Sub};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::money::Money;
use crate::timestamp::Timestamp;

/// Version of the format that this program writes.
pub const EPOCH_FORMAT: u32 = 1;

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Epoch {
    /// Version of this document's format.
    pub format: u32,
    /// Ledger it belongs to.
    pub ledger_id: String,
    /// Partition.
    pub partition: u32,
    /// Number, from 1 without gaps within the partition.
    pub epoch: u64,
    /// Hash of the document before it; of the first, hash of the ledger's id.
    pub previous: ContentHash,
    /// When it was committed, by the clock of the machine. Nothing follows from it but this record.
    pub recorded_at: Timestamp,
    /// Program that made it.
    pub tallybook_version: String,
    /// Why there is it.
    pub cause: EpochCause,
    /// Catalog it was rated with.
    pub catalog: ContentHash,
    /// How far inputs were read.
    pub positions: Vec<InputProgress>,
    /// What became of the events.
    pub counts: EventCounts,
    /// The counts by source, type and calendar month.
    pub control_totals: Vec<EpochControlTotal>,
    /// Rejected events by reason.
    pub rejected_by_reason: BTreeMap<String, i64>,
    /// Usages without a price, by reason.
    pub unrated_by_reason: BTreeMap<String, i64>,
    /// Texts that the partition met for the first time.
    pub new_texts: EpochTexts,
    /// Exact sum of the amounts of its rated usage, by currency.
    pub rated: Vec<Money>,
    /// Exact sum of what its accruals change, by currency.
    pub accrued: Vec<Money>,
    /// Sum of what its accruals post, by currency.
    pub posted: Vec<Money>,
    /// Is all usage of this epoch and those before it accrued?
    pub is_accrued: bool,
    /// Usage of a time before it is refused from here on: identities of it may be forgotten.
    pub forgets_before: Option<Timestamp>,
    /// Quarantined records that are settled by it, and how.
    pub settled: Vec<SettledRecord>,
    /// Rows and other contents, in the order they follow the document where they are not files of their own.
    pub contents: Vec<EpochContent>,
}

/// Why there is an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EpochCause {
    /// Counts and rates usage from inputs.
    Usage,
    /// Decides quarantined records again.
    Replay,
    /// Another catalog is in force from here on.
    Catalog,
}

/// How far an input was read by an epoch: `(from, to]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InputProgress {
    /// Name it was given by.
    pub input: String,
    /// The file that it is; absent for standard input, which cannot be read again.
    pub file: Option<InputFile>,
    /// Bytes done before, after decompression.
    pub from_offset: u64,
    /// Bytes done now.
    pub to_offset: u64,
    /// Lines done now.
    pub to_line: u64,
    /// Was it read to its end?
    pub is_complete: bool,
}

/// What a file is known by: a file that differs in any of it is another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct InputFile {
    /// Absolute path, without links.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// Time of its last change, in nanoseconds since 1970.
    pub modified_ns: i64,
}

/// What became of events. Counts of an epoch are changes: a replay takes events out of `rejected`, say, and
/// puts them into `rated`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventCounts {
    /// Events read.
    pub received: i64,
    /// Events with a price under every meter that counts them.
    pub rated: i64,
    /// Events that were counted but lack a price under a meter that counts them.
    pub unrated: i64,
    /// Events seen before with the same content.
    pub duplicate: i64,
    /// Events seen before with other content.
    pub conflict: i64,
    /// Events that are not valid.
    pub rejected: i64,
    /// Events taken back.
    pub voided: i64,
}

impl AddAssign for EventCounts {
    fn add_assign(&mut self, other: Self) {
        self.received += other.received;
        self.rated += other.rated;
        self.unrated += other.unrated;
        self.duplicate += other.duplicate;
        self.conflict += other.conflict;
        self.rejected += other.rejected;
        self.voided += other.voided;
    }
}

impl Neg for EventCounts {
    type Output = Self;

    fn neg(self) -> Self {
        Self {
            received: -self.received,
            rated: -self.rated,
            unrated: -self.unrated,
            duplicate: -self.duplicate,
            conflict: -self.conflict,
            rejected: -self.rejected,
            voided: -self.voided,
        }
    }
}

impl Sub for EventCounts {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self += -other;
        self
    }
}

/// Counts of one source, type and calendar month (UTC).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EpochControlTotal {
    /// Producer; absent where it could not be read.
    pub source: Option<String>,
    /// Event type; absent where it could not be read.
    pub event_type: Option<String>,
    /// Calendar month of the event time, `2026-10`; absent where it could not be read.
    pub month: Option<String>,
    /// What became of the events.
    pub counts: EventCounts,
}

/// Texts, each where it was met first, in that order: a partition knows texts by their number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EpochTexts {
    /// Sources.
    pub sources: Vec<String>,
    /// Event types.
    pub event_types: Vec<String>,
    /// Values by the name of their dimension.
    pub dimensions: BTreeMap<String, Vec<String>>,
}

/// A quarantined record that needs no more care.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SettledRecord {
    /// Its id in quarantine.
    pub quarantine_id: String,
    /// What became of it.
    pub outcome: SettledOutcome,
}

/// What became of a quarantined record that was decided again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SettledOutcome {
    /// Its usage is rated now.
    Rated,
    /// It is in quarantine for another reason now, as a record of this epoch.
    Quarantined,
    /// The event was counted meanwhile.
    Duplicate,
}

impl SettledOutcome {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rated => "rated",
            Self::Quarantined => "quarantined",
            Self::Duplicate => "duplicate",
        }
    }
}

/// Rows of a table, or another content of an epoch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EpochContent {
    /// What it is.
    pub kind: ContentKind,
    /// Rows, or entries.
    pub rows: u64,
    /// Length in bytes.
    pub bytes: u64,
    /// BLAKE3 of the bytes.
    pub hash: ContentHash,
    /// File that holds the bytes, below the data directory; absent where they follow the document.
    pub file: Option<String>,
}

/// What a content of an epoch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentKind {
    /// Rated usage, as Parquet.
    RatedUsage,
    /// Quarantined records, as Parquet.
    Quarantine,
    /// Accruals, as Parquet.
    Accruals,
    /// Identities that were counted: entries of 24 bytes, or a sorted run of them where it is a file.
    Identities,
    /// What rated usage does not say but its charge depends on: entries of 36 bytes.
    UsageDetails,
}

impl ContentKind {
    /// Wire name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RatedUsage => "rated_usage",
            Self::Quarantine => "quarantine",
            Self::Accruals => "accruals",
            Self::Identities => "identities",
            Self::UsageDetails => "usage_details",
        }
    }
}

/// A BLAKE3 hash; in JSON 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    fn parse(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        if text.len() != 64 || text.bytes().any(|digit| digit.is_ascii_uppercase()) {
            return None;
        }
        for (byte, digits) in hash.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digit = |position: usize| char::from(*digits.get(position)?).to_digit(16);
            *byte = u8::try_from((digit(0)? << 4) | digit(1)?).ok()?;
        }
        Some(Self(hash))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for ContentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ContentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("not 64 lower-case hexadecimal digits"))
    }
}

impl JsonSchema for ContentHash {
    fn schema_name() -> Cow<'static, str> {
        "ContentHash".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "description": "A BLAKE3 hash.", "type": "string", "pattern": "^[0-9a-f]{64}$" })
    }
}
