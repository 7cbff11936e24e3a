//! What every HTTP handler can reach.

use std::sync::Arc;
use std::time::Instant;

use crate::admin::counters::Counters;
use crate::config::Config;
use crate::hub::Hub;

/// The body of every answer.
pub type Body = http_body_util::Full<bytes::Bytes>;

/// What every HTTP handler can reach. One per process.
#[derive(Debug)]
pub struct Surface {
    /// The topics.
    pub hub: Arc<Hub>,
    /// The configuration in force.
    pub config: Arc<Config>,
    /// The counters.
    pub counters: Arc<Counters>,
    /// When the process started.
    pub started: Instant,
    /// No configuration file was given: details of refusals may be shown.
    pub demo: bool,
}
