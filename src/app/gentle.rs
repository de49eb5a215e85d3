//! Time for connections that were accepted just before the listeners closed.
//!
//! Pingora closes connections that wait for a request as soon as a service stops listening. Among them are those of
//! clients whose first request is on its way: they would get nothing, not even a refusal.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use pingora::apps::ServerApp;
use pingora::protocols::Stream;
use pingora::server::ShutdownWatch;

/// How long connections may go on waiting for a request after the listeners have closed.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// An app that closes its waiting connections later than its listeners.
pub(super) struct Gentle<A>(pub(super) Arc<A>);

#[async_trait]
impl<A: ServerApp + Send + Sync + 'static> ServerApp for Gentle<A> {
    async fn process_new(
        self: &Arc<Self>,
        stream: Stream,
        shutdown: &ShutdownWatch,
    ) -> Option<Stream> {
        self.0.process_new(stream, shutdown).await
    }

    async fn cleanup(&self) {
        tokio::time::sleep(LINGER).await;
        self.0.cleanup().await;
    }
}
