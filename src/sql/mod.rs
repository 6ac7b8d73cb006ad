//! SQL over the results of a run, by DataFusion.
//!
//! The tables of a run are in the schema `files`; what people query are views over them, see [`views`].
//! Amounts never wrap: `checked_sum` takes the place of a sum that would. Numbers in a query are exact
//! decimals, not floats. Nothing a query says changes the results.

mod answer;
mod checked_sum;
pub mod prompt;
mod record_text;
mod uuid_text;
pub mod views;

use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use datafusion::common::TableReference;
use datafusion::datasource::listing::ListingTableUrl;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::{AggregateUDF, LogicalPlan, ScalarUDF};
use datafusion::prelude::{ParquetReadOptions, SessionConfig, SessionContext};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use schemas::printable::printable;

use crate::command_line::RowFormat;
use crate::report::REPORT_FILE;
use views::VIEWS;

/// The tables of a run.
pub const TABLES: [&str; 4] = ["rated_usage", "accruals", "quarantine", "control_totals"];

/// A directory that holds no results.
#[derive(Debug, thiserror::Error)]
#[error("{0}: no results here: name the output directory of a run with --data")]
pub struct NoResults(pub PathBuf);

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

/// A connection to the results of a run.
#[derive(Clone)]
pub struct Session {
    context: SessionContext,
    /// The directory of the results, as a URL.
    results: ListingTableUrl,
}

impl Session {
    /// Opens the results in a directory.
    ///
    /// # Errors
    /// [`NoResults`], as a part of the error; what DataFusion says of a table it cannot read.
    pub async fn open(results: &Path) -> anyhow::Result<Self> {
        if !results.join(REPORT_FILE).is_file() {
            return Err(NoResults(results.to_owned()).into());
        }
        let mut config = SessionConfig::new().with_information_schema(true);
        config.options_mut().sql_parser.parse_float_as_decimal = true;
        config.options_mut().execution.parquet.pushdown_filters = true;
        let context = SessionContext::new_with_config(config);
        context.register_udaf(AggregateUDF::from(checked_sum::CheckedSum::new()));
        context.register_udf(ScalarUDF::from(uuid_text::UuidText::new()));
        context.register_udf(ScalarUDF::from(record_text::RecordText::new()));
        let results = directory_url(results)?;
        let session = Self { context, results };
        session.execute("CREATE SCHEMA files").await?;
        for table in TABLES {
            let directory = format!("{}{table}/", session.results);
            let name = TableReference::partial("files", table);
            let options = ParquetReadOptions::default();
            session.context.register_parquet(name, directory, options).await?;
        }
        for view in &VIEWS {
            session.execute(&format!("CREATE VIEW {} AS {}", view.name, view.sql)).await?;
        }
        Ok(session)
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

    /// Begins to answer a statement.
    async fn run(&self, statement: Statement) -> Result<SendableRecordBatchStream> {
        let plan = self.context.state().statement_to_plan(statement).await?;
        let changes_results = match &plan {
            LogicalPlan::Dml(_) => true,
            LogicalPlan::Copy(copy) => {
                ListingTableUrl::parse(&copy.output_url)?.as_str().starts_with(self.results.as_str())
            }
            _ => false,
        };
        if changes_results {
            let message = "results are never changed by a query; write rows elsewhere with COPY (SELECT ...) TO 'file.parquet'";
            return Err(DataFusionError::Plan(message.to_owned()));
        }
        self.context.execute_logical_plan(plan).await?.execute_stream().await
    }
}
