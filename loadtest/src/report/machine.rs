//! The machine a run was made on: what its figures depend on. No host name, no user name, no paths.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use serde::{Deserialize, Serialize};

use crate::server::cpu;

/// Settings of the kernel that a load of many sockets meets, by their names under `/proc/sys`.
const SETTINGS: [&str; 14] = [
    "fs.nr_open",
    "net.core.busy_poll",
    "net.core.netdev_max_backlog",
    "net.core.rmem_max",
    "net.core.somaxconn",
    "net.core.wmem_max",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.tcp_congestion_control",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_mem",
    "net.ipv4.tcp_notsent_lowat",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
];

/// What is known of the machine. A field nobody could read is empty or zero.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Machine {
    /// The processor's own name.
    pub(crate) cpu_model: String,
    /// `x86_64`, `aarch64`.
    pub(crate) architecture: String,
    /// CPUs of the machine.
    pub(crate) cpus: u32,
    /// Those this program may run on.
    pub(crate) cpus_available: u32,
    /// Whether the processor says that a hypervisor is below; `None` where processors do not say.
    pub(crate) is_virtual: Option<bool>,
    /// Memory in all.
    pub(crate) memory_bytes: u64,
    /// The kernel's version without what its builder added.
    pub(crate) kernel: String,
    /// Descriptors a process may have: soft and hard limit; `None` is no limit.
    pub(crate) open_files: (Option<u64>, Option<u64>),
    /// `always`, `madvise` or `never`.
    pub(crate) transparent_huge_pages: String,
    /// Kernel settings by name.
    pub(crate) settings: BTreeMap<String, String>,
    /// Load average of 1, 5 and 15 minutes before the run: on a machine that rests it is near zero.
    pub(crate) load_average: [f64; 3],
    /// Version of this harness.
    pub(crate) harness: String,
}

impl Machine {
    /// Looks at this machine. What cannot be read is left out: a run is not lost for it.
    pub(crate) fn here() -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let limit = getrlimit(Resource::Nofile);
        let settings = SETTINGS.iter().filter_map(|&name| Some((name.to_owned(), setting(name)?))).collect();
        Self {
            cpu_model: cpu_model(&cpuinfo),
            architecture: std::env::consts::ARCH.to_owned(),
            cpus: cpuinfo.lines().filter(|line| line.starts_with("processor")).count() as u32,
            cpus_available: cpu::available().map_or(0, |cpus| cpus.len() as u32),
            is_virtual: is_virtual(&cpuinfo),
            memory_bytes: memory_bytes(&read("/proc/meminfo")),
            kernel: kernel_version(&read("/proc/sys/kernel/osrelease")),
            open_files: (limit.current, limit.maximum),
            transparent_huge_pages: chosen(&read("/sys/kernel/mm/transparent_hugepage/enabled")),
            settings,
            load_average: load_average(&read("/proc/loadavg")),
            harness: env!("CARGO_PKG_VERSION").to_owned(),
        }
    }

    /// This machine without what changes from run to run, to tell machines apart.
    pub(crate) fn at_rest(&self) -> Self {
        Self { load_average: [0.0; 3], ..self.clone() }
    }
}

fn setting(name: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new("/proc/sys").join(name.replace('.', "/"))).ok()?;
    Some(text.split_ascii_whitespace().collect::<Vec<_>>().join(" "))
}

/// The first `model name`; ARM kernels give none.
fn cpu_model(cpuinfo: &str) -> String {
    field(cpuinfo, "model name").unwrap_or_default().to_owned()
}

fn is_virtual(cpuinfo: &str) -> Option<bool> {
    // `flags` is of x86, the only architecture with such a flag.
    field(cpuinfo, "flags").map(|flags| flags.split(' ').any(|flag| flag == "hypervisor"))
}

fn field<'a>(cpuinfo: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = cpuinfo.lines().filter_map(|line| line.split_once(':'));
    fields.find(|(found, _)| found.trim() == name).map(|(_, value)| value.trim())
}

fn memory_bytes(meminfo: &str) -> u64 {
    let kilobytes = field(meminfo, "MemTotal").and_then(|value| value.strip_suffix("kB")?.trim().parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024
}

/// `6.12.1` of `6.12.1-cloud-amd64`: what follows is the builder's, and may name places.
fn kernel_version(release: &str) -> String {
    let end = release.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(release.len());
    release[..end].to_owned()
}

/// The word in brackets: `always [madvise] never`.
fn chosen(text: &str) -> String {
    let word = text.split_once('[').and_then(|(_, rest)| rest.split_once(']'));
    word.map_or_else(String::new, |(word, _)| word.to_owned())
}

fn load_average(text: &str) -> [f64; 3] {
    let mut fields = text.split(' ').map(|field| field.parse().unwrap_or(0.0));
    std::array::from_fn(|_| fields.next().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_read_from_the_texts_of_the_kernel() {
        let cpuinfo = "processor\t: 0\nmodel name\t: A Fine CPU\nflags\t\t: fpu hypervisor sse\nprocessor\t: 1\n";
        assert_eq!(cpu_model(cpuinfo), "A Fine CPU");
        assert_eq!(is_virtual(cpuinfo), Some(true));
        assert_eq!(is_virtual("flags : fpu\n"), Some(false));
        assert_eq!(is_virtual("Features : fp asimd\n"), None);
        assert_eq!(memory_bytes("MemTotal:       2048 kB\nMemFree: 1 kB\n"), 2 << 20);
        assert_eq!(chosen("always [madvise] never\n"), "madvise");
        assert_eq!(load_average("0.50 1.00 2.25 1/100 4711\n"), [0.5, 1.0, 2.25]);
    }

    #[test]
    fn the_kernels_version_names_no_builder() {
        assert_eq!(kernel_version("6.12.1-of-somebody\n"), "6.12.1");
        assert_eq!(kernel_version("6.12\n"), "6.12");
    }

    #[test]
    fn what_cannot_be_read_is_empty() {
        assert_eq!((cpu_model(""), memory_bytes(""), chosen("")), (String::new(), 0, String::new()));
        assert_eq!(load_average(""), [0.0; 3]);
    }

    #[test]
    fn this_machine_has_cpus_and_no_host_name() {
        let here = Machine::here();
        assert!(here.cpus > 0 && here.memory_bytes > 0, "{here:?}");
        let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert!(!serde_json::to_string(&here).unwrap().contains(&format!("\"{}\"", host.trim())));
    }
}
