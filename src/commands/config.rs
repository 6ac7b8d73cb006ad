//! `tallybook config`: the configuration of the service.

use std::io::{Write, stdout};

use anyhow::Result;

use super::serve::{DEFAULT_CONFIG, configured};
use crate::command_line::{ConfigAction, ConfigArguments, ServeArguments};

/// Checks a configuration, or shows the one that holds where nothing is said.
///
/// # Errors
/// [`service::config::ConfigError`].
pub fn config(arguments: &ConfigArguments) -> Result<()> {
    match &arguments.action {
        ConfigAction::Show => stdout().write_all(DEFAULT_CONFIG.as_bytes())?,
        ConfigAction::Check { config } => {
            let config = config.clone();
            configured(&ServeArguments { config, data: None, catalog: None, listen: None })?;
            writeln!(stdout(), "the configuration can be used")?;
        }
    }
    Ok(())
}
