//! The tables of a data directory as DataFusion reads them: Parquet files on disk, those of the newest epochs in the
//! ledger, and rows that the documents of epochs say.

use std::sync::Arc;

use aggregate::snapshot::TableView;
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl};
use datafusion::error::Result;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::prelude::SessionContext;
use object_store::memory::InMemory;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStoreExt, PutPayload};

/// Where the Parquet files of the ledger are for DataFusion.
const LEDGER_URL: &str = "ledger://tail/";

/// Registers the tables in the schema `files`: each is what its parts are together.
pub(super) async fn register(
    context: &SessionContext,
    data: &ListingTableUrl,
    views: Vec<TableView>,
) -> Result<()> {
    let tail = InMemory::new();
    for view in &views {
        for (number, bytes) in view.inline.iter().enumerate() {
            let path = ObjectPath::from(inline_name(view, number));
            tail.put(&path, PutPayload::from(bytes.clone())).await?;
        }
    }
    context.runtime_env().register_object_store(ObjectStoreUrl::parse(LEDGER_URL)?.as_ref(), Arc::new(tail));
    for view in views {
        let name = view.table.name();
        let mut parts = Vec::new();
        let files = view.files.iter().map(|file| ListingTableUrl::parse(format!("{data}{file}")));
        let files = files.collect::<Result<Vec<_>>>()?;
        let inline = (0..view.inline.len())
            .map(|number| ListingTableUrl::parse(format!("{LEDGER_URL}{}", inline_name(&view, number))));
        let inline = inline.collect::<Result<Vec<_>>>()?;
        for (part, urls) in [("stored", files), ("tail", inline)] {
            if urls.is_empty() {
                continue;
            }
            let options = ListingOptions::new(Arc::new(ParquetFormat::default()));
            let config = ListingTableConfig::new_with_multi_paths(urls)
                .with_listing_options(options)
                .with_schema(Arc::clone(&view.schema));
            let part = format!("{name}_{part}");
            let table = TableReference::partial("files", part.clone());
            context.register_table(table, Arc::new(ListingTable::try_new(config)?))?;
            parts.push(part);
        }
        // A table without rows has columns all the same.
        if !view.batches.is_empty() || parts.is_empty() {
            let part = format!("{name}_documents");
            let table = TableReference::partial("files", part.clone());
            let rows = MemTable::try_new(Arc::clone(&view.schema), vec![view.batches])?;
            context.register_table(table, Arc::new(rows))?;
            parts.push(part);
        }
        let parts: Vec<_> = parts.iter().map(|part| format!("SELECT * FROM files.{part}")).collect();
        let sql = format!("CREATE VIEW files.{name} AS {}", parts.join(" UNION ALL "));
        context.sql(&sql).await?.collect().await?;
    }
    Ok(())
}

fn inline_name(view: &TableView, number: usize) -> String {
    format!("{}/{number}.parquet", view.table.name())
}
