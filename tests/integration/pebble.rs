//! Pebble, the authority that Let's Encrypt tests clients with, in a process of its own.

use std::env;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;

use rustls::client::Resumption;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::authority::Authority;
use crate::client::{Http, Socket};
use crate::deadline::eventually_is;

/// A Pebble that finds all names at 127.0.0.1. Killed when dropped.
pub(crate) struct Pebble {
    /// Who its directory's certificate is from. Those that it issues are from another, that it makes when it starts.
    directory: Authority,
    address: SocketAddr,
    management: SocketAddr,
    running: Option<Child>,
}

impl Pebble {
    /// One that does not run yet, so that its directory's address is known.
    pub(crate) fn new() -> Self {
        let [address, management] = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap());
        Self { directory: Authority::new(), address, management, running: None }
    }

    pub(crate) fn directory(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// The authority of the directory.
    pub(crate) fn directory_ca(&self) -> PathBuf {
        self.directory.path("ca.pem")
    }

    /// Starts it, and waits until it answers. It checks names at the port of `checked`, and issues certificates for
    /// `validity_secs`.
    pub(crate) fn start(&mut self, checked: SocketAddr, validity_secs: u32) {
        let own = self.directory.sign("pebble", &["127.0.0.1"]);
        let profile = serde_json::json!({ "description": "the only one", "validityPeriod": validity_secs });
        let config = serde_json::json!({ "pebble": {
            "listenAddress": self.address.to_string(),
            "managementListenAddress": self.management.to_string(),
            "certificate": own.certificate,
            "privateKey": own.key,
            "httpPort": 1,
            "tlsPort": checked.port(),
            // As older ones want it, and as newer ones do.
            "certificateValidityPeriod": validity_secs,
            "profiles": { "default": profile },
        } });
        let file = self.directory.path("pebble.json");
        fs::write(&file, config.to_string()).unwrap();
        let program = env::var_os("FANFARE_PEBBLE").unwrap_or_else(|| "pebble".into());
        let mut command = Command::new(&program);
        command.arg("-config").arg(&file).args(["-dnsserver", &names().to_string()]);
        // Now and then it refuses good nonces, believes what it has checked before, and it takes its time, unless it is told
        // not to.
        command.envs([("PEBBLE_WFE_NONCEREJECT", "0"), ("PEBBLE_AUTHZREUSE", "0"), ("PEBBLE_VA_NOSLEEP", "1")]);
        let spawned = command.stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| {
            panic!("{}: {error}; `cargo xtask test acme` brings it, FANFARE_PEBBLE names another", program.display())
        });
        let mut log = child.stdout.take().unwrap();
        // Read on to the end: a full pipe would stop it. What it says is shown if the test fails.
        thread::spawn(move || {
            let mut text = Vec::new();
            let _ = log.read_to_end(&mut text);
            eprintln!("{}", String::from_utf8_lossy(&text));
        });
        self.running = Some(child);
        eventually_is("pebble listens", || TcpStream::connect(self.management).ok());
    }

    pub(crate) fn stop(&mut self) {
        if let Some(mut running) = self.running.take() {
            let _ = running.kill();
            let _ = running.wait();
        }
    }

    /// A client that trusts what it issues, and nothing else. It resumes nothing: it is shown a certificate each time.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let trusting = Arc::new(self.directory.client(None));
        let mut http = Http { socket: Socket::connect(self.management).with_tls(&trusting, "127.0.0.1") };
        let root = CertificateDer::from_pem_slice(&http.get("/roots/0").body).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(root).unwrap();
        let mut client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        client.resumption = Resumption::disabled();
        Arc::new(client)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where every name is found at 127.0.0.1, for as long as the test runs. Newer Pebbles ask over TCP, older ones over UDP.
fn names() -> SocketAddr {
    let (tcp, udp) = eventually_is("a port is free", || {
        let tcp = TcpListener::bind("127.0.0.1:0").ok()?;
        let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
        Some((tcp, udp))
    });
    let address = udp.local_addr().unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = udp.recv_from(&mut query) {
            let _ = udp.send_to(&answer(&query[..length]), from);
        }
    });
    thread::spawn(move || {
        for mut stream in tcp.incoming().map_while(Result::ok) {
            // Each message has its length in front.
            let mut length = [0; 2];
            while stream.read_exact(&mut length).is_ok() {
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let answer = answer(&query);
                stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
            }
        }
    });
    address
}

/// The answer to a question of the DNS (RFC 1035 §4): 127.0.0.1 if it is for an address of IPv4, else nothing.
fn answer(query: &[u8]) -> Vec<u8> {
    const TYPE_A: [u8; 2] = [0, 1];
    // The name's labels end with an empty one; its type and class follow.
    let mut end = 12;
    while query[end] != 0 {
        end += 1 + usize::from(query[end]);
    }
    end += 5;
    let is_address = query[end - 4..end - 2] == TYPE_A;
    let mut answer = [&query[..2], &[0x81, 0x80, 0, 1, 0, u8::from(is_address), 0, 0, 0, 0]].concat();
    answer.extend_from_slice(&query[12..end]);
    if is_address {
        // The name of the question, type, class, a minute, four bytes.
        answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
        answer.extend_from_slice(&Ipv4Addr::LOCALHOST.octets());
    }
    answer
}
