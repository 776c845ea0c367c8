//! Queries that clients give up: a connection of its own names the other one by its number and its
//! secret.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;
use uuid::Uuid;

/// The connections whose queries can be given up.
#[derive(Default)]
pub(super) struct Cancellations(Mutex<Connections>);

#[derive(Default)]
struct Connections {
    last: i32,
    open: HashMap<i32, (i32, Arc<Notify>)>,
}

/// The number and the secret of a connection.
pub(super) struct CancelKey {
    pub(super) process: i32,
    pub(super) secret: i32,
    /// Told when the query is to be given up.
    pub(super) given_up: Arc<Notify>,
}

impl Cancellations {
    /// Gives a connection its number and its secret.
    pub(super) fn add(&self) -> CancelKey {
        let random = Uuid::new_v4().into_bytes();
        // The version of a UUID is in its middle; the last bytes are all random.
        let secret = i32::from_be_bytes([random[12], random[13], random[14], random[15]]);
        let given_up = Arc::new(Notify::new());
        let mut connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        connections.last = connections.last.wrapping_add(1).max(1);
        let process = connections.last;
        connections.open.insert(process, (secret, Arc::clone(&given_up)));
        CancelKey { process, secret, given_up }
    }

    pub(super) fn remove(&self, process: i32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).open.remove(&process);
    }

    /// Gives up the query of a connection, if the secret is its own.
    pub(super) fn cancel(&self, process: i32, secret: i32) {
        let connections = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, given_up)) = connections.open.get(&process)
            && *known == secret
        {
            given_up.notify_one();
        }
    }
}
