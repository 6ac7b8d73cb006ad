//! Tokens whose secrets are in files that change while the service runs (F74).

use std::fs;
use std::time::Duration;

use aggregate::data_directory::directory_disk;
use service::config::{Scope, ServiceConfig, TokenConfig};
use service::engine::EngineOptions;

use crate::support::{Server, catalog, request};

async fn status(server: &Server, secret: &str) -> u16 {
    let authorization = format!("Bearer {secret}");
    request(server.address, "GET", "/v1/rated", &[("authorization", &authorization)], "").await.status
}

#[tokio::test(flavor = "multi_thread")]
async fn f74_a_secret_is_changed_and_a_token_revoked_without_a_restart() {
    const INTERVAL: u64 = 50;
    let place = tempfile::tempdir().unwrap();
    let secrets = tempfile::tempdir().unwrap();
    let path = secrets.path().join("token");
    let [first, second] = ["the-first-secret-of-all", "the-second-secret-of-all"];
    fs::write(&path, format!("{first}\n")).unwrap();
    let by_file = TokenConfig {
        name: "reader".to_owned(),
        token: None,
        token_file: Some(path.clone()),
        scopes: vec![Scope::Read],
        events_per_second: None,
        events_burst: None,
    };
    let config = ServiceConfig {
        tokens: vec![by_file],
        token_files_interval_ms: INTERVAL,
        ..ServiceConfig::default()
    };
    assert!(ServiceConfig::default().token_files_interval_ms <= 60_000);
    let disk = directory_disk(place.path());
    let server = Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await;
    assert_eq!([status(&server, first).await, status(&server, second).await], [200, 401]);
    let is_read_again = || tokio::time::sleep(Duration::from_millis(INTERVAL));
    fs::write(&path, second).unwrap();
    is_read_again().await;
    assert_eq!([status(&server, first).await, status(&server, second).await], [401, 200]);
    // A file that is gone, empty or too short revokes; one that comes back is taken again.
    for content in [None, Some(""), Some("short")] {
        match content {
            None => fs::remove_file(&path).unwrap(),
            Some(content) => fs::write(&path, content).unwrap(),
        }
        is_read_again().await;
        for secret in [first, second, "", "short"] {
            assert_eq!(status(&server, secret).await, 401, "{content:?} {secret:?}");
        }
        fs::write(&path, second).unwrap();
        is_read_again().await;
        assert_eq!(status(&server, second).await, 200);
    }
    server.stop().await;
}
