//! minder is killed, and killed again, while it tells: nothing is lost, and nothing is told twice to one who honours the key.

use super::SOON;
use super::support::{Minder, wait_for};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// So often minder is killed.
const KILLS: usize = 200;
/// So often it is told to end, in between.
const ENDS: usize = 8;
/// Files that come and go; each is a service.
const FILES: usize = 6;

/// Chance that can be had again: the same seed, the same choices. The moments are those of the machine.
#[derive(Clone)]
struct Chance(Arc<Mutex<u64>>);

impl Chance {
    /// `SEED` of the environment, or one of this moment; said, so that it stands beside a failure.
    fn new() -> Chance {
        let time = || std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().subsec_nanos();
        let seed = std::env::var("SEED").ok().map_or_else(|| u64::from(time()), |seed| seed.parse().unwrap());
        println!("SEED={seed} repeats these choices");
        Chance(Arc::new(Mutex::new(seed | 1)))
    }

    /// A number below this.
    fn below(&self, end: usize) -> usize {
        let mut state = self.0.lock().unwrap();
        *state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        (*state >> 33) as usize % end
    }
}

/// What a message says of itself.
#[derive(Debug, Clone, PartialEq)]
struct Taken {
    key: String,
    kind: String,
    incident: u64,
    service: String,
}

/// A receiver that honours the key: what it has taken once, it knows.
struct Moody {
    port: u16,
    /// In the order of the first time.
    taken: Arc<Mutex<Vec<Taken>>>,
    well: Arc<AtomicBool>,
}

impl Moody {
    fn start(chance: Option<Chance>) -> Moody {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (taken, well) = (Arc::<Mutex<Vec<Taken>>>::default(), Arc::new(AtomicBool::new(chance.is_none())));
        let (into, is_well) = (Arc::clone(&taken), Arc::clone(&well));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mood = match &chance {
                    Some(chance) if !is_well.load(Ordering::Relaxed) => chance.below(10),
                    _ => 9,
                };
                let into = Arc::clone(&into);
                std::thread::spawn(move || receive(&stream, mood, &into));
            }
        });
        Moody { port, taken, well }
    }

    fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap().clone()
    }

    /// What it was told of each incident: the kinds, in order.
    fn told(&self) -> BTreeMap<u64, Vec<String>> {
        let mut told: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for taken in self.taken().into_iter().filter(|taken| taken.incident > 0) {
            told.entry(taken.incident).or_default().push(taken.kind);
        }
        told
    }
}

fn receive(stream: &TcpStream, mood: usize, taken: &Mutex<Vec<Taken>>) {
    let answer = |answer: &str| {
        let _ = write!(&mut &*stream, "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    };
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    // It does not even listen.
    if mood == 0 {
        return;
    }
    // A sender that is killed in the middle has sent nothing.
    let Some(body) = read(stream) else { return };
    // Somebody tries it: no incident of history has such a number.
    if body["data"]["incident"].as_u64().is_some_and(|incident| incident >= 1 << 52) {
        taken.lock().unwrap().push(Taken {
            key: text(&body["id"]),
            kind: text(&body["type"]),
            incident: 0,
            service: String::new(),
        });
        return answer("204 Good");
    }
    match mood {
        1 => return answer("500 Broken"),
        2 => return answer("503 Busy\r\nretry-after: 1"),
        // It hangs, for longer than minder lives.
        3 => return std::thread::sleep(Duration::from_secs(2)),
        4 => return,
        _ => {}
    }
    let new = Taken {
        key: text(&body["id"]),
        kind: text(&body["type"]),
        incident: body["data"]["incident"].as_u64().unwrap(),
        service: text(&body["data"]["service"]),
    };
    {
        let mut taken = taken.lock().unwrap();
        match taken.iter().find(|old| old.key == new.key) {
            Some(old) => assert_eq!(*old, new, "one key, two messages"),
            None => taken.push(new),
        }
    }
    match mood {
        // It has taken it, and says so too late, or never.
        5 => {}
        6 => {
            std::thread::sleep(Duration::from_millis(100));
            answer("204 Good");
        }
        _ => answer("204 Good"),
    }
}

fn read(stream: &TcpStream) -> Option<serde_json::Value> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn events(minder: &Minder) -> Vec<serde_json::Value> {
    let events = minder.ok(&["history", "--json", "--limit", "100000"]);
    let mut events: Vec<serde_json::Value> = serde_json::from_str(&events).unwrap();
    events.sort_unstable_by_key(|event| event["id"].as_u64());
    events
}

#[test]
fn killed_two_hundred_times_while_it_tells_it_loses_nothing_and_tells_nothing_twice() {
    let chance = Chance::new();
    let (moody, calm) = (Moody::start(Some(chance.clone())), Moody::start(None));
    let mut minder = Minder::new();
    let file = |minder: &Minder, number: usize| minder.dir().join(format!("file{number}"));
    let mut plan = format!(
        "notifiers:\n  moody: {{ webhook: {{ url: \"http://127.0.0.1:{}/\" }} }}\n  \
         calm: {{ webhook: {{ url: \"http://127.0.0.1:{}/\" }} }}\ndefaults: {{ flapping: false }}\nservices:\n",
        moody.port, calm.port
    );
    for number in 0..FILES {
        plan += &format!(
            "  file{number}:\n    notify: [moody, calm]\n    checks:\n      - file: {}\n        every: 100ms\n",
            file(&minder, number).display()
        );
        std::fs::write(file(&minder, number), "").unwrap();
    }
    minder.write(&plan);
    let turn = |minder: &Minder, number: usize| {
        let path = file(minder, number);
        if path.exists() { std::fs::remove_file(path).unwrap() } else { std::fs::write(path, "").unwrap() }
    };
    for life in 0..KILLS + ENDS {
        minder.start_blind();
        // From the middle of its start, to when it has told of it all.
        let lives = [30, 100, 200, 400][chance.below(4)];
        for _ in 0..chance.below(4) {
            std::thread::sleep(Duration::from_millis(chance.below(lives / 3) as u64));
            turn(&minder, chance.below(FILES));
        }
        // A number that is not on record.
        let tried = (chance.below(8) == 0)
            .then(|| minder.command(&["notify-test", "calm"]).stderr(Stdio::null()).spawn().unwrap());
        std::thread::sleep(Duration::from_millis(chance.below(lives) as u64));
        match life % (KILLS / ENDS) {
            0 if life > 0 => {
                minder.signal("TERM");
                minder.wait_end(SOON);
            }
            _ => minder.kill(),
        }
        tried.into_iter().for_each(|mut tried| drop(tried.wait()));
    }
    moody.well.store(true, Ordering::Relaxed);
    for number in 0..FILES {
        std::fs::write(file(&minder, number), "").unwrap();
    }
    minder.start();
    for number in 0..FILES {
        minder.wait_status(&format!("file{number}"), "ok", SOON);
    }
    let events = events(&minder);
    let of_kind = |kind: &str| -> BTreeSet<u64> {
        let events = events.iter().filter(|event| event["kind"] == kind);
        events.map(|event| event["incident"].as_u64().unwrap()).collect()
    };
    let (opened, closed) = (of_kind("opened"), of_kind("closed"));
    assert_eq!(opened, closed);
    assert!(opened.len() > KILLS / 10, "too little has happened: {opened:?}");
    for (name, receiver) in [("moody", &moody), ("calm", &calm)] {
        let untold = || {
            let told = receiver.told();
            let is_told =
                |incident: &u64| told.get(incident).is_some_and(|kinds| kinds.ends_with(&["minder.resolved".into()]));
            opened.iter().copied().filter(|incident| !is_told(incident)).collect::<Vec<u64>>()
        };
        let what = || format!("{name} has heard of the end of incidents {:?}", untold());
        wait_for(what, SOON, || untold().is_empty().then_some(()));
        for (incident, kinds) in receiver.told() {
            assert!(opened.contains(&incident), "{name} was told of {incident}, and nothing is on record");
            let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
            // The beginning and the end, or both in one.
            let is_right = matches!(kinds[..], ["minder.firing", "minder.resolved"] | ["minder.resolved"]);
            assert!(is_right, "{name} was told of {incident}: {kinds:?}");
        }
    }
    println!("{} incidents", opened.len());
}
