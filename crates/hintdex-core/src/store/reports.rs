//! The errors that RocksDB reports outside of any call: of flushes and compactions.
//!
//! RocksDB would write a journal into the folder: all options at every opening, and those of a
//! family at every roll, 60 KB each time. No reader needs them, so the journal is replaced by a
//! list of errors in memory.

use std::sync::{Arc, Mutex, PoisonError};

use rocksdb::{InfoLogger, LogLevel};

/// The most errors that are kept until they are taken: a disk that stays full reports one error
/// a second.
const MAX_REPORTS: usize = 16;

/// Errors, until they are taken.
#[derive(Clone, Default)]
pub(super) struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    /// The errors since the last call, each once.
    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The receiver of RocksDB's messages.
    pub(super) fn logger(&self) -> InfoLogger {
        let reports = self.clone();
        InfoLogger::new_callback_logger(LogLevel::Error, move |level, message| {
            // Options come with any level, whatever the logger asks for.
            if matches!(level, LogLevel::Error | LogLevel::Fatal) {
                reports.add(message);
            }
        })
    }

    fn add(&self, message: &str) {
        let report = format!("the store reports: {}", message.trim_end());
        let mut reports = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reports.len() < MAX_REPORTS && !reports.contains(&report) {
            reports.push(report);
        }
    }
}
