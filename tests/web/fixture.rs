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
        own: Vec::new(),
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
        event(80, ago(3 * DAY), "web", Some(29), Closed { after: 190_000 }),
    ];
    events.extend(older_events());
    events.sort_by_key(|e| std::cmp::Reverse(e.id));
    events
}

/// The story of an incident that is over, one of minder's own, and rules that were refused.
fn older_events() -> Vec<Event> {
    use EventKind::*;
    let own = |id, at, incident, kind| Event { id, at, service: None, incident, kind };
    let web =
        |id, seconds: i64, kind| event(id, Wall(ago(3 * DAY).0 - 190_000 + seconds * SECOND), "web", Some(29), kind);
    let acted = |ok, words: &str| Acted {
        action: "restart".into(),
        ok,
        words: words.into(),
        took: 2100,
        output: (!ok).then(|| format!("bind: address in use\n{HOSTILE}")),
    };
    vec![
        web(79, 190, Resolved { rule: "process.memory".into(), after: 190_000, why: None, of: None }),
        web(78, 160, acted(true, "up as pid 4711")),
        web(77, 120, Written { by: "alice".into(), words: format!("The old one hung on.\n{HOSTILE}"), public: true }),
        web(76, 95, Acknowledged { by: "alice".into(), reason: "on it".into(), until: None }),
        web(75, 62, acted(false, "ended at once, exited with code 98")),
        web(74, 61, Held { action: "restart".into(), why: "1 s of its delay are left".into() }),
        web(73, 60, Acting { action: "restart".into(), by: "process.memory".into() }),
        web(72, 1, Opened { severity: Severity::Critical }),
        web(
            71,
            0,
            Fired {
                rule: "process.memory".into(),
                severity: Severity::Critical,
                condition: "process.memory > 500MB".into(),
                value: "process.memory 612 MB".into(),
                note: Some(HOSTILE.into()),
                of: None,
            },
        ),
        own(61, ago(5 * DAY), Some(27), Noted { words: "ops takes nothing: connection refused".into() }),
        own(
            60,
            ago(6 * DAY),
            None,
            Refused { report: format!("error: unknown key `chekcs`\n --> shop.yaml:3:5\n{HOSTILE}") },
        ),
        own(59, ago(9 * DAY), None, Planned { services: 14 }),
    ]
}

/// Those that are over, of 90 days, the latest first.
pub fn past_incidents() -> Vec<Incident> {
    let hour = 60 * MINUTE;
    let of = |(id, days, hours, service, severity, rule, minutes): (u64, i64, i64, &str, Severity, &str, i64)| {
        let opened = ago(days * DAY + hours * hour);
        Incident {
            id,
            service: service.into(),
            opened,
            closed: Some(Wall(opened.0 + minutes * MINUTE)),
            severity,
            title: if rule.is_empty() { "the notifier ops takes nothing".into() } else { rule.into() },
            rules: (!rule.is_empty()).then(|| rule.to_owned()).into_iter().collect(),
            told: ["ops".into()].into(),
            ack: None,
            escalated: 0,
        }
    };
    use Severity::{Critical, Info, Warning};
    let mut all: Vec<Incident> = [
        (36, 0, 5, "worker", Warning, "process.memory", 22),
        (35, 0, 7, "nginx", Critical, "process.down", 1),
        (34, 1, 2, "worker", Warning, "process.memory", 41),
        (33, 1, 9, "root-disk", Warning, "filesystem.used", 190),
        (32, 2, 1, "redis", Critical, "process.down", 2),
        (31, 2, 3, "worker", Warning, "process.memory", 18),
        (27, 5, 0, "", Critical, "", 36),
        (26, 6, 4, "mail-queue", Critical, "process.down", 3),
        (25, 6, 5, "mail-queue", Critical, "process.down", 4),
        (24, 6, 6, "mail-queue", Critical, "process.down", 7),
        (23, 9, 2, "import", Info, "process.cpu", 60),
        (22, 12, 11, "postgresql", Critical, "process.down", 12),
        (21, 16, 1, "worker", Warning, "process.memory", 25),
        (20, 21, 3, "certificate", Warning, "tls.cert.expires", 1500),
        (19, 24, 8, "worker", Warning, "process.memory", 33),
        (18, 29, 2, "web", Critical, "process.down", 2),
        (17, 33, 5, "web", Critical, "http.failed", 9),
        (16, 47, 5, "retired", Critical, "process.down", 9),
        (15, 61, 4, "worker", Warning, "process.memory", 21),
        (14, 88, 4, "nginx", Critical, "process.down", 2),
    ]
    .into_iter()
    .map(of)
    .collect();
    let told = Incident {
        opened: Wall(ago(3 * DAY).0 - 190_000),
        closed: Some(ago(3 * DAY)),
        ..of((29, 3, 0, "web", Critical, "process.memory", 0))
    };
    all.push(told);
    all.push(Incident {
        title: HOSTILE.into(),
        rules: [HOSTILE.to_owned()].into(),
        ..of((13, 89, 1, "varnish", Critical, "x", 2))
    });
    all.sort_by_key(|incident| std::cmp::Reverse(incident.id));
    all
}

/// What the machine does; half of its names are chosen by those who mean no good.
pub fn machine() -> MachineView {
    let part = |value, whole| Some(PartView { value, whole });
    let filesystem = |mount: &str, kind: &str, source: &str, used, whole| FilesystemView {
        mount: mount.into(),
        kind: kind.into(),
        source: source.into(),
        readonly: false,
        used: part(used, whole),
        inodes: part(whole / 2e6, whole / 1e5),
        note: None,
    };
    let interface = |name: &str, up, received, sent, speed| InterfaceView {
        name: name.into(),
        up: Some(up),
        note: (!up).then(|| "its cable has no signal".into()),
        received: Some(received),
        sent: Some(sent),
        errors: Some(0.0),
        speed,
    };
    let process = |pid, name: &str, user: &str, cpu, memory| ProcessView {
        pid,
        name: name.into(),
        user: Some(user.into()),
        cpu,
        memory,
    };
    let busiest = vec![
        process(3021, "postgres", "postgres", 71.4, 4.6e8),
        process(811, "worker", "www-data", 38.0, 2.7e8),
        process(6660, HOSTILE, HOSTILE, 6.1, 1e6),
        process(690, "varnishd", "vcache", 3.2, 3.9e8),
    ];
    let mut largest = busiest.clone();
    largest.sort_by(|a, b| b.memory.total_cmp(&a.memory));
    MachineView {
        at: AT,
        host: "web1.example.org".into(),
        kernel: "Linux 6.12.9 x86_64".into(),
        uptime: 1_051_200.0,
        cores: 4,
        cpu: Some(CpuView { busy: 23.1, iowait: 1.4, steal: 0.0 }),
        load: Some([0.84, 0.91, 1.02]),
        memory: part(5.2e9, 8e9),
        swap: part(3.9e9, 4e9),
        pressure: PressureView { cpu: Some(2.1), memory: Some(0.0), io: Some(4.7) },
        files: part(2112.0, 9.2e5),
        processes: part(412.0, 32_768.0),
        limits: Some(LimitsView { memory: part(5.2e9, 6e9), processes: None, throttled: Some(12.5) }),
        filesystems: vec![
            filesystem("/", "ext4", "/dev/vda1", 3.74e10, 4e10),
            filesystem("/srv/archive", "xfs", "/dev/mapper/vg0-archive", 6.1e11, 2e12),
            FilesystemView {
                used: None,
                inodes: None,
                note: Some("it does not answer".into()),
                ..filesystem("/mnt/nas", "nfs4", "nas:/export", 0.0, 1.0)
            },
            FilesystemView { readonly: true, ..filesystem(HOSTILE, "ext4", HOSTILE, 1e9, 1e9) },
        ],
        more_filesystems: 0,
        interfaces: vec![
            interface("eth0", true, 1.2e6, 3.4e6, Some(1.25e8)),
            interface("lo", true, 2.2e4, 2.2e4, None),
            interface("eth1", false, 0.0, 0.0, None),
            InterfaceView { errors: Some(3.0), ..interface(HOSTILE, true, 1.0, 2.0, None) },
        ],
        more_interfaces: 7,
        busiest,
        largest,
    }
}
