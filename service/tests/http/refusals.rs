//! Whoever is refused learns why, also while they are still sending; and whoever never ends is cut off.

use std::time::Duration;

use aggregate::data_directory::directory_disk;
use service::config::{Limits, ServiceConfig};
use service::engine::EngineOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Server, catalog, parse};

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn f34_who_sends_far_too_much_is_told_so_before_the_connection_ends() {
    let place = tempfile::tempdir().unwrap();
    let limits = Limits { body_bytes_max: 64 << 10, ..Limits::default() };
    let config = ServiceConfig { limits, ..ServiceConfig::default() };
    let disk = directory_disk(place.path());
    let server = Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await;
    let part = vec![b' '; 1 << 20];
    let head = |parts: usize| {
        let length = parts * part.len();
        format!(
            "POST /v1/events HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n"
        )
    };
    for _ in 0..20 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(head(16).as_bytes()).await.unwrap();
        for _ in 0..16 {
            stream.write_all(&part).await.unwrap();
        }
        let mut answer = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
        let answer = parse(answer);
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (413, &"body_too_large".into()),
            "{}",
            answer.text
        );
    }
    let mut endless = TcpStream::connect(server.address).await.unwrap();
    let sent = async {
        endless.write_all(head(1 << 20).as_bytes()).await?;
        loop {
            endless.write_all(&part).await?;
        }
    };
    let sent: Result<(), std::io::Error> = timeout(PATIENCE, sent).await.unwrap();
    assert!(sent.is_err());
    server.stop().await;
}
