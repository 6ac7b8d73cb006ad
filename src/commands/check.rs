//! `tallybook check`: validates a catalog.

use std::io::{Write, stdout};

use anyhow::Result;

use crate::catalog;
use crate::command_line::CheckArguments;
use crate::summary::count;

/// Validates a catalog and says what it holds.
///
/// # Errors
/// [`catalog::CatalogError`] with every problem.
pub fn check(arguments: &CheckArguments) -> Result<()> {
    let catalog = catalog::load(&arguments.catalog)?;
    let parts = [
        count(catalog.legal_entities().len(), "legal entity", "legal entities"),
        count(catalog.meters().len(), "meter", "meters"),
        count(catalog.price_book_versions().len(), "price book version", "price book versions"),
        count(catalog.lines().len(), "contract line", "contract lines"),
        count(catalog.accounts().len(), "account", "accounts"),
        count(catalog.csv_mappings().len(), "CSV mapping", "CSV mappings"),
    ];
    writeln!(stdout(), "{}: valid: {}", arguments.catalog.display(), parts.join(", "))?;
    Ok(())
}
