//! What there is to look at: fourteen services, some in trouble, and what happened to them.
#![allow(dead_code)] // shared by several tests, each of which uses a part

use minder::model::*;

/// 2026-11-20 12:03:10 UTC.
pub const AT: Wall = Wall(1_795_176_190_000);
pub const SECOND: i64 = 1000;
pub const MINUTE: i64 = 60 * SECOND;
pub const DAY: i64 = 24 * 60 * MINUTE;

pub fn ago(ms: i64) -> Wall {
    Wall(AT.0 - ms)
}

/// A text that tries everything: markup, an attribute's end, control characters, letters that turn around.
pub const HOSTILE: &str = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\x1b[2J\u{202e}&amp;";

fn metric(name: &str, text: &str, value: f64, unit: &str) -> MetricView {
    MetricView { name: name.into(), text: text.into(), value: Some(value), unit: unit.into() }
}

fn check(name: &str, kind: &str, about: &str, status: Status, metrics: Vec<MetricView>) -> CheckView {
    CheckView {
        name: name.into(),
        kind: kind.into(),
        about: about.into(),
        every: 10_000,
        at: Some(ago(3 * SECOND)),
        took: Some(1.4),
        note: None,
        status,
        metrics,
    }
}

fn rule(name: &str, condition: &str, hold: &str, actions: &[&str], severity: Severity) -> RuleView {
    RuleView {
        name: name.into(),
        condition: condition.into(),
        hold: hold.into(),
        actions: actions.iter().map(|a| (*a).to_owned()).collect(),
        severity,
        state: RuleState::Inactive,
        since: None,
        values: Vec::new(),
        progress: None,
        implied: false,
    }
}

fn value(
    check: &str,
    metric: &str,
    text: &str,
    value: f64,
    limit: &str,
    limit_value: Option<f64>,
    bad: bool,
) -> ValueView {
    ValueView {
        metric: format!("{check}.{metric}"),
        check: check.into(),
        text: text.into(),
        value: Some(value),
        limit: limit.into(),
        limit_value,
        whole: None,
        bad: Some(bad),
    }
}

fn process(down: bool, memory: f64, cpu: f64) -> Vec<MetricView> {
    if down {
        return vec![
            metric("down", "yes", 1.0, "flag"),
            metric("count", "0", 0.0, "count"),
            MetricView { name: "memory".into(), text: "none".into(), value: None, unit: "bytes".into() },
            metric("exit.code", "139", 139.0, "count"),
        ];
    }
    vec![
        metric("down", "no", 0.0, "flag"),
        metric("pid", "2114", 2114.0, "count"),
        metric("uptime", "12 days 4 h", 1_051_200.0, "seconds"),
        metric("cpu", &show(cpu, Dimension::Percent), cpu, "percent"),
        metric("memory", &show(memory, Dimension::Bytes), memory, "bytes"),
        metric("threads", "8", 8.0, "count"),
        metric("fds", "63", 63.0, "count"),
    ]
}

pub fn service(name: &str, group: Option<&str>) -> ServiceView {
    ServiceView {
        name: name.into(),
        description: None,
        group: group.map(Into::into),
        tags: Vec::new(),
        status: Status::Ok,
        since: ago(9 * 24 * 60 * MINUTE),
        summary: String::new(),
        depends_on: Vec::new(),
        held: None,
        silenced: None,
        next: None,
        pid: Some(2114),
        control: None,
        control_state: None,
        supervisor: None,
        last_exit: None,
        budget: None,
        incident: None,
        flapping: false,
        checks: Vec::new(),
        rules: Vec::new(),
    }
}

fn daemon(name: &str, group: &str, memory: f64, cpu: f64) -> ServiceView {
    let mut s = service(name, Some(group));
    s.checks =
        vec![check("process", "process", &format!("pidfile /run/{name}.pid"), Status::Ok, process(false, memory, cpu))];
    let mut down = rule("process.down", "process.down", "", &["restart"], Severity::Critical);
    down.values = vec![value("process", "down", "no", 0.0, "", None, false)];
    let mut large = rule("process.memory", "process.memory > 500MB", "5m", &["notify ops"], Severity::Warning);
    large.values =
        vec![value("process", "memory", &show(memory, Dimension::Bytes), memory, "> 500MB", Some(5e8), memory > 5e8)];
    s.rules = vec![down, large];
    s.control = Some("runit".into());
    s.control_state = Some("run, wanted up".into());
    s.budget = Some("0 of 5 in 15m".into());
    s
}

fn trouble(s: &mut ServiceView, status: Status, since: Wall, id: u64, summary: &str) {
    s.status = status;
    s.since = since;
    s.summary = summary.into();
    let severity = if status == Status::Warning { Severity::Warning } else { Severity::Critical };
    s.incident = Some(Incident {
        id,
        service: s.name.clone(),
        opened: since,
        closed: None,
        severity,
        title: summary.into(),
        rules: [s.rules[0].name.to_string()].into(),
        told: ["ops".into()].into(),
        ack: None,
        escalated: 0,
    });
}

/// How everything stands.
pub fn snapshot() -> Snapshot {
    let mut web = daemon("web", "Front", 0.0, 0.0);
    web.description = Some("The shop, behind nginx".into());
    web.tags = vec!["shop".into(), "public".into()];
    web.pid = None;
    web.last_exit = Some("pid 812 killed by SIGSEGV, core dumped".into());
    web.budget = Some("2 of 5 in 15m".into());
    web.next = Some("restart in 8 s".into());
    web.control_state = Some("down, wanted up".into());
    trouble(&mut web, Status::Critical, ago(4 * MINUTE), 41, "The process is down; restarting did not keep it up");
    web.checks[0].status = Status::Critical;
    web.checks[0].metrics = process(true, 0.0, 0.0);
    web.rules[0].state = RuleState::Firing;
    web.rules[0].since = Some(ago(4 * MINUTE));
    web.rules[0].values[0] = value("process", "down", "yes", 1.0, "", None, true);
    web.rules[1].values[0] = ValueView {
        value: None,
        bad: Some(false),
        ..value("process", "memory", "none", 0.0, "> 500MB", Some(5e8), false)
    };
    let mut http = check(
        "http",
        "http",
        "GET http://127.0.0.1:8080/health",
        Status::Critical,
        vec![metric("failed", "yes", 1.0, "flag"), metric("latency", "1.2 ms", 0.0012, "seconds")],
    );
    http.note = Some("connection refused by 127.0.0.1:8080".into());
    web.checks.push(http);
    let mut failing = rule("http.failed", "http.failed", "3 of 5", &["restart", "notify chat"], Severity::Critical);
    failing.state = RuleState::Pending;
    failing.since = Some(ago(20 * SECOND));
    failing.progress = Some(0.67);
    failing.values = vec![value("http", "failed", "yes", 1.0, "", None, true)];
    web.rules.push(failing);

    let mut disk = service("root-disk", Some("Machine"));
    disk.pid = None;
    disk.description = Some("The root file system".into());
    disk.checks = vec![check(
        "filesystem",
        "filesystem",
        "/",
        Status::Warning,
        vec![metric("used", "37.4 GB", 3.74e10, "bytes"), metric("free", "2.6 GB", 2.6e9, "bytes")],
    )];
    let mut full = rule("filesystem.used", "filesystem.used > 90%", "5m", &["notify ops"], Severity::Warning);
    full.state = RuleState::Firing;
    full.since = Some(ago(127 * MINUTE));
    let used = value("filesystem", "used", "93.5 %", 93.5, "> 90%", Some(90.0), true);
    full.values = vec![ValueView { whole: Some(4e10), ..used }];
    disk.rules = vec![full];
    trouble(&mut disk, Status::Warning, ago(127 * MINUTE), 38, "filesystem.used 93.5 %, limit 90 %");

    let mut queue = daemon("mail-queue", "Back", 2.1e8, 3.0);
    trouble(
        &mut queue,
        Status::GivenUp,
        ago(52 * MINUTE),
        40,
        "Given up after 5 restarts in 15 min: exited with code 1",
    );
    queue.next = Some("one more try in 8 min".into());
    queue.budget = Some("5 of 5 in 15m".into());
    queue.last_exit = Some("pid 9071 exited with code 1".into());
    queue.rules[0].state = RuleState::Firing;
    queue.rules[0].since = Some(ago(52 * MINUTE));

    let mut machine = service("this-machine", Some("Machine"));
    machine.pid = None;
    machine.checks = vec![check(
        "system",
        "system",
        "this machine",
        Status::Ok,
        vec![
            metric("cpu", "23.1 %", 23.1, "percent"),
            metric("memory", "5.2 GB", 5.2e9, "bytes"),
            metric("load1", "0.84", 0.84, "count"),
        ],
    )];
    let mut busy = rule("system.cpu", "avg(system.cpu, 5m) > 90%", "10m", &["notify ops"], Severity::Warning);
    busy.values = vec![ValueView {
        metric: "avg(system.cpu, 5m)".into(),
        ..value("system", "cpu", "21.9 %", 21.9, "> 90%", Some(90.0), false)
    }];
    machine.rules = vec![busy];

    let mut cert = service("certificate", Some("Front"));
    cert.status = Status::Unknown;
    cert.summary = "tls could not be asked: no address for shop.example.org".into();
    cert.since = ago(95 * SECOND);
    cert.checks = vec![check("tls", "tcp", "shop.example.org:443 with TLS", Status::Unknown, Vec::new())];
    let mut paused = daemon("indexer", "Back", 3.3e8, 61.0);
    paused.status = Status::Paused;
    paused.summary = "paused by root".into();
    paused.since = ago(26 * 60 * MINUTE);
    let mut stopped = daemon("import", "Back", 0.0, 0.0);
    stopped.status = Status::Stopped;
    stopped.summary = "stopped on purpose by uid 1000".into();
    stopped.pid = None;

    Snapshot {
        at: AT,
        host: "web1.example.org".into(),
        version: "0.1.0".into(),
        since: ago(9 * 24 * 60 * MINUTE),
        no_act: false,
        files: vec!["/etc/minder/shop.yaml".into()],
        refused: None,
        brake: None,
        silences: Vec::new(),
        maintenance: Vec::new(),
        notifiers: Vec::new(),
        notes: Vec::new(),
        services: vec![
            daemon("nginx", "Front", 4.1e7, 2.2),
            web,
            cert,
            daemon("varnish", "Front", 3.9e8, 9.4),
            daemon("postgresql", "Back", 4.6e8, 34.0),
            daemon("redis", "Back", 1.2e8, 1.1),
            queue,
            paused,
            stopped,
            daemon("worker", "Back", 2.7e8, 55.0),
            daemon("sshd", "Machine", 8.1e6, 0.0),
            daemon("chrony", "Machine", 4.2e6, 0.0),
            machine,
            disk,
        ],
    }
}

pub fn event(id: u64, at: Wall, service: &str, incident: Option<u64>, kind: EventKind) -> Event {
    Event { id, at, service: Some(service.into()), incident, kind }
}

/// What happened lately, the newest first.
pub fn events() -> Vec<Event> {
    use EventKind::*;
    let web = |id, ago_ms, kind| event(id, ago(ago_ms), "web", Some(41), kind);
    let identity = |pid| Identity { pid, start: 77 };
    let mut events = vec![
        web(109, 52 * SECOND, Died { process: identity(812), how: Some(Exit::Signal { number: 11, core: true }) }),
        web(
            108,
            55 * SECOND,
            Acted { action: "restart".into(), ok: true, words: "up as pid 812".into(), took: 1240, output: None },
        ),
        web(107, 57 * SECOND, Acting { action: "restart".into(), by: "process.down".into() }),
        web(106, 60 * SECOND, Snapshot { text: "limits: 1024 files\nchildren: none\n".repeat(4) }),
        web(
            105,
            238 * SECOND,
            Acted {
                action: "restart".into(),
                ok: false,
                words: "ended at once, exited with code 139".into(),
                took: 2100,
                output: None,
            },
        ),
        web(104, 4 * MINUTE, Opened { severity: Severity::Critical }),
        web(
            103,
            4 * MINUTE,
            Fired {
                rule: "process.down".into(),
                severity: Severity::Critical,
                condition: "process.down".into(),
                value: "process.down yes".into(),
                note: None,
                of: None,
            },
        ),
        event(99, ago(52 * MINUTE), "mail-queue", Some(40), GaveUp { restarts: 5, within: 15 * 60_000 }),
        event(
            92,
            ago(127 * MINUTE),
            "root-disk",
            Some(38),
            Fired {
                rule: "filesystem.used".into(),
                severity: Severity::Warning,
                condition: "filesystem.used > 90%".into(),
                value: "filesystem.used 90.1 %".into(),
                note: None,
                of: None,
            },
        ),
        event(80, ago(3 * 24 * 60 * MINUTE), "web", Some(29), Closed { after: 190_000 }),
    ];
    events.sort_by_key(|e| std::cmp::Reverse(e.id));
    events
}
