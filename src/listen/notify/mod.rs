//! What services say of themselves, by the protocol of sd_notify(3): a socket for each service, at which anybody may send, and
//! where the kernel's word on the sender decides who is heard.

mod message;
mod socket;
#[cfg(test)]
mod tests;

use super::{FIRST_SPEAKER, Request, Requests};
use crate::model::kinds::Beat;
use crate::model::{CheckId, Hearing, Identity, Input, Name};
use crate::sys::datagram::{self, Datagram, Sender};
use crate::sys::deadline::Deadline;
use crate::sys::proc;
use crate::sys::users::User;
use message::Said;
use rustix::event::epoll::{self, EventData, EventFlags};
use socket::Socket;
use std::collections::{BTreeMap, HashMap};
use std::mem::discriminant;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;

/// After so many datagrams a socket is not read for [`REST`]. Whoever sends more waits: the kernel queues some ten of them. So
/// a flood costs a bounded share of the thread's time, and makes no queue of ours grow.
const MOST_AT_ONCE: u32 = 32;
const REST: Duration = Duration::from_millis(50);

/// Of how many users is kept what they say before a process is known.
const MOST_EARLY: usize = 4;

/// The sockets of all services.
pub(super) struct Notify {
    inputs: UnboundedSender<Input>,
    epoll: Arc<OwnedFd>,
    requests: Arc<Requests>,
    directory: PathBuf,
    rest: Deadline,
    /// Somebody rests.
    resting: bool,
    speakers: HashMap<u64, Speaker>,
    next: u64,
    /// One byte more than a datagram may have.
    buffer: Box<[u8]>,
    /// It has been said that others cannot reach the sockets.
    closed: bool,
}

/// A service and its socket.
struct Speaker {
    service: Name,
    /// Its checks that listen: after a reload, for a moment, both the old and the new one.
    hearings: BTreeMap<CheckId, (Hearing, Option<u32>)>,
    /// Nothing if it cannot be had; tried again whenever something of the service has changed.
    socket: Option<Socket>,
    /// What was last said about having none.
    trouble: Option<String>,
    /// Datagrams read since its last rest.
    read: u32,
    /// The user of the process that was last looked at: it speaks for the service until another is known.
    user: Option<u32>,
    /// What came while no living process was known, by user: said by one that nobody has seen yet, it is heard, or heard again, once
    /// its process is known.
    early: Vec<Early>,
    /// Datagrams of those who may not speak.
    strangers: u64,
    /// One that was too long has been told of.
    too_long: bool,
}

struct Early {
    sender: Sender,
    /// The latest of each kind, and when, since boot.
    said: Vec<(Duration, Beat)>,
}

impl Notify {
    pub(super) fn new(
        inputs: UnboundedSender<Input>,
        epoll: Arc<OwnedFd>,
        requests: Arc<Requests>,
        directory: PathBuf,
        rest: Deadline,
    ) -> Notify {
        let buffer = vec![0; message::MOST + 1].into_boxed_slice();
        let (speakers, next) = (HashMap::new(), FIRST_SPEAKER);
        Notify { inputs, epoll, requests, directory, rest, resting: false, speakers, next, buffer, closed: false }
    }

    /// A check listens, or something of its service has changed.
    pub(super) fn hear(&mut self, check: CheckId, hearing: Hearing) {
        let known = self.speakers.iter().find(|(_, speaker)| speaker.service == hearing.service);
        let number = known.map(|(number, _)| *number).unwrap_or_else(|| {
            self.next += 1;
            self.speakers.insert(self.next, Speaker::new(&hearing.service));
            self.next
        });
        let Some(speaker) = self.speakers.get_mut(&number) else { return };
        let before = speaker.hearings.remove(&check).filter(|(before, _)| before.user == hearing.user);
        let user = match (before, &hearing.user) {
            (Some((_, user)), _) => user,
            (None, None) => None,
            (None, Some(user)) => user.parse().ok().or_else(|| {
                look_up(&self.requests, &self.inputs, check, user);
                None
            }),
        };
        let process = hearing.process;
        speaker.hearings.insert(check, (hearing, user));
        self.serve(number);
        if let Some(identity) = process {
            self.known(number, identity);
        }
    }

    /// The user who may speak for a check's service has been looked up.
    pub(super) fn named(&mut self, check: CheckId, name: &str, uid: u32) {
        for speaker in self.speakers.values_mut() {
            let hearing = speaker.hearings.get_mut(&check).filter(|(hearing, _)| hearing.user.as_deref() == Some(name));
            let Some((_, user)) = hearing else { continue };
            *user = Some(uid);
            if let Some(place) = speaker.early.iter().position(|early| early.sender.uid == uid) {
                let early = speaker.early.swap_remove(place);
                speaker.tell(&self.inputs, early.said.into_iter().map(|(_, beat)| beat).collect());
            }
        }
    }

    /// A check listens no longer.
    pub(super) fn forget(&mut self, check: CheckId) {
        let listened = |speaker: &mut Speaker| speaker.hearings.remove(&check).is_some();
        let number = self.speakers.iter_mut().find_map(|(number, speaker)| listened(speaker).then_some(*number));
        if let Some(number) = number
            && self.speakers.get(&number).is_some_and(|speaker| speaker.hearings.is_empty())
            && let Some(Speaker { socket: Some(socket), .. }) = self.speakers.remove(&number)
        {
            let _ = epoll::delete(&*self.epoll, &socket);
        }
    }

    /// Sees to it that the service's socket is where it is expected.
    fn serve(&mut self, number: u64) {
        let Some(speaker) = self.speakers.get_mut(&number) else { return };
        if let Some(socket) = &speaker.socket {
            if socket.is_in_place() {
                return;
            }
            let _ = epoll::delete(&*self.epoll, socket);
            speaker.socket = None;
        }
        let socket = Socket::bind(&self.directory, &speaker.service).and_then(|socket| {
            epoll::add(&*self.epoll, &socket, EventData::new_u64(number), EventFlags::IN)
                .map_err(|e| e.to_string())
                .map(|()| socket)
        });
        match socket {
            Ok(socket) => {
                speaker.socket = Some(socket);
                speaker.trouble = None;
            }
            Err(why) => {
                if speaker.trouble.as_ref() != Some(&why) {
                    let words =
                        format!("{} has no notify socket, so its heartbeats are not heard: {why}", speaker.service);
                    let _ = self.inputs.send(Input::Noted(words.into()));
                }
                speaker.trouble = Some(why);
            }
        }
        self.look_above();
    }

    /// Says once if the daemons of others cannot reach the sockets of root's minder.
    fn look_above(&mut self) {
        let above = self.directory.parent().and_then(|above| Some((above, above.metadata().ok()?)));
        if let Some((above, about)) = above
            && rustix::process::geteuid().is_root()
            && about.mode() & 0o001 == 0
            && !std::mem::replace(&mut self.closed, true)
        {
            let words = format!(
                "only root can reach the notify sockets: {} is closed to others; open it with: chmod o+x {0}",
                above.display()
            );
            let _ = self.inputs.send(Input::Noted(words.into()));
        }
    }

    /// The process of a service is known: who has spoken too early may now be heard.
    fn known(&mut self, number: u64, identity: Identity) {
        let Some(speaker) = self.speakers.get_mut(&number) else { return };
        let Some(user) = user_of(identity) else { return };
        speaker.user = Some(user);
        for Early { sender, said } in std::mem::take(&mut speaker.early) {
            if speaker.may_speak(sender) != Some(true) {
                speaker.refuse(&self.inputs, sender);
                continue;
            }
            // What was said before it began was said of another.
            let meant = said.into_iter().filter(|(at, _)| !proc::running_for(identity.start, *at).is_zero());
            speaker.tell(&self.inputs, meant.map(|(_, beat)| beat).collect());
        }
    }

    /// Something has come for the service with this number.
    pub(super) fn readable(&mut self, number: u64) {
        let Some(speaker) = self.speakers.get_mut(&number) else { return };
        let mut gathered = Vec::new();
        while speaker.read < MOST_AT_ONCE {
            let Some(socket) = &speaker.socket else { break };
            let datagram = match datagram::receive(socket, &mut self.buffer) {
                Ok(datagram) => datagram,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                // An error is no end, but must not keep the thread spinning.
                Err(_) => {
                    speaker.read += 1;
                    continue;
                }
            };
            speaker.read += 1;
            speaker.take(&self.inputs, datagram, &self.buffer, &mut gathered);
        }
        speaker.tell(&self.inputs, gathered);
        if speaker.read >= MOST_AT_ONCE
            && let Some(socket) = &speaker.socket
            && (self.resting || self.rest.set(REST).is_ok())
        {
            self.resting = true;
            let _ = epoll::modify(&*self.epoll, socket, EventData::new_u64(number), EventFlags::empty());
        }
    }

    /// Those who have said much are read on.
    pub(super) fn rested(&mut self) {
        self.rest.clear();
        self.resting = false;
        for (number, speaker) in &mut self.speakers {
            if std::mem::take(&mut speaker.read) >= MOST_AT_ONCE
                && let Some(socket) = &speaker.socket
            {
                let _ = epoll::modify(&*self.epoll, socket, EventData::new_u64(*number), EventFlags::IN);
            }
        }
    }
}

impl Speaker {
    fn new(service: &Name) -> Speaker {
        Speaker {
            service: Arc::clone(service),
            hearings: BTreeMap::new(),
            socket: None,
            trouble: None,
            read: 0,
            user: None,
            early: Vec::new(),
            strangers: 0,
            too_long: false,
        }
    }

    /// Takes a datagram in; what it says is gathered. Whatever descriptors came with it are closed at the end: those of a barrier
    /// once all before it has been handed over.
    fn take(&mut self, inputs: &UnboundedSender<Input>, datagram: Datagram, buffer: &[u8], gathered: &mut Vec<Beat>) {
        // Of a process outside of our pid namespace, which is none that we watch.
        let Some(sender) = datagram.sender else { return };
        if datagram.cut || datagram.length > message::MOST {
            if !std::mem::replace(&mut self.too_long, true) {
                let most = message::MOST;
                let words = format!("{} was sent more than {most} bytes at its notify socket: not read", self.service);
                let _ = inputs.send(Input::Noted(words.into()));
            }
            return;
        }
        let said = message::read(&buffer[..datagram.length]);
        if said == Said::Barrier {
            return self.tell(inputs, std::mem::take(gathered));
        }
        let Said::Beats { main, beats } = said else { return };
        let main = main.and_then(|pid| main_process(pid, sender)).map(Beat::Main);
        let beats: Vec<Beat> = main.into_iter().chain(beats).collect();
        match self.may_speak(sender) {
            Some(true) => {
                // A mere beat is soon followed by the next.
                if beats.iter().any(|beat| *beat != Beat::Well) && self.user_of_process().is_none() {
                    self.keep(sender, &beats);
                }
                beats.into_iter().for_each(|beat| gather(gathered, beat));
            }
            None if self.keep(sender, &beats) => {}
            None | Some(false) => self.refuse(inputs, sender),
        }
    }

    /// Keeps what was said for the process that is not known yet, if there is room.
    fn keep(&mut self, sender: Sender, beats: &[Beat]) -> bool {
        let place = self.early.iter().position(|early| early.sender.uid == sender.uid);
        if place.is_none() && self.early.len() == MOST_EARLY {
            return false;
        }
        let mut said = place.map_or_else(Vec::new, |place| self.early.swap_remove(place).said);
        let at = proc::booted_ago();
        for beat in beats {
            said.retain(|(_, before)| discriminant(before) != discriminant(beat));
            said.push((at, beat.clone()));
        }
        self.early.push(Early { sender, said });
        true
    }

    /// The user that its process runs as, if that is known and lives.
    fn user_of_process(&self) -> Option<u32> {
        self.hearings.values().filter_map(|(hearing, _)| hearing.process).filter_map(user_of).next_back()
    }

    /// Whether the sender may speak for the service: root, minder's own user, whom the rules name, and the user that the service's
    /// process runs as, or the last one's did. Not known of others as long as no process is.
    fn may_speak(&mut self, sender: Sender) -> Option<bool> {
        let uid = sender.uid;
        let named = || self.hearings.values().any(|(_, user)| *user == Some(uid));
        if uid == 0 || uid == rustix::process::geteuid().as_raw() || named() || self.user == Some(uid) {
            return Some(true);
        }
        // A run script begins as root, and becomes another with the same pid.
        let user = self.user_of_process()?;
        self.user = Some(user);
        Some(user == uid)
    }

    fn tell(&self, inputs: &UnboundedSender<Input>, beats: Vec<Beat>) {
        for (hearing, _) in self.hearings.values() {
            let (service, check) = (&hearing.service, &hearing.check);
            for beat in beats.iter().cloned() {
                let _ = inputs.send(Input::Beat { service: Arc::clone(service), check: Arc::clone(check), beat });
            }
        }
    }

    /// Counts one who may not speak, and says so now and then.
    fn refuse(&mut self, inputs: &UnboundedSender<Input>, Sender { pid, uid }: Sender) {
        self.strangers += 1;
        if matches!(self.strangers, 1 | 1_000 | 1_000_000) {
            let words = format!(
                "not heard at the notify socket of {}: pid {pid} of user {uid}, who is neither root nor the user of its \
                 process; {} of such messages so far",
                self.service, self.strangers
            );
            let _ = inputs.send(Input::Noted(words.into()));
        }
    }
}

/// Adds what was said. Of each kind the latest counts, so that a flood is few words.
fn gather(gathered: &mut Vec<Beat>, beat: Beat) {
    gathered.retain(|before| discriminant(before) != discriminant(&beat));
    gathered.push(beat);
}

/// The user that a process runs as, if it lives.
fn user_of(identity: Identity) -> Option<u32> {
    let user = proc::user(identity.pid).ok()?;
    // Compared afterwards: whoever has the start time now had the pid before.
    (proc::stat(identity.pid).ok()?.start == identity.start).then_some(user)
}

/// The process that a sender names as that of its service: one of its own user, and for root anybody's. Neither the first process
/// nor we ourselves nor one of the kernel's own can be meant.
fn main_process(pid: u32, sender: Sender) -> Option<Identity> {
    let stat = proc::stat(pid).ok().filter(|stat| stat.is_alive() && !stat.kernel)?;
    let identity = Identity { pid, start: stat.start };
    let own = user_of(identity)? == sender.uid || sender.uid == 0;
    (own && pid != 1 && pid != std::process::id()).then_some(identity)
}

/// Looks a user up, on a thread of its own: a directory service may take its time, and exits must not wait for it.
fn look_up(requests: &Arc<Requests>, inputs: &UnboundedSender<Input>, check: CheckId, name: &str) {
    let (requests, inputs, name) = (Arc::clone(requests), inputs.clone(), name.to_owned());
    let looked_up = move || match User::known(&name) {
        Ok(user) => requests.push(Request::Named(check, name, user.uid)),
        Err(why) => {
            let words = format!("who may speak for a service is not known: {why}");
            let _ = inputs.send(Input::Noted(words.into()));
        }
    };
    // Without a thread, root and the process itself are heard all the same.
    let _ = std::thread::Builder::new().name("look up".to_owned()).spawn(looked_up);
}
