//! SQL over a data directory, by DataFusion.
//!
//! A query sees every committed row once, whether it is in a table or only in the ledger yet, all at one epoch. The
//! tables are in the schema `files`; what people query are views over them, see [`views`].
//! Amounts never wrap: `checked_sum` takes the place of a sum that would. Numbers in a query are exact
//! decimals, not floats. Nothing a query says changes the data.

mod answer;
pub mod answering;
mod checked_sum;
pub mod prompt;
mod record_text;
pub mod serving;
mod tables;
mod uuid_text;
pub mod views;

use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aggregate::data_directory::DataDirectory;
use aggregate::disk::{DirectoryDisk, Disk};
use aggregate::error::AggregateError;
use aggregate::snapshot;
use anyhow::Context;
use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, ScalarUDF};
use datafusion::prelude::{SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use schemas::printable::printable;

use crate::command_line::RowFormat;
use views::VIEWS;

/// A directory as a URL, in which no character of its path is a pattern.
fn directory_url(directory: &Path) -> anyhow::Result<ListingTableUrl> {
    let absolute = directory.canonicalize().with_context(|| directory.display().to_string())?;
    let mut url = "file://".to_owned();
    for byte in absolute.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/-_.".contains(byte) {
            url.push(char::from(*byte));
        } else {
            write!(url, "%{byte:02X}")?;
        }
    }
    url.push('/');
    Ok(ListingTableUrl::parse(url)?)
}

/// What DataFusion says of a query, on lines of its own, without what it would do to a terminal.
#[must_use]
pub fn explain(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let lines: Vec<_> = text.lines().map(printable).collect();
    lines.join("\n")
}

/// The partition of a data directory.
const PARTITION: u32 = 0;

/// A connection to a data directory.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    /// The directory, as a URL.
    data: ListingTableUrl,
    epoch: u64,
}

impl Session {
    /// Opens a data directory, as it is at its newest epoch.
    ///
    /// # Errors
    /// [`AggregateError`] when the directory cannot be read; what DataFusion says of a table it cannot read.
    pub async fn open(data: &Path) -> anyhow::Result<Self> {
        Self::open_within(data, Arc::default()).await
    }

    /// Opens a data directory for queries that run within an environment.
    async fn open_within(data: &Path, runtime: Arc<RuntimeEnv>) -> anyhow::Result<Self> {
        let disk: Arc<dyn Disk> = Arc::new(DirectoryDisk::new(data));
        let directory = DataDirectory::read(&disk).map_err(AggregateError::from)?;
        let (epoch, views) = snapshot::views(&directory, PARTITION)?;
        let mut config = SessionConfig::new().with_information_schema(true);
        config.options_mut().sql_parser.parse_float_as_decimal = true;
        config.options_mut().execution.parquet.pushdown_filters = true;
        let context = SessionContext::new_with_config_rt(config, runtime);
        context.register_udaf(AggregateUDF::from(checked_sum::CheckedSum::new()));
        context.register_udf(ScalarUDF::from(uuid_text::UuidText::new()));
        context.register_udf(ScalarUDF::from(record_text::RecordText::new()));
        let data = directory_url(data)?;
        let session = Self { context, data, epoch };
        session.execute("CREATE SCHEMA files").await?;
        tables::register(&session.context, &session.data, views).await?;
        for view in &VIEWS {
            session.execute(&format!("CREATE VIEW {} AS {}", view.name, view.sql)).await?;
        }
        Ok(session)
    }

    /// The epoch that queries see.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    async fn execute(&self, sql: &str) -> Result<()> {
        self.context.sql(sql).await?.collect().await?;
        Ok(())
    }

    /// Answers the statements of a text, one after another.
    ///
    /// # Errors
    /// Where the text is no SQL, what is wrong with a statement, and what writing fails with.
    pub async fn answer(&self, text: &str, to: &mut impl Write, format: RowFormat) -> anyhow::Result<()> {
        for statement in DFParserBuilder::new(text).build()?.parse_statements()? {
            answer::show(to, self.run(statement).await?, format).await?;
        }
        Ok(())
    }

    /// The rows of a query of our own.
    ///
    /// # Errors
    /// What DataFusion says of it.
    pub(crate) async fn rows(&self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.context.sql(sql).await?.collect().await
    }

    /// Begins to answer a statement.
    async fn run(&self, statement: Statement) -> Result<SendableRecordBatchStream> {
        let plan = self.context.state().statement_to_plan(statement).await?;
        let changes_data = match &plan {
            LogicalPlan::Dml(_) => true,
            LogicalPlan::Copy(copy) => {
                ListingTableUrl::parse(&copy.output_url)?.as_str().starts_with(self.data.as_str())
            }
            _ => false,
        };
        if changes_data {
            let message = "data is never changed by a query; write rows elsewhere with COPY (SELECT ...) TO 'file.parquet'";
            return Err(DataFusionError::Plan(message.to_owned()));
        }
        self.context.execute_logical_plan(plan).await?.execute_stream().await
    }
}
