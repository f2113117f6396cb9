//! Signals as events.

use std::io;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator;

use super::owner::{Event, Outbox};

/// Waits for signals on a thread of its own.
pub struct Signals {
    handle: iterator::Handle,
}

impl Signals {
    /// Turn SIGHUP into a reload. SIGINT and SIGTERM go on ending the process,
    /// as long as there is nothing to detach.
    pub fn listen(outbox: Outbox) -> io::Result<Self> {
        let mut signals = iterator::Signals::new([SIGHUP])?;
        let handle = signals.handle();
        thread::Builder::new()
            .name("edict-signals".to_owned())
            .spawn(move || {
                for signal in signals.forever() {
                    let event = match signal {
                        SIGHUP => Event::Reload,
                        _ => Event::Stop,
                    };
                    if !outbox.send(event) {
                        return;
                    }
                }
            })?;
        Ok(Self { handle })
    }

    /// From now on SIGINT and SIGTERM detach first.
    pub fn detach_on_end(&self) -> io::Result<()> {
        self.handle.add_signal(SIGINT)?;
        self.handle.add_signal(SIGTERM)
    }
}
