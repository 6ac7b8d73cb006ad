//! `quarantine`: which records, and what to do with them.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use schemas::quarantine::{CONFLICT, QuarantineClass, RejectReason, UnratedReason};

use super::{DATA, RowFormat};

/// `quarantine`.
#[derive(Debug, Args)]
pub struct QuarantineArguments {
    /// What to do.
    #[command(subcommand)]
    pub action: QuarantineAction,
}

/// What to do with quarantine.
#[derive(Debug, Subcommand)]
pub enum QuarantineAction {
    /// List records that need care, by reason
    List(ListArguments),
    /// Show all of a record, what to do about it, and what became of it
    Show(ShowArguments),
    /// Decide open records again under a mended catalog, and commit what comes of them
    Replay(ReplayArguments),
    /// Print records as NDJSON, their bytes in base64
    Export(RecordExportArguments),
}

/// Which records.
#[derive(Clone, Debug, Default, Args)]
pub struct RecordFilter {
    /// Only records of a class
    #[arg(long, value_enum)]
    pub class: Option<Class>,
    /// Only records with a reason, as `list` prints it
    #[arg(long, value_name = "REASON", value_parser = reason)]
    pub reason: Option<String>,
    /// Only records of an input: its name, or the end of its path
    #[arg(long, value_name = "INPUT")]
    pub input: Option<String>,
}

/// A class of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Class {
    /// No valid usage event
    Rejected,
    /// The identity of another event, with other content
    Conflict,
    /// Counted, but without a price
    Unrated,
}

impl From<Class> for QuarantineClass {
    fn from(class: Class) -> Self {
        match class {
            Class::Rejected => Self::Rejected,
            Class::Conflict => Self::Conflict,
            Class::Unrated => Self::Unrated,
        }
    }
}

fn reason(text: &str) -> Result<String, String> {
    let is_known =
        text == CONFLICT || RejectReason::of_code(text).is_some() || UnratedReason::of_code(text).is_some();
    if is_known {
        return Ok(text.to_owned());
    }
    let codes = RejectReason::ALL.iter().copied().map(RejectReason::code);
    let codes: Vec<_> = codes.chain(UnratedReason::ALL.iter().copied().map(UnratedReason::code)).collect();
    Err(format!("there is no such reason; reasons are {CONFLICT}, {}", codes.join(", ")))
}

/// `quarantine list`.
#[derive(Debug, Args)]
pub struct ListArguments {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub filter: RecordFilter,
    /// Records that are settled, and how, instead of open ones
    #[arg(long)]
    pub settled: bool,
    /// Most records; in a table 100 when left out
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
    /// How records are printed
    #[arg(long, short, value_enum, default_value_t = RowFormat::Table)]
    pub format: RowFormat,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
}

/// `quarantine show`.
#[derive(Debug, Args)]
pub struct ShowArguments {
    /// Id of the record, as `list` prints it
    #[arg(value_name = "ID")]
    pub id: String,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
}

/// `quarantine export`.
#[derive(Debug, Args)]
pub struct RecordExportArguments {
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub filter: RecordFilter,
    /// Records that are settled, instead of open ones
    #[arg(long)]
    pub settled: bool,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
}

/// `quarantine replay`.
#[derive(Debug, Args)]
pub struct ReplayArguments {
    /// Only these records
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub filter: RecordFilter,
    /// Directory of the mended catalog
    #[arg(long, short, value_name = "DIR")]
    pub catalog: PathBuf,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Print what became of them as JSON
    #[arg(long)]
    pub json: bool,
}
