//! The process that answers one query of a client: it reads the query from standard input, and writes a line that says
//! what came of it, and the rows.
//!
//! It changes nothing, and bounds its memory and rows; its time is bounded by who started it. The system ends it first
//! where memory runs out.

use std::fmt;
use std::fs;
use std::io::{Read, Write, stdin, stdout};
use std::sync::Arc;
use std::thread;

use anyhow::{Result, anyhow};
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::csv::WriterBuilder;
use datafusion::arrow::datatypes::{Field, SchemaRef};
use datafusion::arrow::ipc::writer::StreamWriter;
use datafusion::error::DataFusionError;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use datafusion::prelude::SQLOptions;
use datafusion::sql::parser::DFParserBuilder;
use futures::StreamExt;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Session, answer, explain};
use crate::command_line::{AnswerFormat, AnswerQueryArguments};

/// What deep expressions take of a stack.
const STACK_BYTES: usize = 64 << 20;

/// Memory of the process beside that of its query: code, stacks, files.
const BASE_BYTES: u64 = 2 << 30;

/// What the first line says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Header {
    /// Rows follow.
    Rows { epoch: u64, count: usize },
    /// Nothing follows.
    Refused(Refused),
}

/// Why there are no rows.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Refused {
    Wrong(String),
    TooLarge(String),
    Failed(String),
}

/// Answers the query of standard input.
///
/// # Errors
/// What reading and writing fail with.
pub fn answer_query(arguments: &AnswerQueryArguments) -> Result<()> {
    // The service is not the one that is ended.
    let _ = fs::write("/proc/self/oom_score_adj", "1000");
    let memory = (u64::from(arguments.memory_mib) << 20) * 4 + BASE_BYTES;
    let bounds = rustix::process::Rlimit { current: Some(memory), maximum: Some(memory) };
    rustix::process::setrlimit(rustix::process::Resource::As, bounds)?;
    let mut sql = String::new();
    stdin().read_to_string(&mut sql)?;
    let (header, rows) = thread::scope(|scope| {
        let work = || match answered(arguments, &sql) {
            Ok((epoch, count, rows)) => (Header::Rows { epoch, count }, rows),
            Err(refused) => (Header::Refused(refused), Vec::new()),
        };
        let work = thread::Builder::new().stack_size(STACK_BYTES).spawn_scoped(scope, work)?;
        work.join().map_err(|_| anyhow!("the query panicked"))
    })?;
    let mut to = stdout().lock();
    serde_json::to_writer(&mut to, &header)?;
    to.write_all(b"\n")?;
    to.write_all(&rows)?;
    Ok(to.flush()?)
}

fn failed(error: &dyn fmt::Display) -> Refused {
    Refused::Failed(error.to_string())
}

fn answered(arguments: &AnswerQueryArguments, sql: &str) -> Result<(u64, usize, Vec<u8>), Refused> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| failed(&error))?;
    runtime.block_on(async {
        let rows = collect(arguments, sql).await?;
        Ok((rows.epoch, rows.count, rows.write(arguments)?))
    })
}

/// What a query came to.
struct Rows {
    epoch: u64,
    schema: SchemaRef,
    batches: Vec<RecordBatch>,
    count: usize,
}

async fn collect(arguments: &AnswerQueryArguments, sql: &str) -> Result<Rows, Refused> {
    let runtime = bounded(arguments).map_err(|error| failed(&explain(&error)))?;
    let session = Session::open_within(&arguments.data, runtime).await;
    let session = session.map_err(|error| Refused::Failed(format!("{error:#}")))?;
    let wrong = |error: DataFusionError| refused(&error, arguments);
    let mut statements =
        DFParserBuilder::new(sql).build().and_then(|mut parser| parser.parse_statements()).map_err(wrong)?;
    let (Some(statement), true) = (statements.pop_front(), statements.is_empty()) else {
        return Err(Refused::Wrong("send one statement: SELECT ...".to_owned()));
    };
    let plan = session.context.state().statement_to_plan(statement).await.map_err(wrong)?;
    let only_reads =
        SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
    only_reads.verify_plan(&plan).map_err(|_| {
        Refused::Wrong("queries read: send SELECT, EXPLAIN or SHOW, and nothing that changes".to_owned())
    })?;
    let frame = session.context.execute_logical_plan(plan).await.map_err(wrong)?;
    let mut stream = frame.execute_stream().await.map_err(wrong)?;
    let (epoch, schema) = (session.epoch(), stream.schema());
    let mut rows = Rows { epoch, schema, batches: Vec::new(), count: 0 };
    let mut bytes = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(wrong)?;
        rows.count += batch.num_rows();
        bytes += batch.get_array_memory_size() as u64;
        if rows.count > arguments.rows_max as usize {
            let what = format!("the answer has more than {} rows: add a LIMIT", arguments.rows_max);
            return Err(Refused::TooLarge(what));
        }
        if bytes > arguments.bytes_max {
            return Err(too_many_bytes(arguments));
        }
        rows.batches.push(batch);
    }
    Ok(rows)
}

fn too_many_bytes(arguments: &AnswerQueryArguments) -> Refused {
    Refused::TooLarge(format!("the answer has more than {} bytes: ask for less", arguments.bytes_max))
}

/// Memory for one query, and nothing on the disk.
fn bounded(arguments: &AnswerQueryArguments) -> Result<Arc<RuntimeEnv>, DataFusionError> {
    let memory = GreedyMemoryPool::new((arguments.memory_mib as usize) << 20);
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let builder = RuntimeEnvBuilder::new().with_memory_pool(Arc::new(memory)).with_disk_manager_builder(disk);
    builder.build_arc()
}

fn refused(error: &DataFusionError, arguments: &AnswerQueryArguments) -> Refused {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(_) => {
            let memory = arguments.memory_mib;
            Refused::TooLarge(format!("the query takes more than {memory} MiB of memory: ask for less"))
        }
        DataFusionError::IoError(_) | DataFusionError::ObjectStore(_) => failed(&explain(error)),
        _ => Refused::Wrong(explain(error)),
    }
}

impl Rows {
    /// The rows as they are asked for.
    fn write(self, arguments: &AnswerQueryArguments) -> Result<Vec<u8>, Refused> {
        let mut bytes = Vec::new();
        match arguments.format {
            AnswerFormat::Json => {
                let column = |field: &Arc<Field>| json!({ "name": field.name(), "type": field.data_type().to_string() });
                let columns: Vec<Value> = self.schema.fields().iter().map(column).collect();
                let mut rows = Vec::with_capacity(self.count);
                for batch in &self.batches {
                    rows.extend(aggregate::json_rows::rows(batch).map_err(|error| failed(&error))?);
                }
                let document = json!({ "epoch": self.epoch, "columns": columns, "rows": rows });
                serde_json::to_writer(&mut bytes, &document).map_err(|error| failed(&error))?;
            }
            AnswerFormat::Csv => {
                let mut writer = WriterBuilder::new().with_header(true).build(&mut bytes);
                let empty = self.batches.is_empty().then(|| RecordBatch::new_empty(Arc::clone(&self.schema)));
                for batch in self.batches.iter().chain(&empty) {
                    let flat = answer::flat(batch).map_err(|error| failed(&error))?;
                    writer.write(&flat).map_err(|error| failed(&error))?;
                }
            }
            AnswerFormat::Arrow => {
                let written = StreamWriter::try_new(&mut bytes, &self.schema).and_then(|mut writer| {
                    self.batches.iter().try_for_each(|batch| writer.write(batch))?;
                    writer.finish()
                });
                written.map_err(|error| failed(&error))?;
            }
        }
        if bytes.len() as u64 > arguments.bytes_max {
            return Err(too_many_bytes(arguments));
        }
        Ok(bytes)
    }
}
