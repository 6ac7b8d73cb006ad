//! A service on a port of its own, for the tests of clients in `tests/sdk`, `tests/schemathesis` and `tests/page`. It says
//! where it listens, and ends with its standard input. An argument is a token that it asks for.

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::sync::Arc;

use aggregate::clock::{Clock, SystemClock};
use aggregate::data_directory::{DataDirectory, directory_disk};
use aggregate::partition::{Catalogs, Partition, PartitionOptions};
use rating::catalog::{Catalog, Documents, Located, Origin, compile};
use schemas::epoch::ContentHash;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use service::config::{Scope, ServiceConfig, TokenConfig};
use service::engine::{Engine, EngineOptions};
use service::http::{Listening, Service, serve};

#[derive(Debug)]
struct OneCatalog(Arc<Catalog>);

impl Catalogs for OneCatalog {
    fn load(&self, _: &ContentHash) -> Result<Arc<Catalog>, String> {
        Ok(Arc::clone(&self.0))
    }
}

/// Accounts with a contract, and its currency. One has a name that would be a script where it was not text.
const ACCOUNTS: [(&str, &str); 5] = [
    ("northwind-labs", "USD"),
    ("contoso", "USD"),
    ("<script>alert('contoso')</script>", "USD"),
    ("größe-ag", "EUR"),
    ("fabrikam", "EUR"),
];

fn located<T: DeserializeOwned>(
    documents: impl IntoIterator<Item = Value>,
) -> serde_json::Result<Vec<Located<T>>> {
    let origin = Origin { file: "example".into(), line: 0 };
    let locate =
        |document| Ok(Located { document: serde_json::from_value(document)?, origin: origin.clone() });
    documents.into_iter().map(locate).collect()
}

/// The meters of the clients' quick-starts, and tokens of a language model, with prices.
fn catalog() -> Result<Arc<Catalog>, Box<dyn Error + Send + Sync>> {
    let tokens = |name: &str| {
        json!({ "id": format!("{name}_tokens"), "event_type": "llm.completion", "aggregation": "sum", "decimals": 0,
            "unit": "token", "value": format!("$.{name}_tokens"), "dimensions": { "model": "$.model" } })
    };
    let meters = [
        json!({ "id": "api_calls_total", "event_type": "api-calls", "aggregation": "count",
            "dimensions": { "method": "$.method", "path": "$.path" } }),
        json!({ "id": "api_duration_ms", "event_type": "api-calls", "aggregation": "sum", "value": "$.duration_ms",
            "if_missing": "ignore", "dimensions": { "method": "$.method" } }),
        tokens("input"),
        tokens("output"),
    ];
    let tiers = json!([{ "up_to": "1000000", "unit_price": "0.0000025" }, { "up_to": null, "unit_price": "0.0000015" }]);
    let rates = json!([
        { "meter": "api_calls_total", "model": "per_unit", "unit_price": "0.0035" },
        { "meter": "api_duration_ms", "model": "per_unit", "unit_price": "0.0000012" },
        { "meter": "input_tokens", "model": "graduated", "tiers": tiers },
        { "meter": "output_tokens", "model": "per_unit", "unit_price": "0.000010000001" },
    ]);
    let contracts = ACCOUNTS.iter().enumerate().map(|(number, (account, currency))| {
        json!({ "id": format!("C-{number}"), "version": 1, "accounts": [account], "legal_entity": "us01",
            "currency": currency, "billing_anchor": "2020-01-01", "lines": [{ "id": format!("L-{number}"), "price_book": "list" }] })
    });
    let documents = Documents {
        meters: located(meters)?,
        price_books: located([
            json!({ "id": "list", "currencies": ["USD", "EUR"], "versions": [{ "version": 1, "rates": rates }] }),
        ])?,
        legal_entities: located([
            json!({ "id": "us01", "timezone": "UTC", "rounding": "half_away_from_zero" }),
        ])?,
        contracts: located(contracts)?,
        ..Documents::default()
    };
    let compiled = compile(&documents).map_err(|problems| format!("{problems:?}"))?;
    Ok(Arc::new(compiled))
}

/// The token that is asked for, if there is an argument.
fn tokens() -> Vec<TokenConfig> {
    let scopes = vec![Scope::Ingest, Scope::Read, Scope::Admin];
    let secret = std::env::args().nth(1);
    let token = |secret| TokenConfig {
        name: "all".to_owned(),
        token: Some(secret),
        token_file: None,
        scopes,
        events_per_second: None,
        events_burst: None,
    };
    secret.map(token).into_iter().collect()
}

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let place = tempfile::tempdir()?;
    let catalog = catalog()?;
    let directory = Arc::new(DataDirectory::open(&directory_disk(place.path()))?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let in_force = (ContentHash([1; 32]), Arc::clone(&catalog));
    let options = EngineOptions { free_bytes_min: 0, accrual_interval_ms: 2_000, ..EngineOptions::default() };
    let partition_options = PartitionOptions { decoders: options.decoders, ..PartitionOptions::default() };
    let catalogs = OneCatalog(catalog);
    let (partition, _) =
        Partition::open(directory, &catalogs, in_force, Arc::clone(&clock), partition_options)?;
    let (engine, running) = Engine::start(partition, &options)?;
    let listen = ([127, 0, 0, 1], 0).into();
    let config = ServiceConfig { listen, tokens: tokens(), ..ServiceConfig::default() };
    let service = Service::new(engine.clone(), config.clone(), clock)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let listening = Listening::on(&config).await?;
        writeln!(stdout(), "listening on http://{}", listening.address()?)?;
        stdout().flush()?;
        let ended = tokio::task::spawn_blocking(|| stdin().read_to_end(&mut Vec::new()));
        serve(listening, service, async {
            let _ = ended.await;
        })
        .await;
        Ok::<_, Box<dyn Error + Send + Sync>>(())
    })?;
    engine.end();
    running.join();
    Ok(())
}
