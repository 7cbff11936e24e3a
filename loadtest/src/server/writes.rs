//! How many writes a server has made to its subscribers, if it tells.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use crate::server::place::Place;

/// The counter in a floor's metrics.
pub(crate) const FLOOR_WRITES: &str = "floor_writes_total";

/// The counter in a hub's metrics, summed over its labels.
const HUB_WRITES: &str = "fanfare_worker_writes_total";

const PATIENCE: Duration = Duration::from_secs(5);

/// More metrics than this are not read, in bytes.
const METRICS_LIMIT_BYTES: u64 = 1 << 20;

/// The writes counted so far on `GET /metrics` of the server at `place`; `None` if it does not say.
pub(crate) fn count(place: &Place) -> Option<u64> {
    let mut stream = TcpStream::connect_timeout(&place.address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", place.authority);
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.take(METRICS_LIMIT_BYTES).read_to_string(&mut answer).ok()?;
    parse(&answer)
}

fn parse(answer: &str) -> Option<u64> {
    let values = answer.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(' ')?;
        let name = name.split('{').next()?;
        matches!(name, FLOOR_WRITES | HUB_WRITES).then(|| value.parse::<u64>().ok())?
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counters_are_summed_over_their_labels() {
        assert_eq!(parse("HTTP/1.1 200 OK\r\n\r\n# TYPE floor_writes counter\nfloor_writes_total 42\n"), Some(42));
        let hub = "fanfare_worker_writes_total{worker=\"0\"} 40\nfanfare_worker_writes_total{worker=\"1\"} 2\n";
        assert_eq!(parse(hub), Some(42));
    }

    #[test]
    fn a_server_that_counts_no_writes_tells_nothing() {
        assert_eq!(parse("HTTP/1.1 404 Not Found\r\n\r\nfanfare_connections 3\n"), None);
        assert_eq!(parse("fanfare_worker_writes_total many\n"), None);
    }
}
