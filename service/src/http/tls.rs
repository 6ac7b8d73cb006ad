//! TLS: the certificate and its key, read again when their files change.
//!
//! A new pair is used from the next connection on. One that cannot be used changes nothing but the log: the pair before stays.
//! TLS 1.2 and 1.3 are spoken, nothing older.

use std::fs;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::TlsAcceptor;
use webpki::{EndEntityCert, KeyUsage};

use crate::config::{ConfigError, TlsConfig};

/// Time between looks at the files.
const PAUSE: Duration = Duration::from_secs(2);

/// Time before the end of a certificate from which on it is warned of, and between two warnings.
const WARNING: Duration = Duration::from_hours(14 * 24);
const WARNING_PAUSE: Duration = Duration::from_hours(24);

/// The certificate in force.
#[derive(Debug)]
pub(super) struct Tls {
    files: TlsConfig,
    in_force: RwLock<Pair>,
}

/// A certificate with its key, ready to be used.
#[derive(Clone, Debug)]
struct Pair {
    config: Arc<ServerConfig>,
    /// When the certificate ends; nothing where that cannot be told.
    end: Option<UnixTime>,
}

/// What a file is known by as long as it does not change.
type Stamp = Option<(SystemTime, u64)>;

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// [`ConfigError::Tls`] with the file and what is wrong with it.
    pub(super) fn read(files: &TlsConfig) -> Result<Self, ConfigError> {
        let pair = Pair::read(files)?;
        Ok(Self { files: files.clone(), in_force: RwLock::new(pair) })
    }

    /// What begins connections under the certificate in force.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.in_force().config)
    }

    fn in_force(&self) -> Pair {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Follows the files, for ever.
    pub(super) async fn follow(&self) {
        let mut known = self.stamps();
        let mut warn_at = tokio::time::Instant::now();
        loop {
            if warn_at <= tokio::time::Instant::now() {
                self.warn();
                warn_at += WARNING_PAUSE;
            }
            tokio::time::sleep(PAUSE).await;
            let found = self.stamps();
            if found != known {
                known = found;
                self.change();
                warn_at = tokio::time::Instant::now();
            }
        }
    }

    fn stamps(&self) -> [Stamp; 2] {
        let stamp = |path: &Path| {
            let metadata = fs::metadata(path).ok()?;
            Some((metadata.modified().ok()?, metadata.len()))
        };
        [stamp(&self.files.certificate), stamp(&self.files.key)]
    }

    /// Takes the files as they are now, if they can be used.
    fn change(&self) {
        match Pair::read(&self.files) {
            Ok(pair) => {
                *self.in_force.write().unwrap_or_else(PoisonError::into_inner) = pair;
                tracing::info!(certificate = %self.files.certificate.display(), "a new certificate is in force");
            }
            Err(error) => {
                tracing::error!(%error, "the new certificate cannot be used: the one before stays in force");
            }
        }
    }

    /// Warns of a certificate that ends soon.
    fn warn(&self) {
        let Some(end) = self.in_force().end else { return };
        let left = end.as_secs().saturating_sub(UnixTime::now().as_secs());
        if left < WARNING.as_secs() {
            let (days_left, certificate) = (left / 86_400, self.files.certificate.display());
            tracing::warn!(%certificate, days_left, "the certificate ends soon: put a new one in its place");
        }
    }
}

impl Pair {
    fn read(files: &TlsConfig) -> Result<Self, ConfigError> {
        let failed = |path: &Path, what: String| ConfigError::Tls { path: path.to_owned(), what };
        let certificates = CertificateDer::pem_file_iter(&files.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| failed(&files.certificate, error.to_string()))?;
        let key = PrivateKeyDer::from_pem_file(&files.key);
        let key = key.map_err(|error| failed(&files.key, error.to_string()))?;
        let end = certificates.first().and_then(end_of);
        let built = ServerConfig::builder().with_no_client_auth().with_single_cert(certificates, key);
        let mut built = built.map_err(|error| failed(&files.certificate, error.to_string()))?;
        built.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(built), end })
    }
}

/// When a certificate ends: what is told of it long after its end.
fn end_of(certificate: &CertificateDer<'_>) -> Option<UnixTime> {
    let certificate = EndEntityCert::try_from(certificate).ok()?;
    let long_after = UnixTime::since_unix_epoch(Duration::from_secs(u64::from(u32::MAX) * 64));
    let usage = KeyUsage::server_auth();
    match certificate.verify_for_usage(&[], &[], &[], long_after, usage, None, None) {
        Err(webpki::Error::CertExpired { not_after, .. }) => Some(not_after),
        _ => None,
    }
}
