//! The wall clock jumps: to 1970, a day and a century ahead, and back. Connections, pings, history and order go by the
//! monotonic clock and do not notice.
//!
//! The hub runs with a library of a page of C before the C library, `clock.c`, which adds an offset to the wall clock.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::child::Process;
use crate::client::{Http, WebSocket};
use crate::deadline::eventually;
use crate::level::Metrics;
use crate::steady::{alone, beside};

/// Each closed connection is a line of the log, whose time tells what the hub takes for the wall clock.
const CONFIG: &str = "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 2\n[log]\nlevel = \"info,fanfare=debug\"\n\
    [liveness]\nping_interval = \"1s\"\npong_timeout = \"10s\"\n[[topics]]\npattern = \"kept*\"\npublish = \"anyone\"\n\
    history = { size = 100, ttl = \"1h\" }\n[[topics]]\npattern = \"*\"\npublish = \"anyone\"\n";

const DAY: i64 = 24 * 3600;

/// A wall clock that can be moved.
struct WallClock {
    library: PathBuf,
    path: PathBuf,
    offset: File,
}

impl WallClock {
    fn new(directory: &Path) -> Self {
        let library = directory.join("clock.so");
        let compiler = std::env::var_os("CC").unwrap_or_else(|| "cc".into());
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults/clock.c");
        let mut command = Command::new(compiler);
        command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
        assert!(command.status().expect("a C compiler is needed").success());
        let path = directory.join("offset");
        fs::write(&path, 0_i64.to_ne_bytes()).unwrap();
        let offset = File::options().write(true).open(&path).unwrap();
        Self { library, path, offset }
    }

    fn jump_to(&mut self, offset_secs: i64) {
        self.offset.rewind().unwrap();
        self.offset.write_all(&offset_secs.to_ne_bytes()).unwrap();
    }
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

/// The day of a time since 1970, as it stands at the start of a line of the log.
fn date(unix_secs: i64) -> String {
    // "civil_from_days" (Hinnant), for years from 1970.
    let days = unix_secs.div_euclid(DAY) + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

/// The epoch and the offset of a publication on a topic of this name.
fn publish(hub: &Process, topic: &str) -> (u64, u64) {
    let position = Http::connect(hub.address).publish(topic, "kept");
    let (epoch, offset) = position.split_once(':').unwrap();
    (epoch.parse().unwrap(), offset.parse().unwrap())
}

#[test]
fn nobody_is_closed_and_nothing_expires_when_the_wall_clock_jumps() {
    let _alone = alone();
    let directory = tempfile::tempdir().unwrap();
    let mut clock = WallClock::new(directory.path());
    let hub = Process::start_with(&[("LD_PRELOAD", &clock.library), ("CLOCK_OFFSET", &clock.path)], CONFIG);
    let (epoch, _) = publish(&hub, "kept");
    let mut last_epoch = epoch;
    let jumps = [DAY, 0, -DAY, 36_525 * DAY, -now(), 0];
    let report = beside(hub.address, || {
        for (number, offset_secs) in jumps.into_iter().enumerate() {
            clock.jump_to(offset_secs);
            // The hub lives in that time now: what it logs says so.
            drop(WebSocket::open(hub.address, "/topics/for-the-log"));
            let today = [now() - 60, now(), now() + 60].map(|now| date(now + offset_secs));
            hub.logged("closed", |line| {
                today.iter().any(|day| line["timestamp"].as_str().unwrap().starts_with(day)).then_some(())
            });
            // It is seen for a while: each subscriber is pinged.
            let pings = || Metrics::of(hub.address).value("fanfare_pings_sent_total");
            let before = pings();
            eventually("pings go on", || pings() >= before + 10);
            // Nothing that is kept has expired, and its positions go on.
            assert_eq!(publish(&hub, "kept"), (epoch, number as u64 + 2));
            let since = WebSocket::open(hub.address, &format!("/topics/kept?format=json&since={epoch}:1")).json();
            assert_eq!(since["recovered"], true);
            // A later life of a topic has a higher epoch, whatever the clock says.
            let (next, _) = publish(&hub, &format!("kept-{number}"));
            assert!(next > last_epoch, "{next} after {last_epoch}");
            last_epoch = next;
        }
    });
    let metrics = Metrics::of(hub.address);
    for reason in ["no_pong", "slow_consumer", "close_timeout", "internal_error"] {
        assert_eq!(metrics.closed(reason), 0, "{reason}");
    }
    report.tell(&format!("{} jumps of the wall clock, to 1970 and a century ahead among them", jumps.len()));
}

#[test]
fn dates_are_those_of_the_calendar() {
    let dates = [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (4_102_444_800, "2100-01-01")];
    for (unix_secs, expected) in dates {
        assert_eq!(date(unix_secs), expected);
    }
}
