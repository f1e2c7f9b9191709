//! Watching the service: metrics, health checks, and a page.

mod connections;
mod history;
mod page;
mod status;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;

pub use history::History;
pub use status::Watched;

use connections::Limited;
use history::SAMPLE_S;

use crate::input::now_ms;
use crate::metrics::Metrics;
use crate::stop::Stop;

/// A decoder that has not shown itself for this long is stuck.
const STUCK_MS: u64 = 60_000;

/// What the page shows.
#[derive(Debug)]
pub struct Watch {
    pub stations: Vec<Arc<Watched>>,
    pub metrics: Arc<Metrics>,
    /// After how many seconds without a packet a device is silent.
    pub silent_s: AtomicU64,
    /// Whether the service takes packets.
    pub is_ready: AtomicBool,
}

type Shared = State<Arc<Watch>>;

/// Answers requests until the order to stop.
pub async fn serve(listener: TcpListener, watch: Arc<Watch>, mut stop: Stop) {
    let router = Router::new()
        .route("/", get(whole_page))
        .route("/body.html", get(page_body))
        .route("/status.json", get(status_json))
        .route("/metrics", get(metrics))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(watch);
    let until = async move { stop.given().await };
    let served = axum::serve(Limited::new(listener), router).with_graceful_shutdown(until).await;
    if let Err(error) = served {
        tracing::error!("the page is gone: {error}");
    }
}

/// Samples the rates, and reads the figures of the indexes, until the order to stop.
pub async fn sample(watch: Arc<Watch>, mut stop: Stop) {
    while stop.or(tokio::time::sleep(Duration::from_secs(SAMPLE_S))).await.is_some() {
        let watch = watch.clone();
        // The figures of an index take some milliseconds.
        let read = tokio::task::spawn_blocking(move || {
            for station in &watch.stations {
                station.sample();
                station.read_index();
            }
        });
        let _ = read.await;
    }
}

const NO_STORE: (HeaderName, &str) = (header::CACHE_CONTROL, "no-store");

async fn whole_page(State(watch): Shared) -> impl IntoResponse {
    let random = RandomState::new();
    let nonce = format!("{:016x}{:016x}", random.hash_one(1), random.hash_one(2));
    let text = page::page(&watch.status(), &nonce);
    let policy = page::content_security_policy(&nonce);
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8".to_owned()),
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
        (header::REFERRER_POLICY, "no-referrer".to_owned()),
        (header::CACHE_CONTROL, "no-store".to_owned()),
    ];
    (headers, text)
}

async fn page_body(State(watch): Shared) -> impl IntoResponse {
    let content = (header::CONTENT_TYPE, "text/html; charset=utf-8");
    ([content, NO_STORE], page::body(&watch.status()))
}

async fn status_json(State(watch): Shared) -> impl IntoResponse {
    // The status is plain data, which JSON always holds.
    let text = serde_json::to_string(&watch.status()).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json"), NO_STORE], text)
}

async fn metrics(State(watch): Shared) -> impl IntoResponse {
    watch.stations.iter().for_each(|station| station.refresh_metrics());
    let content = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content), NO_STORE], watch.metrics.text())
}

async fn healthz(State(watch): Shared) -> impl IntoResponse {
    match watch.is_alive() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "a decoder is stuck or its index has failed\n"),
    }
}

async fn readyz(State(watch): Shared) -> impl IntoResponse {
    match watch.is_alive() && watch.is_ready.load(Ordering::Relaxed) {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    }
}

impl Watch {
    fn status(&self) -> status::Status {
        status::status(&self.stations, self.silent_s.load(Ordering::Relaxed))
    }

    /// Whether every decoder has shown itself lately, and no index has failed.
    pub fn is_alive(&self) -> bool {
        let is_alive = |station: &Arc<Watched>| {
            let last_ms = station.shared.heartbeat_ms.load(Ordering::Relaxed);
            let stations = station.shared.group.stations();
            now_ms().saturating_sub(last_ms) < STUCK_MS
                && !stations.iter().any(hintdex::Station::is_poisoned)
        };
        self.stations.iter().all(is_alive)
    }
}
