//! Connections: accepted within limits, with timeouts that fire, and ended in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower::ServiceExt;

use super::Service;
use super::addresses::{Addresses, Counted};
use super::answers::{PART_BYTES, Parts, Taking};
use super::first_bytes::Begun;
use super::last_bytes::Lingering;
use super::tls::Tls;
use crate::config::{ConfigError, Limits, ServiceConfig};

/// Pause after a connection could not be accepted, as where there are no file handles left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Fewest bytes of headers that HTTP/1 can be limited to.
const HEADER_BYTES_MIN: usize = 8 << 10;

/// Requests of HTTP/2 that were taken back and wait to be forgotten: more of them are an attack.
const PENDING_RESETS_MAX: Option<usize> = Some(20);

/// Requests of HTTP/2 that we took back because they broke its rules.
const LOCAL_RESETS_MAX: Option<usize> = Some(64);

/// Bytes that a connection of HTTP/2 may send before it is told that they are read: what it may have waiting in memory,
/// for all of its requests.
const WINDOW_BYTES: u32 = 1 << 20;

/// Bytes that names and values of headers may take to be referred to.
const HEADER_TABLE_BYTES: u32 = 4 << 10;

/// Silence on a connection of HTTP/2 after which it is asked for, and after which it is closed.
const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// Time that requests have to end when the service does.
const GRACE: Duration = Duration::from_secs(30);

/// Why a service cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on.
    #[error("{address}: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

/// A service that listens.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    limits: Limits,
}

impl Listening {
    /// Listens where a configuration says.
    ///
    /// # Errors
    /// [`ServeError`].
    pub async fn on(config: &ServiceConfig) -> Result<Self, ServeError> {
        config.check()?;
        let tls = config.tls.as_ref().map(Tls::read).transpose()?.map(Arc::new);
        let address = config.listen;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|error| ServeError::Listen { address, error })?;
        Ok(Self { listener, tls, limits: config.limits })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Serves until `ended` is, then lets the requests that are on their way end.
pub async fn serve(listening: Listening, service: Service, ended: impl Future<Output = ()>) {
    let Listening { listener, tls, limits } = listening;
    let connections = Arc::new(Semaphore::new(limits.connections_max));
    let addresses = Addresses::new(limits.connections_per_address_max);
    let graceful = GracefulShutdown::new();
    let protocols = Arc::new(Protocols::new(&limits));
    let router = service.router();
    let following = tls.clone().map(|tls| tokio::spawn(async move { tls.follow().await }));
    tokio::pin!(ended);
    loop {
        let room = Arc::clone(&connections).acquire_owned();
        let room = tokio::select! {
            room = room => room,
            () = &mut ended => break,
        };
        let Ok(room) = room else { break };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut ended => break,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(counted) = addresses.count(address.ip()) else {
            tracing::debug!(%address, "an address has as many connections as it may");
            continue;
        };
        let (protocols, service) = (Arc::clone(&protocols), service.clone());
        let connection = Connection { protocols, router: router.clone(), service, held: (room, counted) };
        connection.start(stream, tls.clone(), &graceful);
    }
    drop(listener);
    following.inspect(JoinHandle::abort);
    service.end_waits();
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("requests that did not end in time were cut off");
    }
}

/// How connections are spoken to.
struct Protocols {
    http_1: http1::Builder,
    http_2: http2::Builder<TokioExecutor>,
    header_timeout: Duration,
    answer_timeout: Duration,
}

impl Protocols {
    fn new(limits: &Limits) -> Self {
        let header_timeout = Duration::from_millis(limits.header_timeout_ms);
        let mut http_1 = http1::Builder::new();
        // IMPORTANT: no `pipeline_flush`, which holds the answers to all requests that were read, however large they are.
        http_1
            .timer(TokioTimer::new())
            .header_read_timeout(header_timeout)
            .max_buf_size(limits.header_bytes_max.max(HEADER_BYTES_MIN));
        let mut http_2 = http2::Builder::new(TokioExecutor::new());
        http_2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams_max)
            .max_header_list_size(u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX))
            .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
            .max_local_error_reset_streams(LOCAL_RESETS_MAX)
            .initial_connection_window_size(WINDOW_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .header_table_size(HEADER_TABLE_BYTES)
            .max_send_buf_size(PART_BYTES)
            .keep_alive_interval(Some(KEEP_ALIVE))
            .keep_alive_timeout(KEEP_ALIVE);
        let answer_timeout = Duration::from_millis(limits.answer_timeout_ms);
        Self { http_1, http_2, header_timeout, answer_timeout }
    }

    /// Serves a connection to its end.
    async fn serve<T>(&self, stream: T, router: Router, watcher: Watcher, ending: impl Future<Output = ()>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let begun = tokio::select! {
            begun = timeout(self.header_timeout, Begun::read(Lingering::new(stream))) => begun,
            // Who has said nothing yet has nothing on its way.
            () = ending => return,
        };
        let Ok(Ok((stream, is_http_2))) = begun else { return };
        let taking = Taking::new();
        let answers = taking.clone();
        let router = ServiceExt::<Request<Incoming>>::map_response(router, move |response| {
            response.map(|body| Parts::new(body, answers.clone()))
        });
        let (stream, service) = (TokioIo::new(stream), TowerToHyperService::new(router));
        let serving = async {
            if is_http_2 {
                watcher.watch(self.http_2.serve_connection(stream, service)).await
            } else {
                watcher.watch(self.http_1.serve_connection(stream, service)).await
            }
        };
        let served = tokio::select! {
            served = serving => served,
            () = taking.stalled(self.answer_timeout) => {
                tracing::debug!("a client does not take its answers");
                return;
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// A connection that was accepted.
struct Connection {
    protocols: Arc<Protocols>,
    router: Router,
    service: Service,
    /// Given back at its end.
    held: (OwnedSemaphorePermit, Counted),
}

impl Connection {
    fn start(self, stream: TcpStream, tls: Option<Arc<Tls>>, graceful: &GracefulShutdown) {
        let watcher = graceful.watcher();
        // Answers are small and waited for.
        let _ = stream.set_nodelay(true);
        tokio::spawn(async move {
            let Self { protocols, router, service, held } = self;
            let counted = service.engine.metrics().open_connection();
            match tls {
                None => protocols.serve(stream, router, watcher, service.ending()).await,
                Some(tls) => {
                    let accepted = timeout(protocols.header_timeout, tls.acceptor().accept(stream)).await;
                    if let Ok(Ok(stream)) = accepted {
                        protocols.serve(stream, router, watcher, service.ending()).await;
                    }
                }
            }
            drop((held, counted));
        });
    }
}
