//! Asks for processes, on one thread of its own that never waits: what may take long or hang is done elsewhere and comes back
//! as a message. Questions of the machine are asked here too, since they never hang either.

use super::family::Family;
use super::pidfile;
use super::pool::{AllHang, Awaited, Pool};
use super::select::{self, Hung, Selected};
use super::system;
use super::watched::{self, Extras, Kept, Looked, Machine, Watched};
use super::{Inputs, late};
use crate::model::{CheckId, Clock, Found, Identity, Input, Kind, Mono, Question, Sample};
use rustix::io::Errno;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// So many are asked before it is seen whether something urgent has come.
const CHUNK: usize = 64;
/// Threads for what may hang.
const THREADS: usize = 8;
/// Without a pidfile, others may join the processes of a check: they are looked for this often, or each time where `count` is
/// wanted.
const LOOK_AGAIN: Duration = Duration::from_secs(10);
/// A process that is gone whenever it is looked at is looked for so many times.
const MOST_TRIES: u8 = 3;

/// The thread.
pub(super) struct Processes {
    messages: Sender<Message>,
}

enum Message {
    Ask(Vec<Question>, Mono),
    Forget(CheckId),
    Selected(Vec<(Ticket, Selected)>),
    Extras(Vec<(Ticket, Extras)>),
    End,
}

/// A question whose answer needs something from elsewhere: its deadline, and a number.
type Ticket = (Mono, u64);

/// A question, and how far it has come.
struct Asked {
    question: Question,
    since: Mono,
    tries: u8,
    /// Its processes were selected just now.
    selected: bool,
    extras: Option<Extras>,
}

impl Processes {
    /// Starts the thread.
    pub(super) fn start(inputs: Inputs, clock: Arc<dyn Clock>) -> io::Result<Processes> {
        let (messages, inbox) = mpsc::channel();
        let back = messages.clone();
        std::thread::Builder::new().name("processes".to_owned()).spawn(move || {
            let asker = Asker {
                inputs,
                clock,
                back,
                pool: Pool::new("selectors", THREADS),
                hung: Arc::default(),
                watched: HashMap::new(),
                systems: HashMap::new(),
                urgent: VecDeque::new(),
                normal: VecDeque::new(),
                away: BTreeMap::new(),
                next: 0,
                answers: Vec::new(),
                machine: Machine::now(),
                kept: Kept::new(),
            };
            asker.run(&inbox);
        })?;
        Ok(Processes { messages })
    }

    /// Asks. The answers come as input.
    pub(super) fn ask(&self, questions: Vec<Question>, now: Mono) {
        // It only fails when the thread has ended, and then so does minder.
        let _ = self.messages.send(Message::Ask(questions, now));
    }

    /// Lets go of what is kept for this check.
    pub(super) fn forget(&self, check: CheckId) {
        let _ = self.messages.send(Message::Forget(check));
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        let _ = self.messages.send(Message::End);
    }
}

struct Asker {
    inputs: Inputs,
    clock: Arc<dyn Clock>,
    back: Sender<Message>,
    pool: Pool,
    hung: Arc<Hung>,
    watched: HashMap<CheckId, Watched>,
    systems: HashMap<CheckId, system::State>,
    urgent: VecDeque<Asked>,
    normal: VecDeque<Asked>,
    /// By deadline.
    away: BTreeMap<Ticket, (Asked, Arc<Awaited>)>,
    next: u64,
    answers: Vec<(CheckId, Arc<Sample>)>,
    machine: Machine,
    kept: Kept,
}

/// What a pass leaves to be looked up elsewhere.
#[derive(Default)]
struct Errands {
    scans: Vec<Asked>,
    extras: Vec<Asked>,
}

impl Asker {
    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let patience = if self.urgent.is_empty() && self.normal.is_empty() {
                let next = self.away.first_key_value().map(|((deadline, _), _)| *deadline - self.clock.now().mono);
                next.unwrap_or(Duration::from_secs(3600))
            } else {
                Duration::ZERO
            };
            let mut message = match inbox.recv_timeout(patience) {
                Ok(message) => Some(message),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            while let Some(some) = message {
                match some {
                    Message::End => return,
                    some => self.take(some),
                }
                message = inbox.try_recv().ok();
            }
            self.pass();
            self.expire();
            // Nobody listens any more only when minder ends.
            if !self.answers.is_empty() && self.inputs.send(Input::Sampled(std::mem::take(&mut self.answers))).is_err()
            {
                return;
            }
        }
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Ask(questions, since) => {
                for question in questions {
                    self.queue(Asked { question, since, tries: 0, selected: false, extras: None });
                }
            }
            Message::Forget(check) => self.forget(check),
            Message::Selected(answers) => {
                for (ticket, selected) in answers {
                    if let Some((asked, _)) = self.away.remove(&ticket) {
                        self.selected(asked, selected);
                    }
                }
            }
            Message::Extras(answers) => {
                for (ticket, extras) in answers {
                    if let Some((asked, _)) = self.away.remove(&ticket) {
                        self.queue(Asked { extras: Some(extras), ..asked });
                    }
                }
            }
            Message::End => {}
        }
    }

    /// A question that is still open is answered now: later, its answer would be kept for a check that is no more.
    fn forget(&mut self, check: CheckId) {
        self.watched.remove(&check);
        self.systems.remove(&check);
        let is_its = |asked: &Asked| asked.question.check == check;
        let away = self.away.extract_if(.., |_, (asked, _)| is_its(asked)).map(|(_, (asked, _))| asked);
        let mut open: Vec<Asked> = away.collect();
        for queue in [&mut self.urgent, &mut self.normal] {
            let (its, others) = queue.drain(..).partition(is_its);
            *queue = others;
            open.extend::<VecDeque<Asked>>(its);
        }
        open.iter().for_each(|asked| self.unknown(asked, "the check is no more".to_owned()));
    }

    fn queue(&mut self, asked: Asked) {
        if asked.question.urgent { &mut self.urgent } else { &mut self.normal }.push_back(asked);
    }

    /// All that is urgent, and a chunk of the rest.
    fn pass(&mut self) {
        self.machine.refresh();
        let mut errands = Errands::default();
        while let Some(asked) = self.urgent.pop_front() {
            self.ask(asked, &mut errands);
        }
        for _ in 0..CHUNK {
            let Some(asked) = self.normal.pop_front() else { break };
            self.ask(asked, &mut errands);
        }
        self.send_for_scans(errands.scans);
        self.send_for_extras(errands.extras);
        if self.kept.is_over() {
            self.release();
        }
    }

    fn ask(&mut self, asked: Asked, errands: &mut Errands) {
        let check = asked.question.check;
        let kind = Arc::clone(&asked.question.kind);
        let process = match &*kind {
            Kind::Process(process) => process,
            Kind::System(_) => {
                let sample = self.systems.entry(check).or_default().look(asked.question.wanted, &*self.clock);
                return self.answers.push((check, Arc::new(sample)));
            }
            _ => return self.unknown(&asked, "not a question of a process".to_owned()),
        };
        let wanted = asked.question.wanted;
        let Some(identity) = asked.question.identity else {
            match &process.pidfile {
                // Whom its supervisor names is asked about, and nobody is looked for in its place.
                None if process.supervised => {
                    let now = self.clock.now();
                    self.watched.remove(&check);
                    let gone = "the process that its supervisor has named is gone".to_owned();
                    self.answers.push((check, Arc::new(watched::nobody(now, now.mono - asked.since, gone))));
                }
                Some(_) => self.send_for_pidfile(asked),
                None => errands.scans.push(asked),
            }
            return;
        };
        let now = self.clock.now().mono;
        let watched = self.watched.entry(check).or_insert_with(|| Watched::new(identity));
        if watched.first() != Some(identity) {
            *watched = Watched::new(identity);
        }
        if process.pidfile.is_none() && !process.supervised && !asked.selected && !asked.question.urgent {
            let stale = watched.selected.is_none_or(|then| now - then >= LOOK_AGAIN);
            if stale || watched::wants_count(wanted) {
                return errands.scans.push(asked);
            }
        }
        if asked.extras.is_none() && (watched::wants_family(wanted) || watched::wants_io(wanted)) {
            return errands.extras.push(asked);
        }
        self.look(asked, now, None);
    }

    /// One look at the processes of a check.
    fn look(&mut self, asked: Asked, began: Mono, note: Option<Arc<str>>) {
        let Question { check, wanted, .. } = asked.question;
        for last_try in [false, true] {
            let Some(watched) = self.watched.get_mut(&check) else {
                return self.unknown(&asked, "forgotten".to_owned());
            };
            match watched.look(wanted, asked.extras.as_ref(), &*self.clock, &self.machine, &self.kept) {
                Ok(Looked::Seen(mut sample)) => {
                    sample.took = sample.at.mono - began;
                    sample.note = sample.note.or(note);
                    return self.answers.push((check, Arc::new(sample)));
                }
                Ok(Looked::Gone) => return self.gone(asked),
                Err(e) if !last_try && matches!(Errno::from_io_error(&e), Some(Errno::MFILE | Errno::NFILE)) => {
                    self.kept.halve();
                    self.release();
                }
                Err(e) => return self.unknown(&asked, format!("the process cannot be looked at: {e}")),
            }
        }
    }

    /// The process that answered is gone: the selector is asked again.
    fn gone(&mut self, mut asked: Asked) {
        asked.tries += 1;
        if asked.tries > MOST_TRIES {
            return self.unknown(&asked, "its processes end faster than they can be looked at".to_owned());
        }
        asked.question.identity = None;
        asked.selected = false;
        asked.extras = None;
        self.queue(asked);
    }

    fn selected(&mut self, mut asked: Asked, selected: Selected) {
        let check = asked.question.check;
        let now = self.clock.now();
        let took = now.mono - asked.since;
        let sample = match (selected, asked.question.identity) {
            (Selected::Processes(mut found), known) => {
                // The process that answered last time goes on answering while it lives.
                if let Some(known) = known {
                    found.retain(|identity| *identity != known);
                    found.insert(0, known);
                }
                let Some(first) = found.first().copied() else { return };
                self.watched.entry(check).or_insert_with(|| Watched::new(first)).select(found, now.mono);
                asked.question.identity = Some(first);
                asked.selected = true;
                return self.queue(asked);
            }
            (_, Some(_)) => {
                asked.selected = true;
                return self.queue(asked);
            }
            (Selected::Nobody(why), None) => {
                self.watched.remove(&check);
                watched::nobody(now, took, why)
            }
            (Selected::Forming(why), None) => Sample { took, found: Found::Forming, ..Sample::unknown(now, why) },
            (Selected::Unknown(why), None) => Sample { took, ..Sample::unknown(now, why) },
        };
        self.answers.push((check, Arc::new(sample)));
    }

    fn unknown(&mut self, asked: &Asked, why: String) {
        let now = self.clock.now();
        let sample = Sample { took: now.mono - asked.since, ..Sample::unknown(now, why) };
        self.answers.push((asked.question.check, Arc::new(sample)));
    }

    fn expire(&mut self) {
        if self.away.is_empty() {
            return;
        }
        let now = self.clock.now();
        while let Some(entry) = self.away.first_entry()
            && entry.key().0 <= now.mono
        {
            let (asked, _) = entry.remove();
            let sample = late(&asked.question, now, now.mono - asked.since);
            self.make_do(asked, sample);
        }
    }

    /// What was to be looked up elsewhere did not come. A process that is known can be looked at all the same; of one that
    /// is not, nothing can be said.
    fn make_do(&mut self, asked: Asked, otherwise: Sample) {
        if asked.question.identity.is_some() && self.watched.contains_key(&asked.question.check) {
            self.look(asked, otherwise.at.mono, otherwise.note);
        } else {
            self.answers.push((asked.question.check, Arc::new(otherwise)));
        }
    }

    /// At the limit of open files: those kept open are closed, and opened again as far as there is room.
    fn release(&mut self) {
        self.watched.values_mut().for_each(Watched::release);
    }

    fn ticket(&mut self, asked: &Asked) -> Ticket {
        self.next += 1;
        (asked.since + asked.question.timeout, self.next)
    }

    fn send_for_pidfile(&mut self, asked: Asked) {
        let ticket = self.ticket(&asked);
        let known = self.watched.get(&asked.question.check).and_then(Watched::first);
        let (kind, clock, hung) = (Arc::clone(&asked.question.kind), Arc::clone(&self.clock), Arc::clone(&self.hung));
        self.send_away(
            vec![(ticket, asked)],
            move || match &*kind {
                Kind::Process(process) => match &process.pidfile {
                    Some(path) => vec![(ticket, pidfile::select(path, process, known, &*clock, &hung))],
                    None => Vec::new(),
                },
                _ => Vec::new(),
            },
            Message::Selected,
        );
    }

    /// One look at every process answers all of these.
    fn send_for_scans(&mut self, asked: Vec<Asked>) {
        if asked.is_empty() {
            return;
        }
        let (clock, hung) = (Arc::clone(&self.clock), Arc::clone(&self.hung));
        let asked: Vec<(Ticket, Asked)> = asked.into_iter().map(|asked| (self.ticket(&asked), asked)).collect();
        let (tickets, kinds): (Vec<Ticket>, Vec<Arc<Kind>>) =
            asked.iter().map(|(ticket, asked)| (*ticket, Arc::clone(&asked.question.kind))).unzip();
        let scan = move || tickets.into_iter().zip(select::by_scan(&kinds, &*clock, &hung)).collect();
        self.send_away(asked, scan, Message::Selected);
    }

    fn send_for_extras(&mut self, asked: Vec<Asked>) {
        if asked.is_empty() {
            return;
        }
        let (clock, hung) = (Arc::clone(&self.clock), Arc::clone(&self.hung));
        let asked: Vec<(Ticket, Asked)> = asked.into_iter().map(|asked| (self.ticket(&asked), asked)).collect();
        let whose = |asked: &Asked| match self.watched.get(&asked.question.check) {
            Some(watched) if watched::wants_io(asked.question.wanted) => watched.identities(),
            _ => Vec::new(),
        };
        let whose: Vec<(Ticket, Vec<Identity>)> = asked.iter().map(|(ticket, asked)| (*ticket, whose(asked))).collect();
        let family = asked.iter().any(|(_, asked)| watched::wants_family(asked.question.wanted));
        let look = move || {
            let at = clock.now().mono;
            let family = if family { select::scan().ok().map(|stats| Arc::new(Family::new(stats))) } else { None };
            let io = |who: Identity| (who, hung.unless_stuck(who, &*clock, || watched::read_io(who.pid)).flatten());
            let of = |(ticket, whose): (Ticket, Vec<Identity>)| {
                (ticket, Extras { at, family: family.clone(), io: whose.into_iter().map(io).collect() })
            };
            whose.into_iter().map(of).collect()
        };
        self.send_away(asked, look, Message::Extras);
    }

    /// Has something looked up by a thread that may hang. Those who ask wait until their deadlines.
    fn send_away<T: Send + 'static>(
        &mut self,
        asked: Vec<(Ticket, Asked)>,
        look: impl FnOnce() -> T + Send + 'static,
        message: fn(T) -> Message,
    ) {
        let back = self.back.clone();
        match self.pool.run(look, move |found| drop(back.send(message(found)))) {
            Ok(awaited) => {
                let awaited = Arc::new(awaited);
                let asked = asked.into_iter().map(|(ticket, asked)| (ticket, (asked, Arc::clone(&awaited))));
                self.away.extend(asked);
            }
            Err(AllHang) => {
                let otherwise =
                    Sample::unknown(self.clock.now(), format!("{THREADS} earlier questions hang in the kernel"));
                for (_, asked) in asked {
                    self.make_do(asked, otherwise.clone());
                }
            }
        }
    }
}
