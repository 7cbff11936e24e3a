//! What large answers may hold in memory together.
//!
//! A history page or a file stays in memory until its reader has taken it, and readers may be slow and many. So every
//! large body is charged here until its last byte is let go.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const UNIT_BYTES: usize = 1024;

/// A bound on the bytes of all large answers that are not yet written. Cheap to clone; clones share the bound.
#[derive(Debug, Clone)]
pub struct BodyBudget {
    units: Arc<Semaphore>,
}

/// There is no room for another large answer now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("answers that are still being read hold all the memory set aside for them")]
pub struct NoRoom;

impl BodyBudget {
    /// The bound of a process, in bytes.
    pub const LIMIT_BYTES: usize = 64 * 1024 * 1024;
    /// Bodies up to this many bytes are not charged: they are bounded by the number of connections.
    pub const SMALL_BYTES: usize = 4 * 1024;

    /// A budget of `limit_bytes`, counted in whole KiB.
    pub fn new(limit_bytes: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(limit_bytes / UNIT_BYTES)) }
    }

    /// Makes a body of `bytes` without copying them. It is charged until the last clone and slice of it is dropped.
    pub fn hold(&self, bytes: Vec<u8>) -> Result<Bytes, NoRoom> {
        if bytes.len() <= Self::SMALL_BYTES {
            return Ok(Bytes::from(bytes));
        }
        let units = u32::try_from(bytes.capacity().div_ceil(UNIT_BYTES)).map_err(|_| NoRoom)?;
        let permit = Arc::clone(&self.units).try_acquire_many_owned(units).map_err(|_| NoRoom)?;
        Ok(Bytes::from_owner(Held { bytes, _permit: permit }))
    }

    /// Bytes that are not charged now.
    pub fn free_bytes(&self) -> usize {
        self.units.available_permits() * UNIT_BYTES
    }
}

struct Held {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_charged_until_its_last_slice_is_gone() {
        let budget = BodyBudget::new(16 * 1024);
        let body = budget.hold(vec![7; 10 * 1024]).unwrap();
        assert_eq!(budget.free_bytes(), 6 * 1024);
        let slice = body.slice(5..6);
        drop(body);
        assert_eq!(budget.free_bytes(), 6 * 1024);
        assert_eq!(&slice[..], [7]);
        drop(slice);
        assert_eq!(budget.free_bytes(), 16 * 1024);
    }

    #[test]
    fn a_body_that_does_not_fit_is_refused_and_charges_nothing() {
        let budget = BodyBudget::new(16 * 1024);
        let first = budget.hold(vec![0; 16 * 1024]).unwrap();
        assert_eq!(budget.hold(vec![0; 5 * 1024]), Err(NoRoom));
        assert_eq!(budget.free_bytes(), 0);
        drop(first);
        assert!(budget.hold(vec![0; 5 * 1024]).is_ok());
        assert_eq!(budget.hold(vec![0; 17 * 1024]), Err(NoRoom));
    }

    #[test]
    fn a_small_body_always_fits() {
        let budget = BodyBudget::new(0);
        assert!(budget.hold(vec![0; BodyBudget::SMALL_BYTES]).is_ok());
        assert_eq!(budget.hold(vec![0; BodyBudget::SMALL_BYTES + 1]), Err(NoRoom));
    }
}
