//! Tells a supervisor how things stand (`sd_notify`), where there is one.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use rustix::time::{ClockId, clock_gettime};

/// The supervisor that `NOTIFY_SOCKET` names, if any. What it misses is not
/// worth an error.
pub struct Supervisor {
    to: Option<(UnixDatagram, SocketAddr)>,
}

impl Supervisor {
    /// Find the supervisor.
    pub fn find() -> Self {
        let to = std::env::var_os("NOTIFY_SOCKET").and_then(|name| {
            let address = match name.as_bytes().strip_prefix(b"@") {
                Some(name) => SocketAddr::from_abstract_name(name),
                None => SocketAddr::from_pathname(&name),
            };
            Some((UnixDatagram::unbound().ok()?, address.ok()?))
        });
        Self { to }
    }

    /// The policy is in force.
    pub fn ready(&self) {
        self.say("READY=1");
    }

    /// A reload that was asked for has begun; [`Supervisor::ready`] ends it.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"));
    }

    /// The agent is about to detach.
    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, state: &str) {
        if let Some((socket, address)) = &self.to {
            let _ = socket.send_to_addr(state.as_bytes(), address);
        }
    }
}
