//! TLS: what is spoken, who is cut off, and certificates that change.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aggregate::data_directory::directory_disk;
use axum::http::Request;
use rcgen::{CertificateParams, CertifiedKey, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use service::config::{Limits, ServiceConfig, TlsConfig};
use service::engine::EngineOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::request_ids::KeptLog;
use crate::support::{Server, catalog};

const PATIENCE: Duration = Duration::from_secs(20);

/// A certificate that ends on a day.
fn certificate((year, month, day): (i32, u8, u8)) -> CertifiedKey<KeyPair> {
    let signing_key = KeyPair::generate().unwrap();
    let mut parameters = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    parameters.not_after = date_time_ymd(year, month, day);
    let cert = parameters.self_signed(&signing_key).unwrap();
    CertifiedKey { cert, signing_key }
}

fn lasting() -> CertifiedKey<KeyPair> {
    certificate((2090, 1, 1))
}

fn files(place: &Path) -> TlsConfig {
    TlsConfig { certificate: place.join("certificate.pem"), key: place.join("key.pem") }
}

fn write_certificate(place: &Path, pair: &CertifiedKey<KeyPair>) {
    std::fs::write(files(place).certificate, pair.cert.pem()).unwrap();
}

fn write_key(place: &Path, pair: &CertifiedKey<KeyPair>) {
    std::fs::write(files(place).key, pair.signing_key.serialize_pem()).unwrap();
}

async fn start(place: &Path, pair: &CertifiedKey<KeyPair>) -> Server {
    write_certificate(place, pair);
    write_key(place, pair);
    let limits = Limits { header_timeout_ms: 700, ..Limits::default() };
    let listen = ([127, 0, 0, 1], 0).into();
    let config = ServiceConfig { listen, tls: Some(files(place)), limits, ..ServiceConfig::default() };
    let disk = directory_disk(&place.join("data"));
    Server::start_configured(&disk, &catalog(true), 1, EngineOptions::default(), config).await
}

/// A connection of a client that trusts one certificate.
async fn connect(
    server: &Server,
    trusted: &CertificateDer<'static>,
    protocols: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(server.address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

async fn is_answered(server: &Server, trusted: &CertificateDer<'static>) -> bool {
    let Ok(mut stream) = connect(server, trusted, &["http/1.1"]).await else { return false };
    let head = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(head).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.starts_with("HTTP/1.1 200")
}

#[tokio::test(flavor = "multi_thread")]
async fn http_1_and_http_2_are_spoken_over_tls_as_the_client_chooses() {
    let place = tempfile::tempdir().unwrap();
    let pair = lasting();
    let server = start(place.path(), &pair).await;
    assert!(is_answered(&server, pair.cert.der()).await);
    assert!(!is_answered(&server, lasting().cert.der()).await, "it trusts another certificate");
    let stream = connect(&server, pair.cert.der(), &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(b"h2".as_slice()));
    let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
    let driving = tokio::spawn(connection);
    let request = Request::get("https://localhost/readyz").body(()).unwrap();
    let (answer, _) = client.send_request(request, true).unwrap();
    assert_eq!(timeout(PATIENCE, answer).await.unwrap().unwrap().status(), 200);
    drop(client);
    server.stop().await;
    drop(timeout(PATIENCE, driving).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_speak_tls_is_cut_off_and_delays_nobody() {
    let place = tempfile::tempdir().unwrap();
    let pair = lasting();
    let server = start(place.path(), &pair).await;
    // What a stalled client holds is a connection, and that not for long.
    let mut stalled = TcpStream::connect(server.address).await.unwrap();
    stalled.write_all(&[22, 3, 1, 2, 0, 1]).await.unwrap();
    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let began = Instant::now();
    assert!(is_answered(&server, pair.cert.der()).await);
    println!("an answer beside stalled clients: {:?}", began.elapsed());
    for stream in [&mut stalled, &mut silent] {
        let mut rest = Vec::new();
        let read = timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
        assert!(read.unwrap().is_err() || rest.len() < 16, "{rest:?}");
    }
    println!("stalled clients were cut off after {:?}", began.elapsed());
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, plain.read_to_end(&mut answer)).await.unwrap().unwrap();
    assert!(answer.is_empty() || answer[0] == 21, "an alert, or nothing: {answer:?}");
    // A client of TLS 1.0 and of 1.1: an alert that says which versions are not spoken.
    for minor in [1, 2] {
        let mut hello = vec![22, 3, 1, 0, 71, 1, 0, 0, 67, 3, minor];
        hello.extend([7; 32]);
        // No session, two ciphers, no compression, and as extensions curves, points and signatures.
        hello.extend([0, 0, 4, 0xc0, 0x2b, 0, 47, 1, 0]);
        hello.extend([0, 22, 0, 10, 0, 4, 0, 2, 0, 23, 0, 11, 0, 2, 1, 0, 0, 13, 0, 4, 0, 2, 4, 3]);
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(&hello).await.unwrap();
        let mut alert = Vec::new();
        timeout(PATIENCE, stream.read_to_end(&mut alert)).await.unwrap().unwrap();
        assert_eq!((alert[0], &alert[5..7]), (21, &[2, 70][..]), "TLS 1.{}: {alert:?}", minor - 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn f78_a_new_certificate_is_used_without_a_restart_and_a_bad_one_changes_nothing() {
    let log = KeptLog::default();
    let _guard = log.listen();
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (lasting(), lasting());
    let server = start(place.path(), &old).await;
    assert!(is_answered(&server, old.cert.der()).await);
    assert!(!log.text().contains("certificate"), "{}", log.text());
    // A certificate whose key is not there yet.
    write_certificate(place.path(), &new);
    let wait = async |what: &str| {
        let seen = async {
            while !log.text().contains(what) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{what}, of {}", log.text()));
    };
    wait("the one before stays in force").await;
    assert!(is_answered(&server, old.cert.der()).await);
    write_key(place.path(), &new);
    wait("a new certificate is in force").await;
    assert!(is_answered(&server, new.cert.der()).await && !is_answered(&server, old.cert.der()).await);
    // One that ends soon is warned of.
    let soon = jiff::Timestamp::now() + jiff::Span::new().hours(5 * 24);
    let day = soon.to_zoned(jiff::tz::TimeZone::UTC).date();
    let day = (day.year().into(), day.month().try_into().unwrap(), day.day().try_into().unwrap());
    let ending = certificate(day);
    write_key(place.path(), &ending);
    write_certificate(place.path(), &ending);
    wait("the certificate ends soon").await;
    assert!(log.text().contains("\"days_left\":4"), "{}", log.text());
    std::fs::remove_file(files(place.path()).key).unwrap();
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(is_answered(&server, ending.cert.der()).await);
    server.stop().await;
}
