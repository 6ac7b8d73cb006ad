//! x
use std::sync::Arc;
fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let t = std::time::Instant::now();
    let catalog = match tallybook::catalog::load(std::path::Path::new(&args[1])) {
        Err(tallybook::catalog::CatalogError::Problems(p)) => {
            for p in p {
                println!("{p}");
            }
            return Ok(());
        }
        other => Arc::new(other?),
    };
    eprintln!("catalog {:?}", t.elapsed());
    let inputs = ingest::input::find_inputs(&args[3..], catalog.csv_mappings(), None)?;
    let plan = tallybook::pipeline::RunPlan {
        inputs,
        catalog,
        output: (&args[2]).into(),
        decoders: 2,
        accrual_events: false,
    };
    let report = tallybook::pipeline::run(&plan, &Default::default())?;
    eprintln!("all {:?}", t.elapsed());
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}
