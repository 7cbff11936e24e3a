//! What the kernel says about this process, from `/proc/self`.

use std::fs;

/// A reading of `/proc/self`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Process {
    /// Open file descriptors.
    pub open_fds: u64,
    /// The most it may open; `None` if there is no limit.
    pub max_fds: Option<u64>,
    /// Resident memory.
    pub resident_bytes: u64,
    /// User and system time.
    pub cpu_seconds: f64,
}

impl Process {
    /// Reads `/proc/self`; `None` where there is none. Blocks: its cost grows with the number of open descriptors.
    pub fn read() -> Option<Self> {
        let open_fds = fs::read_dir("/proc/self/fd").ok()?.count();
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
        Some(Self {
            // One of them is the directory itself.
            open_fds: u64::try_from(open_fds.saturating_sub(1)).unwrap_or(u64::MAX),
            max_fds: limit.current,
            resident_bytes: resident_pages(&fs::read_to_string("/proc/self/statm").ok()?)?
                * u64::try_from(rustix::param::page_size()).ok()?,
            cpu_seconds: cpu_ticks(&fs::read_to_string("/proc/self/stat").ok()?)? as f64
                / rustix::param::clock_ticks_per_second() as f64,
        })
    }
}

/// The second field of `statm` (proc_pid_statm(5)).
fn resident_pages(statm: &str) -> Option<u64> {
    statm.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// utime and stime, fields 14 and 15 of `stat` (proc_pid_stat(5)).
fn cpu_ticks(stat: &str) -> Option<u64> {
    // Field 2 is the program's name in parentheses and may hold blanks and parentheses itself.
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_name_may_hold_blanks_and_parentheses() {
        let stat = "7 (a) b (c)) S 1 7 7 0 -1 4194560 100 0 0 0 123 45 0 0 20 0 3 0 555 1000 200 18446744073709551615";
        assert_eq!(cpu_ticks(stat), Some(168));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
        assert_eq!(cpu_ticks(""), None);
    }

    #[test]
    fn resident_memory_is_the_second_field() {
        assert_eq!(resident_pages("1000 200 30 4 0 50 0\n"), Some(200));
        assert_eq!(resident_pages(""), None);
    }

    #[test]
    fn this_process_can_be_read() {
        let process = Process::read().unwrap();
        assert!(process.open_fds >= 3, "{process:?}");
        assert!(process.resident_bytes > 100_000, "{process:?}");
        assert!(process.max_fds.is_none_or(|limit| limit >= process.open_fds), "{process:?}");
    }
}
