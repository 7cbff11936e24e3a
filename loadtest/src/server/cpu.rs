//! CPU time of a process, and which CPUs it runs on.

use std::fs;

use anyhow::{Context as _, Result};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

/// CPUs that are looked at.
const CPU_LIMIT_COUNT: usize = 1024;

/// Clock ticks and run times of the same process may differ by this much at two moments together: two fields, each cut
/// to a tick, and what a running thread has not been charged yet.
const TICKS_TOLERANCE_S: f64 = 0.05;

/// CPU time a process has used since its start, all threads.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct CpuTime {
    /// Seconds in user space.
    pub(crate) user_s: f64,
    /// Seconds in the kernel on its behalf; for a loopback sender that includes the receive path of its packets.
    pub(crate) system_s: f64,
    /// Both together, in nanoseconds and not in ticks, if the kernel tells.
    #[serde(skip)]
    exact_s: Option<f64>,
}

impl CpuTime {
    /// What `pid` has used so far: user and system from `/proc/PID/stat`, in steps of a clock tick, usually 10 ms, and
    /// their sum from the `schedstat` of its threads, in ns.
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let path = format!("{folder}/stat");
        let text = fs::read_to_string(&path).with_context(|| format!("{path}: is the server still running?"))?;
        let (user_ticks, system_ticks) = parse_stat(&text).with_context(|| format!("{path}: not understood"))?;
        let per_second = rustix::param::clock_ticks_per_second() as f64;
        Ok(Self {
            user_s: user_ticks as f64 / per_second,
            system_s: system_ticks as f64 / per_second,
            exact_s: run_time_ns(&folder).map(|ns| ns as f64 / 1e9),
        })
    }

    /// What was used between `earlier` and this.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            user_s: self.user_s - earlier.user_s,
            system_s: self.system_s - earlier.system_s,
            exact_s: self.exact_s.zip(earlier.exact_s).map(|(now, then)| now - then),
        }
    }

    /// `user_s` and `system_s` of a span, known in ticks only.
    #[cfg(test)]
    pub(crate) fn in_ticks(user_s: f64, system_s: f64) -> Self {
        Self { user_s, system_s, exact_s: None }
    }

    /// User and system together, in seconds.
    pub(crate) fn total_s(self) -> f64 {
        let in_ticks = self.user_s + self.system_s;
        // A thread that ended has taken its run time with it; the ticks of the process still have it.
        self.exact_s.filter(|exact| (exact - in_ticks).abs() <= TICKS_TOLERANCE_S).unwrap_or(in_ticks)
    }
}

/// The time all threads of a process have run, in ns.
fn run_time_ns(folder: &str) -> Option<u64> {
    let mut sum = 0;
    for thread in fs::read_dir(format!("{folder}/task")).ok()? {
        sum += parse_schedstat(&fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?)?;
    }
    Some(sum)
}

/// The first number of a schedstat: ns on a CPU.
fn parse_schedstat(text: &str) -> Option<u64> {
    text.split_ascii_whitespace().next()?.parse().ok()
}

/// `utime` and `stime` of a stat line, in clock ticks (proc_pid_stat(5), fields 14 and 15).
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    // The command's name stands in parentheses and may contain anything, parentheses too: count from the last one.
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The kernel's thread that does the network work of a CPU which it puts off: what is sent over loopback may be received
/// there, and then costs the sender nothing by its own clock.
#[derive(Debug)]
pub(crate) struct SoftIrqThread {
    schedstat: String,
}

impl SoftIrqThread {
    /// That of the CPU this thread is pinned to; `None` if it is not pinned to one, or if that thread cannot be seen.
    pub(crate) fn of_this_cpu() -> Option<Self> {
        let cpus = available().ok()?;
        let [cpu] = cpus[..] else { return None };
        let name = format!("ksoftirqd/{cpu}");
        let mut processes = fs::read_dir("/proc").ok()?.flatten().map(|process| process.path());
        let path =
            processes.find(|path| fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.trim() == name))?;
        Some(Self { schedstat: path.join("schedstat").to_str()?.to_owned() })
    }

    /// The time it has run, in ns.
    pub(crate) fn run_time_ns(&self) -> u64 {
        fs::read_to_string(&self.schedstat).ok().and_then(|text| parse_schedstat(&text)).unwrap_or(0)
    }
}

/// The CPUs this thread may run on.
pub(crate) fn available() -> Result<Vec<usize>> {
    let set = sched_getaffinity(None).context("reading the CPU affinity")?;
    Ok((0..CPU_LIMIT_COUNT).filter(|&cpu| set.is_set(cpu)).collect())
}

/// Makes this thread, and what it starts from now on, run on `cpus` only.
pub(crate) fn pin(cpus: &[usize]) -> Result<()> {
    let mut set = CpuSet::new();
    for &cpu in cpus.iter().filter(|&&cpu| cpu < CPU_LIMIT_COUNT) {
        set.set(cpu);
    }
    sched_setaffinity(None, &set).with_context(|| format!("pinning to CPU {cpus:?}"))
}

/// The threads of `pid` that may run on something else than `cpu` alone.
pub(crate) fn threads_off(pid: Pid, cpu: usize) -> Vec<String> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{}/task", pid.as_raw_nonzero())) else { return Vec::new() };
    let mut off = Vec::new();
    for task in tasks.flatten() {
        let Ok(status) = fs::read_to_string(task.path().join("status")) else { continue };
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if field("Cpus_allowed_list:").is_some_and(|list| list != cpu.to_string()) {
            off.push(field("Name:").unwrap_or("?").to_owned());
        }
    }
    off
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_ticks_are_fields_14_and_15_whatever_the_name() {
        let line = "12 (a) b) (c) S 1 2 3 0 -1 4194304 102 0 0 0 345 678 7 8 20 0 1 0 151620 3133440 416 1";
        assert_eq!(parse_stat(line), Some((345, 678)));
    }

    #[test]
    fn a_cut_line_is_not_understood() {
        assert_eq!(parse_stat("12 (cat) S 1 2 3"), None);
        assert_eq!(parse_stat(""), None);
    }

    #[test]
    fn run_time_is_the_first_number_of_a_schedstat() {
        assert_eq!(parse_schedstat("123456789 55 3\n"), Some(123_456_789));
        assert_eq!(parse_schedstat(""), None);
    }

    #[test]
    fn exact_times_are_used_unless_a_thread_took_its_own_with_it() {
        let time = |exact_s| CpuTime { user_s: 0.10, system_s: 0.30, exact_s };
        assert_eq!(time(Some(0.418)).total_s(), 0.418);
        assert_eq!(time(Some(0.2)).total_s(), 0.4);
        assert_eq!(time(None).total_s(), 0.4);
    }

    #[test]
    fn this_process_has_a_cpu_time_that_never_goes_back() {
        let me = rustix::process::getpid();
        let before = CpuTime::of(me).unwrap();
        let after = CpuTime::of(me).unwrap();
        assert!(after.since(before).total_s() >= 0.0);
    }
}
