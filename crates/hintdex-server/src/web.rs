//! The address of the page: opened, changed and closed while the service runs.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::ServeError;
use crate::sockets::Sockets;
use crate::stop::Stopper;
use crate::watch::{self, Watch};

/// The page at its address.
#[derive(Debug, Default)]
pub struct Web {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    address: SocketAddr,
    stopper: Stopper,
    task: JoinHandle<()>,
}

impl Web {
    /// Shows the page at an address, or nowhere.
    ///
    /// # Errors
    /// The address is taken. The page then stays nowhere.
    pub async fn show(
        &mut self,
        address: Option<SocketAddr>,
        watch: &Arc<Watch>,
        sockets: &mut Sockets,
    ) -> Result<(), ServeError> {
        if self.running.as_ref().map(|running| running.address) == address {
            return Ok(());
        }
        if let Some(Running { stopper, task, .. }) = self.running.take() {
            stopper.stop();
            // A browser that holds its connection must not hold up the next address.
            task.abort();
            let _ = task.await;
        }
        let Some(address) = address else { return Ok(()) };
        let listener = sockets.tcp(address);
        let listener =
            listener.map_err(|error| ServeError::bind("web", &address.to_string(), &error))?;
        let bound = listener.local_addr().unwrap_or(address);
        tracing::info!(address = %bound, "the page is at http://{bound}/");
        let (stopper, stop) = Stopper::new();
        let task = tokio::spawn(watch::serve(listener, watch.clone(), stop));
        self.running = Some(Running { address, stopper, task });
        Ok(())
    }
}
