//! The back ends: one module for each kind of register, and one for each direction of
//! a cipher, which is compiled for every kind of register. `kernel` chooses among them.

mod backwards;
mod batch;
mod block;
mod carried;
mod encrypt;
mod forwards;
mod kernel;
mod lanes;
mod portable;
mod prefetch;
pub(crate) mod sha256;
mod speck;

#[cfg(target_arch = "x86_64")]
mod aesni;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;

pub(crate) use batch::{Batch, PAIRS_PER_GROUP, Window};
pub(crate) use block::{Block, wipe};
pub(crate) use encrypt::key_of;
pub use kernel::Backend;
pub(crate) use kernel::{AesPath, Kernel};
pub(crate) use prefetch::{prefetch, prefetch_line};
