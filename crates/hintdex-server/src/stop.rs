//! The order to end: given once, heard by every task.

use std::future::Future;

use tokio::sync::watch;

/// Gives the order.
#[derive(Debug)]
pub struct Stopper(watch::Sender<bool>);

/// Hears the order.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stopper {
    pub fn new() -> (Self, Stop) {
        let (sender, receiver) = watch::channel(false);
        (Self(sender), Stop(receiver))
    }

    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    pub fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when the order is given, or when its giver is gone.
    pub async fn given(&mut self) {
        let _ = self.0.wait_for(|is_given| *is_given).await;
    }

    /// The result of `work`, or `None` if the order is given first. `work` is then dropped.
    pub async fn or<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.given() => None,
            done = work => Some(done),
        }
    }
}
