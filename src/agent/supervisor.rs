//! Tells a supervisor how things stand (`sd_notify`), where there is one.

use std::ffi::OsString;
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
        Self::named(std::env::var_os("NOTIFY_SOCKET"))
    }

    fn named(name: Option<OsString>) -> Self {
        let to = name.and_then(|name| {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_supervisor_is_told_and_none_is_no_matter() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let supervisor = Supervisor::named(Some(path.into_os_string()));
        let heard = || {
            let mut buffer = [0; 100];
            let length = socket.recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        };
        supervisor.ready();
        assert_eq!(heard(), "READY=1");
        supervisor.reloading();
        assert!(heard().starts_with("RELOADING=1\nMONOTONIC_USEC="));
        supervisor.stopping();
        assert_eq!(heard(), "STOPPING=1");
        drop(socket);
        supervisor.ready();
        Supervisor::named(None).ready();
    }
}
