//! Go, which some of what the tests need is written in.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// The machine's Go, if it has one that is 1.`oldest` or newer.
pub(super) fn own(oldest: u32) -> Option<PathBuf> {
    let folders = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&folders).chain([PathBuf::from("/usr/local/go/bin")]);
    folders.map(|folder| folder.join("go")).find(|go| {
        let told = Command::new(go).arg("version").output();
        told.is_ok_and(|told| minor_version(&String::from_utf8_lossy(&told.stdout)) >= Some(oldest))
    })
}

/// 21 of "go version go1.21.3 linux/amd64".
fn minor_version(told: &str) -> Option<u32> {
    let version = told.split_whitespace().nth(2)?.strip_prefix("go1.")?;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read() {
        assert_eq!(minor_version("go version go1.21.3 linux/amd64\n"), Some(21));
        assert_eq!(minor_version("go version go1.26 linux/arm64"), Some(26));
        assert_eq!(minor_version("go version go1.24rc1 linux/arm64"), Some(24));
        assert_eq!(minor_version("go version devel +abc"), None);
        assert_eq!(minor_version(""), None);
    }
}
