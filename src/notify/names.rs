//! Looks up the names of receivers: each only once at a time, so that one whose servers are dead holds one thread, however
//! often a message is tried. The resolver cannot be interrupted; on threads of the runtime, of which there are few, such
//! lookups would in the end keep out everything else that must not be done on the loop.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// Names under way at one time.
const AT_ONCE: usize = 64;

type Answer = Result<Arc<[SocketAddr]>, Arc<str>>;

/// Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Names(Arc<Mutex<HashMap<String, watch::Receiver<Option<Answer>>>>>);

impl Names {
    /// The addresses of a host; or why they are not known, in words. Takes as long as the resolver does: whoever asks has a
    /// deadline.
    pub(super) async fn find(&self, host: &str) -> Answer {
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return Ok(Arc::from([SocketAddr::new(address, 0)]));
        }
        let mut answer = self.ask(host)?;
        match answer.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(answer)) => answer.clone(),
            _ => Err("the lookup of its name was abandoned".into()),
        }
    }

    fn ask(&self, host: &str) -> Result<watch::Receiver<Option<Answer>>, Arc<str>> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = under_way.get(host) {
            return Ok(answer.clone());
        }
        if under_way.len() >= AT_ONCE {
            return Err("too many names are being looked up".into());
        }
        let (tell, answer) = watch::channel(None);
        let (names, name) = (self.clone(), host.to_owned());
        let look = move || {
            let found = (name.as_str(), 0).to_socket_addrs();
            let found = found.map(|addresses| addresses.collect()).map_err(|e| {
                let said = e.to_string();
                format!("its name could not be looked up: {}", said.rsplit(": ").next().unwrap_or_default()).into()
            });
            names.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            tell.send_replace(Some(found));
        };
        let thread = std::thread::Builder::new().name("notify-names".to_owned()).stack_size(512 << 10).spawn(look);
        thread.map_err(|e| format!("no thread to look up its name: {e}"))?;
        under_way.insert(host.to_owned(), answer.clone());
        Ok(answer)
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.find(name.as_str()).await.map_err(|why| why.to_string())?;
            let found: Vec<_> = found.iter().copied().collect();
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_looked_up_and_forgotten() {
        let names = Names::default();
        assert!(names.find("localhost").await.unwrap().iter().all(|address| address.ip().is_loopback()));
        assert_eq!(&*names.find("[::1]").await.unwrap(), ["[::1]:0".parse().unwrap()]);
        // The resolver refuses such a name without asking anyone.
        let why = names.find(&format!("{}.example", "x".repeat(64))).await.unwrap_err();
        assert!(why.starts_with("its name could not be looked up: "), "{why}");
        assert!(names.0.lock().unwrap().is_empty());
    }
}
