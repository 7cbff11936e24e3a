//! The process under test as the kernel shows it: who listens on a port, how much memory it has.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use rustix::process::Pid;

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Memory {
    /// All resident pages, in bytes.
    pub(crate) resident_bytes: u64,
    /// Those that are its own and not of a file: heap and stacks.
    pub(crate) anonymous_bytes: u64,
}

impl Memory {
    /// What `pid` holds now.
    ///
    /// From `smaps_rollup`, which counts the pages: `VmRSS` is a per-CPU estimate on newer kernels, off by hundreds of
    /// KB, which is as much as a thousand idle connections. `status` is the fallback.
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let exact = fs::read_to_string(format!("{folder}/smaps_rollup")).ok();
        let exact = exact.and_then(|text| parse_memory(&text, "Rss:", "Anonymous:"));
        if let Some(memory) = exact {
            return Ok(memory);
        }
        let text = fs::read_to_string(format!("{folder}/status")).with_context(|| format!("{folder}/status"))?;
        parse_memory(&text, "VmRSS:", "RssAnon:").with_context(|| format!("{folder}/status: not understood"))
    }
}

/// The process that listens on `port`.
///
/// Errors: nobody does, or it belongs to a user whose descriptors may not be read (then give `--pid`).
pub(crate) fn listening_on(port: u16) -> Result<Pid> {
    let inodes: Vec<u64> = listeners()?.into_iter().filter(|listener| listener.port == port).map(|l| l.inode).collect();
    anyhow::ensure!(!inodes.is_empty(), "nothing listens on port {port}: start the server, or give the right --url");
    for entry in fs::read_dir("/proc").context("/proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid
            && socket_inodes(&entry.path()).iter().any(|inode| inodes.contains(inode))
        {
            return Ok(pid);
        }
    }
    anyhow::bail!("the process that listens on port {port} could not be found (another user's?): give --pid")
}

/// The first port `pid` listens on, if it does.
pub(crate) fn listening_port(pid: Pid) -> Option<u16> {
    let inodes = socket_inodes(Path::new(&format!("/proc/{}", pid.as_raw_nonzero())));
    listeners().ok()?.into_iter().find(|listener| inodes.contains(&listener.inode)).map(|listener| listener.port)
}

#[derive(Debug, PartialEq, Eq)]
struct Listener {
    port: u16,
    inode: u64,
}

fn listeners() -> Result<Vec<Listener>> {
    let mut all = parse_listeners(&fs::read_to_string("/proc/net/tcp").context("/proc/net/tcp")?);
    // Absent where IPv6 is off.
    all.extend(parse_listeners(&fs::read_to_string("/proc/net/tcp6").unwrap_or_default()));
    Ok(all)
}

/// The sockets in state LISTEN (`0A`) of a table in the form of `/proc/net/tcp`.
fn parse_listeners(text: &str) -> Vec<Listener> {
    text.lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let (_, port) = fields.get(1)?.rsplit_once(':')?;
            let port = u16::from_str_radix(port, 16).ok()?;
            (*fields.get(3)? == "0A").then_some(())?;
            Some(Listener { port, inode: fields.get(9)?.parse().ok()? })
        })
        .collect()
}

fn socket_inodes(process: &Path) -> Vec<u64> {
    // Another user's process, or one that has just ended: not ours to see.
    let Ok(entries) = fs::read_dir(process.join("fd")) else { return Vec::new() };
    let links = entries.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    links.filter_map(|link| parse_socket_link(link.to_str()?)).collect()
}

fn parse_socket_link(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn parse_memory(text: &str, resident: &str, anonymous: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
        Some(kilobytes * 1024)
    };
    Some(Memory { resident_bytes: bytes(resident)?, anonymous_bytes: bytes(anonymous)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TCP: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100
   1: 0100007F:1F40 0100007F:C001 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 20
";

    #[test]
    fn only_listening_sockets_are_listeners() {
        assert_eq!(parse_listeners(TCP), [Listener { port: 8000, inode: 4711 }]);
        assert_eq!(parse_listeners(""), []);
        assert_eq!(parse_listeners("header\n a b\n"), []);
    }

    #[test]
    fn a_socket_link_names_its_inode() {
        assert_eq!(parse_socket_link("socket:[4711]"), Some(4711));
        assert_eq!(parse_socket_link("pipe:[4711]"), None);
        assert_eq!(parse_socket_link("/dev/null"), None);
    }

    #[test]
    fn memory_is_read_from_both_forms() {
        let expected = Memory { resident_bytes: 2048 * 1024, anonymous_bytes: 1024 * 1024 };
        let rollup = "5624 ---p 00000000 00:00 0 [rollup]\nRss:      2048 kB\nPss: 288 kB\nAnonymous:   1024 kB\n";
        assert_eq!(parse_memory(rollup, "Rss:", "Anonymous:"), Some(expected));
        let status = "Name:\tx\nVmRSS:\t    2048 kB\nRssAnon:\t    1024 kB\n";
        assert_eq!(parse_memory(status, "VmRSS:", "RssAnon:"), Some(expected));
        assert_eq!(parse_memory("Name: x\n", "VmRSS:", "RssAnon:"), None);
    }

    #[test]
    fn this_process_is_found_by_the_port_it_listens_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let me = rustix::process::getpid();
        assert_eq!(listening_on(port).unwrap(), me);
        assert!(listening_port(me).is_some());
        drop(listener);
        assert!(listening_on(port).is_err());
    }

    #[test]
    fn this_process_has_memory() {
        let memory = Memory::of(rustix::process::getpid()).unwrap();
        assert!(memory.resident_bytes >= memory.anonymous_bytes && memory.anonymous_bytes > 0);
    }
}
