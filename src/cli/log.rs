//! Writes the log to standard output, on a thread of its own: a reader that has stopped reading, or gone, stops nothing.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So many lines wait for a slow reader. Further ones are lost, and counted.
const WAITING: usize = 4096;
/// How long the end waits for the reader.
const PARTING: Duration = Duration::from_millis(500);

enum Order {
    Line(Vec<u8>),
    /// Say when everything before this is written.
    Flush(SyncSender<()>),
}

/// The log's way out. Clones are the same.
#[derive(Clone)]
pub(super) struct Log {
    orders: SyncSender<Order>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// # Errors
    /// There is no thread to be had.
    pub(super) fn start() -> io::Result<Log> {
        let (orders, inbox) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let log = Log { orders, lost: Arc::clone(&lost) };
        std::thread::Builder::new().name("log".to_owned()).stack_size(128 << 10).spawn(move || write(&inbox, &lost))?;
        Ok(log)
    }

    /// For the subscriber, which writes each line with one call.
    pub(super) fn writer(&self) -> Mutex<Log> {
        Mutex::new(self.clone())
    }

    /// Waits until all of it is written, but not for ever.
    pub(super) fn flush(&self) {
        let (done, written) = sync_channel(1);
        if self.orders.try_send(Order::Flush(done)).is_ok() {
            let _ = written.recv_timeout(PARTING);
        }
    }
}

impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.orders.try_send(Order::Line(line.to_vec())) {
            self.lost.fetch_add(1, Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(inbox: &Receiver<Order>, lost: &AtomicU64) {
    for order in inbox {
        match order {
            // To whom is gone there is nothing to say.
            Order::Line(line) => drop(io::stdout().write_all(&line)),
            Order::Flush(done) => drop(done.send(())),
        }
        match lost.swap(0, Relaxed) {
            0 => {}
            lines => drop(writeln!(io::stdout(), "{lines} lines of this log are lost: they were not read in time")),
        }
    }
}
