//! The command line.

mod quarantine;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use schemas::id::CsvMappingId;

use crate::generate::{ACCOUNTS_DEFAULT, ACCOUNTS_MAX};
use crate::pipeline::EPOCH_EVENTS;
pub use quarantine::{
    Class, ListArguments, QuarantineAction, QuarantineArguments, RecordExportArguments, RecordFilter,
    ReplayArguments, ShowArguments,
};

/// The data directory, when nobody says.
const DATA: &str = "data";

/// Usage metering and rating: every event counted once, priced exactly, ready to post.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct CommandLine {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 catalog cannot be used, \
                          4 input cannot be read, 5 data cannot be written, 6 query failed, \
                          7 data is damaged";

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Rate an hour of real LLM usage that comes with the program
    Demo(DemoArguments),
    /// Read usage, count and price it, and commit rated usage and accruals to a data directory
    Run(RunArguments),
    /// Take events over HTTP, and answer when they are committed
    Serve(ServeArguments),
    /// Check the configuration of the service, or show what holds where nothing is said
    Config(ConfigArguments),
    /// Validate a catalog and report every problem
    Check(CheckArguments),
    /// See what was refused or has no price, and decide it again once the catalog is mended
    Quarantine(QuarantineArguments),
    /// Query a data directory with SQL; without a query, at a prompt
    Query(QueryArguments),
    /// Check a data directory against what was committed to it, and say what is wrong and what to do
    Doctor(DoctorArguments),
    /// Show what is in a data directory, or in one epoch of it
    Inspect(InspectArguments),
    /// Write committed rows in ledger order, as events for other systems
    Export(ExportArguments),
    /// Write a reference workload with its catalog and its exact truth
    Generate(GenerateArguments),
    /// Answer a query of standard input, for the service
    #[command(hide = true)]
    AnswerQuery(AnswerQueryArguments),
}

/// `answer-query`.
#[derive(Debug, Args)]
pub struct AnswerQueryArguments {
    /// Data directory
    #[arg(long)]
    pub data: PathBuf,
    /// How rows are written
    #[arg(long)]
    pub format: AnswerFormat,
    /// Memory of the query
    #[arg(long)]
    pub memory_mib: u32,
    /// Rows of the answer
    #[arg(long)]
    pub rows_max: u32,
    /// Bytes of the answer
    #[arg(long)]
    pub bytes_max: u64,
}

/// How rows are written for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AnswerFormat {
    /// One JSON document
    Json,
    /// CSV with a header
    Csv,
    /// An Arrow IPC stream
    Arrow,
}

/// `demo`.
#[derive(Debug, Args)]
pub struct DemoArguments {
    /// Directory the demo is unpacked to
    #[arg(long, value_name = "DIR", default_value = "tallybook-demo")]
    pub directory: PathBuf,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub show: OutputArguments,
}

/// `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Usage: files, directories, patterns such as 'usage/*.ndjson.gz', or - for standard input
    #[arg(required = true, value_name = "INPUT")]
    pub inputs: Vec<String>,
    /// Directory of the catalog: meters, price books, contracts, legal entities
    #[arg(long, short, value_name = "DIR")]
    pub catalog: PathBuf,
    /// Data directory: made if there is none, gone on with if there is
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Read every input as CSV, by this mapping of the catalog
    #[arg(long, value_name = "ID")]
    pub csv_mapping: Option<CsvMappingId>,
    /// Threads that decode; one per core when left out
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: Option<u16>,
    /// Months for which an event is told from a repeat of it; usage that is older is refused
    #[arg(long, value_name = "N", default_value_t = 13,
          value_parser = clap::value_parser!(u16).range(1..=1200))]
    pub dedup_months: u16,
    /// Most memory for identities of events, in MiB; others are looked up on disk
    #[arg(long, value_name = "MIB", default_value_t = 1024,
          value_parser = clap::value_parser!(u32).range(1..=1 << 20))]
    pub dedup_memory: u32,
    /// Events after which what was read is committed; the same files in smaller commits are the same results
    #[arg(long, value_name = "N", default_value_t = EPOCH_EVENTS,
          value_parser = clap::value_parser!(u64).range(1_000..))]
    pub epoch_events: u64,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would become help text")]
    pub show: OutputArguments,
}

/// How a run is shown.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArguments {
    /// Print the report as JSON instead of tables
    #[arg(long)]
    pub json: bool,
    /// Show no progress
    #[arg(long, short)]
    pub quiet: bool,
}

/// `serve`.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Configuration; variables TALLYBOOK_* and options are over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Data directory: made if there is none, gone on with if there is
    #[arg(long, short, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Directory of the catalog: meters, price books, contracts, legal entities
    #[arg(long, short, value_name = "DIR")]
    pub catalog: Option<PathBuf>,
    /// Address to listen on
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
}

/// `config`.
#[derive(Debug, Args)]
pub struct ConfigArguments {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What to do with a configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigAction {
    /// Say whether a configuration can be used
    Check {
        /// Configuration; variables TALLYBOOK_* are over it
        #[arg(value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Show every setting with its default, to begin a file with
    Show,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Directory of the catalog
    #[arg(value_name = "DIR")]
    pub catalog: PathBuf,
}

/// `query`.
#[derive(Debug, Args)]
pub struct QueryArguments {
    /// The query; without it, queries are read from standard input, at a prompt on a terminal
    #[arg(value_name = "SQL")]
    pub sql: Option<String>,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// How rows are printed
    #[arg(long, short, value_enum, default_value_t = RowFormat::Table)]
    pub format: RowFormat,
}

/// How the rows of an answer are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// A table for people; only the first 1,000 rows
    Table,
    /// CSV with a line of names
    Csv,
    /// One JSON object per row
    Ndjson,
}

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArguments {
    /// Data directory
    #[arg(value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Mend what can be mended without losing anything: what was never committed, and what follows from the ledger
    #[arg(long)]
    pub repair: bool,
    /// Print the diagnosis as JSON
    #[arg(long)]
    pub json: bool,
}

/// `inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// An epoch by its number, or last; without it, the directory at a glance
    #[arg(value_name = "EPOCH", value_parser = epoch_choice)]
    pub epoch: Option<EpochChoice>,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Print the directory at a glance as JSON
    #[arg(long, conflicts_with = "epoch")]
    pub json: bool,
    /// Print the rows of the epoch too, one JSON object per line
    #[arg(long, requires = "epoch")]
    pub rows: bool,
}

/// An epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EpochChoice {
    /// By its number.
    Number(u64),
    /// The newest.
    Last,
}

fn epoch_choice(text: &str) -> Result<EpochChoice, String> {
    if text == "last" {
        return Ok(EpochChoice::Last);
    }
    text.parse().map(EpochChoice::Number).map_err(|_| "give a number, or last".to_owned())
}

/// `export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// What to export
    #[arg(value_enum, value_name = "WHAT", required_unless_present_any = ["list", "forget"])]
    pub rows: Option<Exported>,
    /// Data directory
    #[arg(long, short, value_name = "DIR", default_value = DATA)]
    pub data: PathBuf,
    /// Begin after this epoch
    #[arg(long, value_name = "EPOCH")]
    pub after: Option<u64>,
    /// End with this epoch
    #[arg(long, value_name = "EPOCH")]
    pub to: Option<u64>,
    /// Go on after what this reader was given, and note what it is given now; where it is new, begin after --after
    #[arg(long, value_name = "NAME", value_parser = reader_name)]
    pub reader: Option<String>,
    /// How rows are printed
    #[arg(long, value_enum, default_value_t = ExportFormat::Cloudevents)]
    pub format: ExportFormat,
    /// List readers with the last epoch each was given
    #[arg(long, conflicts_with_all = ["rows", "forget"])]
    pub list: bool,
    /// Forget a reader: what only it has not read may be removed
    #[arg(long, value_name = "NAME", value_parser = reader_name, conflicts_with = "rows")]
    pub forget: Option<String>,
}

fn reader_name(text: &str) -> Result<String, String> {
    if aggregate::readers::is_name(text) {
        return Ok(text.to_owned());
    }
    Err("use at most 64 letters, digits, hyphens and underscores".to_owned())
}

/// What can be exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Exported {
    /// Rated usage
    RatedUsage,
    /// Accruals
    Accruals,
    /// Quarantined records
    Quarantine,
}

/// How exported rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// One `CloudEvents` event per line
    Cloudevents,
    /// Only the data of the events
    Json,
}

/// `generate`.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    /// Events to write
    #[arg(long, short, value_name = "N", default_value_t = 1_000_000,
          value_parser = clap::value_parser!(u64).range(1..))]
    pub events: u64,
    /// Directory to write to; must not exist, or be empty
    #[arg(long, short, value_name = "DIR")]
    pub output: PathBuf,
    /// Accounts of the catalog
    #[arg(long, value_name = "N", default_value_t = ACCOUNTS_DEFAULT,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(ACCOUNTS_MAX)))]
    pub accounts: u32,
    /// Number that the workload follows from; the same number, the same bytes
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }
}
