//! Looks names up by the machine's resolver, in threads: so many at most, and each name only once at a time, so that a
//! name whose servers are dead holds one thread, however many checks ask for it.

use super::words::{Trouble, trouble};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, watch};

/// How many names are looked up at once.
const AT_ONCE: usize = 16;

/// How many names may wait. Redirects can name as many as they like.
const WAITING: usize = 4096;

/// How many addresses of a name are tried.
const ADDRESSES: usize = 8;

/// Names being looked up.
pub(super) struct Names {
    slots: Arc<Semaphore>,
    under_way: Arc<UnderWay>,
}

type UnderWay = Mutex<HashMap<String, watch::Receiver<Lookup>>>;

/// How far a lookup is.
#[derive(Debug, Clone)]
pub(super) enum Lookup {
    /// It waits for one of our threads.
    Queued,
    /// The resolver is asked.
    Asking,
    /// It is done.
    Done(Result<Arc<[IpAddr]>, NotFound>),
}

/// Why a name has no address.
#[derive(Debug, Clone)]
pub(super) enum NotFound {
    /// There is no such name.
    NoSuchName,
    /// The resolver could not say, or could not be asked.
    Other(Trouble),
}

impl Names {
    /// None under way.
    pub(super) fn new() -> Names {
        Names { slots: Arc::new(Semaphore::new(AT_ONCE)), under_way: Arc::default() }
    }

    /// The addresses of what needs no resolver. `localhost` is one of these (RFC 6761, 6.3): a check of this machine does
    /// not wait for a resolver that hangs.
    pub(super) fn known(host: &str) -> Option<Arc<[IpAddr]>> {
        if let Ok(address) = host.parse() {
            return Some(Arc::from([address]));
        }
        let host = host.strip_suffix('.').unwrap_or(host);
        host.eq_ignore_ascii_case("localhost")
            .then(|| Arc::from([IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)]))
    }

    /// As if so many lookups hung.
    #[cfg(test)]
    pub(super) async fn take_all_slots(&self) -> tokio::sync::OwnedSemaphorePermit {
        Arc::clone(&self.slots).acquire_many_owned(AT_ONCE as u32).await.unwrap()
    }

    /// Asks for a name; the last value to be received is `Done`.
    pub(super) fn ask(&self, host: &str) -> Result<watch::Receiver<Lookup>, Trouble> {
        let mut under_way = lock(&self.under_way);
        if let Some(lookup) = under_way.get(host) {
            return Ok(lookup.clone());
        }
        if under_way.len() >= WAITING {
            return Err(Trouble::ours("too many names wait to be looked up"));
        }
        let (tell, lookup) = watch::channel(Lookup::Queued);
        under_way.insert(host.to_owned(), lookup.clone());
        tokio::spawn(look_up(host.to_owned(), tell, Arc::clone(&self.slots), Arc::clone(&self.under_way)));
        Ok(lookup)
    }
}

/// Not part of the probe that asked: the resolver cannot be interrupted, and the slot must be held until its thread is free.
async fn look_up(host: String, tell: watch::Sender<Lookup>, slots: Arc<Semaphore>, under_way: Arc<UnderWay>) {
    let _slot = slots.acquire_owned().await;
    tell.send_replace(Lookup::Asking);
    let name = host.clone();
    let answer = tokio::task::spawn_blocking(move || resolve(&name)).await;
    let answer = answer.unwrap_or_else(|_| Err(NotFound::Other(Trouble::ours("the name could not be looked up"))));
    lock(&under_way).remove(&host);
    tell.send_replace(Lookup::Done(answer));
}

fn resolve(host: &str) -> Result<Arc<[IpAddr]>, NotFound> {
    match (host, 0).to_socket_addrs() {
        Ok(addresses) => {
            let mut found: Vec<IpAddr> = addresses.map(|address| address.ip()).collect();
            found.dedup();
            found.truncate(ADDRESSES);
            if found.is_empty() { Err(NotFound::NoSuchName) } else { Ok(found.into()) }
        }
        Err(e) => Err(not_found(&e)),
    }
}

fn not_found(e: &io::Error) -> NotFound {
    // The resolver hides that it could not open its files or sockets.
    if let Err(own) = File::open("/dev/null") {
        return NotFound::Other(trouble(&own));
    }
    if e.raw_os_error().is_some() {
        return NotFound::Other(trouble(e));
    }
    // The standard library gives the resolver's error as a text only.
    let said = e.to_string();
    let said = said.rsplit(": ").next().unwrap_or_default();
    if ["Name or service not known", "Name does not resolve", "No address associated with hostname"].contains(&said) {
        return NotFound::NoSuchName;
    }
    NotFound::Other(Trouble::failed(format!("the name could not be looked up: {said}")))
}

fn lock(under_way: &UnderWay) -> MutexGuard<'_, HashMap<String, watch::Receiver<Lookup>>> {
    under_way.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_need_no_resolver() {
        assert_eq!(&*Names::known("192.0.2.1").unwrap(), ["192.0.2.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(&*Names::known("::1").unwrap(), ["::1".parse::<IpAddr>().unwrap()]);
        assert_eq!(Names::known("LocalHost.").unwrap().len(), 2);
        assert!(Names::known("localhost.example").is_none());
    }

    #[tokio::test]
    async fn a_name_is_asked_for_once_at_a_time_and_waits_for_a_slot() {
        let names = Names::new();
        let all = names.take_all_slots().await;
        // The resolver refuses such a name without asking anyone.
        let name = format!("{}.example", "x".repeat(64));
        let mut first = names.ask(&name).unwrap();
        let second = names.ask(&name).unwrap();
        assert!(first.same_channel(&second));
        tokio::task::yield_now().await;
        assert!(matches!(*first.borrow(), Lookup::Queued));
        drop(all);
        let done = first.wait_for(|lookup| matches!(lookup, Lookup::Done(_))).await.unwrap().clone();
        assert!(matches!(done, Lookup::Done(Err(NotFound::NoSuchName))), "{done:?}");
        assert!(lock(&names.under_way).is_empty());
    }
}
