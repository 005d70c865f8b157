//! The pages in a real browser: a script of `tests/web/` drives Debian's Chromium, and asks us to change the world.

use super::fixture;
use super::world::World;
use minder::dashboard::{bind_tcp, bind_unix, page, serve_tcp, serve_unix, socket};
use minder::model::{Answer, BrakeView, EventKind, Incident, RuleState, Severity, Silence, Snapshot, Status};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A process that does not outlive its test.
struct Leashed(Child);

impl Drop for Leashed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where `tests/setup` has put the packages that `package.json` names.
fn modules() -> PathBuf {
    let tools = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/.tools");
    let places = [tools.join("node_modules"), tools.join("web/node_modules")];
    let found = places.into_iter().find(|place| place.join("playwright-core").is_dir());
    found.expect("playwright-core is not installed: run tests/setup first")
}

fn serve(runtime: &Runtime, world: &World, address: SocketAddr) -> (JoinHandle<()>, SocketAddr) {
    runtime.block_on(async {
        let listener = bind_tcp(address).unwrap();
        let address = listener.local_addr().unwrap();
        (tokio::spawn(serve_tcp(listener, page(world.front.clone(), address))), address)
    })
}

fn get_worse(world: &World) {
    let kind = EventKind::Acted {
        action: "restart".into(),
        ok: true,
        words: "up as pid 4711".into(),
        took: 900,
        output: None,
    };
    world.happen(kind, |now| {
        let nginx = &mut now.services[0];
        nginx.status = Status::Warning;
        nginx.since = now.at;
        nginx.summary = "process.memory 640 MB, limit 500 MB".into();
        nginx.rules[1].state = RuleState::Firing;
    });
}

/// Runs a script against this address, and answers what it asks.
fn browse(script: &str, address: &str, mut answer: impl FnMut(&str) -> String) {
    // Pictures are made for those who name a place.
    let place = std::env::var("MINDER_PICTURES").unwrap_or_default();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web").join(script);
    let mut node = Leashed(
        Command::new("node")
            .arg(&script)
            .args([address, &place, &modules().display().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("node is needed"),
    );
    let mut answers = node.0.stdin.take().unwrap();
    let said = BufReader::new(node.0.stdout.take().unwrap());
    // Ends when the script does; it bounds itself.
    for line in said.lines() {
        let line = line.unwrap();
        match line.strip_prefix('>') {
            Some(word) => writeln!(answers, "{}", answer(word)).unwrap(),
            None => println!("{line}"),
        }
    }
    let status = node.0.wait().unwrap();
    assert!(status.success(), "{} says what is wrong, above", script.display());
}

/// A script that changes nothing in this world but by the page.
fn browse_world(script: &str, world: impl FnOnce() -> World) {
    let runtime = Runtime::new().unwrap();
    let world = {
        let _inside = runtime.enter();
        world()
    };
    let (serving, address) = serve(&runtime, &world, SocketAddr::from(([127, 0, 0, 1], 0)));
    browse(script, &format!("http://{address}"), |word| panic!("{word} is not understood"));
    serving.abort();
}

#[test]
fn the_pages_of_incidents_rules_and_the_machine_in_a_browser() {
    let rules =
        "version: 1\nservices:\n  this: { checks: [{ system: {} }] }\n  root-disk: { checks: [{ filesystem: / }] }\n";
    browse_world("pages.mjs", || {
        let mut snapshot = fixture::snapshot();
        snapshot.refused = Some("error: unknown key `chekcs`\n --> shop.yaml:3:5\n  |\n3 |     chekcs:\n  |     ^^^^^^ did you mean `checks`?\n".into());
        World::by(snapshot, rules)
    });
}

/// A script that may break the connection to this world, mend it, and make it worse.
fn browse_and_break(script: &str) {
    let runtime = Runtime::new().unwrap();
    let world = {
        let _inside = runtime.enter();
        World::new(fixture::snapshot())
    };
    let (mut serving, address) = serve(&runtime, &world, SocketAddr::from(([127, 0, 0, 1], 0)));
    browse(script, &format!("http://{address}"), |word| match word {
        "worse" => {
            get_worse(&world);
            String::new()
        }
        "break" => {
            serving.abort();
            runtime.block_on(&mut serving).unwrap_err();
            String::new()
        }
        "mend" => {
            serving = serve(&runtime, &world, address).0;
            String::new()
        }
        "followers" => world.changes.followers().to_string(),
        _ => panic!("{word} is not understood"),
    });
    serving.abort();
}

#[test]
fn the_overview_in_a_browser() {
    browse_many("overview.mjs");
}

#[test]
fn a_page_that_is_left_open() {
    browse_many("open.mjs");
}

/// The overview of more services than are in view.
fn browse_many(script: &str) {
    let runtime = Runtime::new().unwrap();
    let mut snapshot = fixture::snapshot();
    let model = snapshot.services[3].clone();
    snapshot.services.extend((0..150).map(|i| {
        let mut service = model.clone();
        service.name = format!("spare-{i:03}").as_str().into();
        service.group = Some("Spare".into());
        service.tags = vec![format!("rack-{}", i % 10)];
        service
    }));
    let world = {
        let _inside = runtime.enter();
        World::new(snapshot)
    };
    let (mut serving, address) = serve(&runtime, &world, SocketAddr::from(([127, 0, 0, 1], 0)));
    let mut turn = 0;
    browse(script, &format!("http://{address}"), |word| {
        let (word, about) = word.split_once(' ').unwrap_or((word, ""));
        match word {
            "change" => {
                turn += 1;
                let status = if turn % 2 == 0 { Status::Ok } else { Status::Critical };
                world.happen_to(about, EventKind::Ended, |now| {
                    let service = now.services.iter_mut().find(|s| *s.name == *about).unwrap();
                    (service.status, service.since, service.summary) = (status, now.at, format!("turn {turn}"));
                });
            }
            "plan" => world.happen(EventKind::Planned { services: 315 }, |now| {
                let mut service = now.services[0].clone();
                service.name = "brand-new".into();
                now.services.push(service);
            }),
            "break" => {
                serving.abort();
                runtime.block_on(&mut serving).unwrap_err();
            }
            "mend" => serving = serve(&runtime, &world, address).0,
            "followers" => return world.changes.followers().to_string(),
            _ => panic!("{word} is not understood"),
        }
        String::new()
    });
    serving.abort();
}

#[test]
fn the_page_in_a_browser() {
    browse_and_break("page.mjs");
}

#[test]
fn what_is_around_every_page() {
    browse_and_break("frame.mjs");
}

#[test]
fn signing_in_with_a_browser() {
    browse_world("signin.mjs", || World::by(fixture::snapshot(), &super::auth::rules("")));
}

/// The pages as an operator has them: by the socket, to which a port is forwarded as with `ssh -L`.
#[test]
fn steering_in_a_browser() {
    let runtime = Runtime::new().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (place, world) = (dir.path().join("run/minder.sock"), {
        let _inside = runtime.enter();
        super::steer::world()
    });
    let _inside = runtime.enter();
    let serving = tokio::spawn(serve_unix(bind_unix(&place).unwrap(), socket(world.front.clone())));
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let forwarding = tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let place = place.clone();
            tokio::spawn(async move {
                let mut to = tokio::net::UnixStream::connect(place).await?;
                tokio::io::copy_bidirectional(&mut from, &mut to).await
            });
        }
    });
    browse("steer.mjs", &address, |word| match word {
        "asked" => world.asked.lock().unwrap().len().to_string(),
        "ends" => {
            let waits = world.waiting.lock().unwrap().pop().expect("somebody waits");
            waits.send(Answer { ok: true, words: "slow is up as pid 4712".into() }).unwrap();
            String::new()
        }
        _ => panic!("{word} is not understood"),
    });
    serving.abort();
    forwarding.abort();
}

/// A user of each role, and something to do for each command.
fn people() -> World {
    let user = |name: &str, role: &str| {
        let password = super::auth::hash(&format!("{name}!"));
        format!("    {name}: {{ password: \"{password}\", role: {role} }}\n")
    };
    let users = [user("alice", "admin"), user("oscar", "operator"), user("vera", "viewer")].concat();
    let rules = super::steer::RULES.replacen("version: 1\n", &format!("version: 1\ndashboard:\n  users:\n{users}"), 1);
    let mut now = super::steer::snapshot();
    now.brake = Some(BrakeView {
        since: fixture::AT,
        limit: "10 in 1m".into(),
        waiting: vec!["web".into(), "worker".into()],
        words: "automatic restarts are held: 11 were asked for within 1 min".into(),
    });
    let world = World::by(now, &rules);
    world.obeys.store(true, Ordering::Relaxed);
    world
}

#[test]
fn every_action_by_those_who_may() {
    let runtime = Runtime::new().unwrap();
    let world = {
        let _inside = runtime.enter();
        people()
    };
    let (serving, address) = serve(&runtime, &world, SocketAddr::from(([127, 0, 0, 1], 0)));
    browse("act.mjs", &format!("http://{address}"), |word| match word {
        // Who, and what.
        "asked" => {
            let asked = world.asked.lock().unwrap();
            asked.last().map_or_else(String::new, |(who, command)| format!("{} {who} {command:?}", asked.len()))
        }
        // Every session that there is now has been unused for too long.
        "expire" => {
            world.clock.pass(Duration::from_secs(8 * 86_400));
            String::new()
        }
        _ => panic!("{word} is not understood"),
    });
    serving.abort();
}

/// What a change does to every page that is open; and a connection that is lost under all of them.
#[test]
fn every_page_is_kept_up_to_date() {
    let runtime = Runtime::new().unwrap();
    let world = {
        let _inside = runtime.enter();
        people()
    };
    let (mut serving, address) = serve(&runtime, &world, SocketAddr::from(([127, 0, 0, 1], 0)));
    browse("watch.mjs", &format!("http://{address}"), |word| {
        match word {
            "trouble" => world.happen_to("redis", EventKind::Opened { severity: Severity::Critical }, |now| {
                let at = now.at;
                let incident = Incident { id: 77, service: "redis".into(), opened: at, ..open_one(now) };
                world.past.incidents.lock().unwrap().push(incident.clone());
                let redis = now.services.iter_mut().find(|s| *s.name == *"redis").unwrap();
                (redis.status, redis.since, redis.incident) = (Status::Critical, at, Some(incident));
                redis.summary = "it forgets everything".into();
            }),
            "well" => world.happen_to("redis", EventKind::Closed { after: 2000 }, |now| {
                let redis = now.services.iter_mut().find(|s| *s.name == *"redis").unwrap();
                (redis.status, redis.since, redis.incident) = (Status::Ok, now.at, None);
                redis.summary.clear();
                world.past.incidents.lock().unwrap()[0].closed = Some(now.at);
            }),
            "silence" => world.happen_to("redis", EventKind::Ended, |now| {
                let at = now.at;
                let model = now.silences[0].clone();
                now.silences.push(Silence { id: 8, reason: "a new disk".into(), since: at, ..model });
            }),
            "break" => {
                serving.abort();
                runtime.block_on(&mut serving).unwrap_err();
            }
            "mend" => serving = serve(&runtime, &world, address).0,
            "followers" => return world.changes.followers().to_string(),
            _ => panic!("{word} is not understood"),
        }
        String::new()
    });
    serving.abort();
}

/// One of the incidents that are open.
fn open_one(now: &Snapshot) -> Incident {
    now.services.iter().find_map(|service| service.incident.clone()).unwrap()
}

/// Names that are as long as they may be, and texts that try everything.
fn hostile() -> World {
    let mut now = super::steer::snapshot();
    let long = format!("{}{}", fixture::HOSTILE, "x".repeat(300));
    now.host = "h".repeat(64);
    now.refused = Some(long.clone());
    now.notes = vec![long.clone()];
    for service in &mut now.services {
        for text in [&mut service.description, &mut service.next, &mut service.last_exit, &mut service.control_state] {
            *text = Some(long.clone());
        }
        (service.summary, service.held, service.budget) = (long.clone(), Some(long.clone()), Some(long.clone()));
        service.tags = vec![fixture::HOSTILE.into(), "t".repeat(100)];
        if service.group.as_deref() == Some("Machine") {
            service.group = Some(long.clone());
        }
        for check in &mut service.checks {
            (check.about, check.note) = (long.clone(), Some(long.clone()));
        }
        for rule in &mut service.rules {
            rule.condition = long.clone();
            rule.actions.push(long.clone());
        }
        if let Some(incident) = &mut service.incident {
            incident.title = long.clone();
        }
    }
    let mut named = now.services[1].clone();
    named.name = "n".repeat(64).into();
    now.services.push(named);
    now.silences[0].reason = long.clone();
    for notifier in &mut now.notifiers {
        notifier.why = Some(long.clone());
    }
    let status = "version: 1\ndashboard: { status: { title: Ours, words: What runs and what does not. } }\n";
    World::by(now, &super::steer::RULES.replacen("version: 1\n", status, 1))
}

#[test]
fn every_page_with_the_worst_of_names_and_for_every_reader() {
    browse_world("whole.mjs", hostile);
}

#[test]
fn the_history_of_a_service() {
    browse_world("service.mjs", || World::new(fixture::snapshot()));
}

#[test]
fn the_status_page_in_a_browser() {
    browse_world("status.mjs", super::status::public_world);
}
