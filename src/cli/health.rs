//! `fanfare health`.

use std::time::Duration;

use tokio::time::timeout;

use super::arguments::Hub;
use super::exit::Failure;
use super::hub_url::HubUrl;
use super::pipeline;
use super::problem::Problem;

/// A hub that takes longer to say that it is ready is not.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks the hub whether it is ready; says on stderr what it answers.
pub(super) fn health(hub: Hub) -> Result<(), Failure> {
    let url = HubUrl::or_default(hub.url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Runtime(error.to_string()))?;
    let request = pipeline::request(&url, "GET", &url.path("/health/ready"), &[("connection", "close")], b"");
    let asked = runtime.block_on(async { timeout(PATIENCE, pipeline::exchange(&url, &request)).await });
    let answer = asked.map_err(|_| Failure::Runtime(format!("not ready: no answer from {url} in 10s")))?;
    let answer = answer.map_err(|error| Failure::Runtime(format!("not ready: {error}")))?;
    if answer.status == 200 {
        eprintln!("ready");
        return Ok(());
    }
    let problem = Problem::read(answer.status, &answer.body);
    Err(Failure::Runtime(format!("not ready: {problem}")))
}
