//! The files of a rules folder, and why each line of them stands there. Pure.

use super::choose::{Choice, Service, Who, usable};
use super::supervisors::{Kind, Supervised};
use crate::import::yaml::{comment, scalar};
use std::collections::BTreeMap;
use std::fmt::Write;

/// What watches the machine itself, and minder.
pub const MACHINE: &str = include_str!("../../rules/minder.yaml");
/// By this line editors find the schema.
const SCHEMA: &str = "# yaml-language-server: $schema=schema.json\n";
/// Lines of comments are no longer than this.
const WIDTH: usize = 110;
/// The most names of one reason that are listed.
const LISTED: usize = 40;
/// The file of what no supervisor keeps.
const PROCESSES: &str = "processes";
/// Programs that `rules/library` knows, where they have another name than their template.
pub(super) const LIBRARY: &[(&str, &str)] = &[
    ("apache2", "apache2"),
    ("httpd", "apache2"),
    ("named", "bind9"),
    ("caddy", "caddy"),
    ("chronyd", "chrony"),
    ("containerd", "containerd"),
    ("cron", "cron"),
    ("cupsd", "cups"),
    ("dnsmasq", "dnsmasq"),
    ("dockerd", "docker"),
    ("dovecot", "dovecot"),
    ("exim4", "exim4"),
    ("fail2ban-server", "fail2ban"),
    ("grafana", "grafana"),
    ("haproxy", "haproxy"),
    ("lighttpd", "lighttpd"),
    ("mariadbd", "mariadb"),
    ("mysqld", "mariadb"),
    ("memcached", "memcached"),
    ("mongod", "mongodb"),
    ("mosquitto", "mosquitto"),
    ("nats-server", "nats"),
    ("nginx", "nginx"),
    ("nsd", "nsd"),
    ("opendkim", "opendkim"),
    ("php-fpm", "php-fpm"),
    ("postgres", "postgresql"),
    ("prometheus", "prometheus"),
    ("redis-server", "redis"),
    ("rspamd", "rspamd"),
    ("rsyncd", "rsyncd"),
    ("rsyslogd", "rsyslog"),
    ("smbd", "samba"),
    ("slapd", "slapd"),
    ("squid", "squid"),
    ("sshd", "sshd"),
    ("unbound", "unbound"),
    ("varnishd", "varnish"),
    ("vsftpd", "vsftpd"),
];

/// A file of rules.
#[derive(Debug, Clone, PartialEq)]
pub struct File {
    /// Its name in the folder.
    pub name: String,
    /// What it says.
    pub text: String,
}

impl Choice {
    /// The files: one for the machine itself, and one for each source that has something.
    pub fn files(&self) -> Vec<File> {
        let mut files = vec![File { name: "minder.yaml".to_owned(), text: MACHINE.to_owned() }];
        for kind in Kind::ALL {
            let services: Vec<&Service> = self.services.iter().filter(|service| service.kind() == Some(kind)).collect();
            let directories: Vec<_> = self.directories.iter().filter(|(other, ..)| *other == kind).collect();
            if services.is_empty() && directories.is_empty() {
                continue;
            }
            let mut text = head(about(kind));
            for (_, path, whole) in directories {
                let at = path.display().to_string();
                text.push('\n');
                if *whole {
                    say(
                        &mut text,
                        0,
                        &format!("What is added to {at} later is watched as well, by what {} says of it.", kind.word()),
                    );
                    let _ =
                        writeln!(text, "services_from: {{ {}: {} }}", kind.word(), scalar(usable(path).unwrap_or("/")));
                } else {
                    let why = "not watched as a whole: it is a second one, others than root may write to it, or its path cannot stand here";
                    say(&mut text, 0, &format!("{at} is {why}."));
                }
            }
            services_of(&mut text, &services);
            files.push(File { name: format!("{}.yaml", kind.word()), text });
        }
        let others: Vec<&Service> = self.services.iter().filter(|service| service.kind().is_none()).collect();
        let mut text = head(
            "What has a pidfile in /run, or listens by TCP, and has no supervisor that minder knows. Nothing here says how such a \
             process is started: with `control: { command: { start: [..] } }`, a rule may restart it.",
        );
        self.say_left_out(&mut text);
        services_of(&mut text, &others);
        if !others.is_empty() || !self.left_out.is_empty() || !self.notes.is_empty() {
            files.push(File { name: format!("{PROCESSES}.yaml"), text });
        }
        files
    }

    /// One file of all services, for one that was asked for.
    pub fn file(&self) -> File {
        let mut text = head("What `minder init --pid` found.");
        services_of(&mut text, &self.services.iter().collect::<Vec<_>>());
        let name = self.services.first().map_or("service", |service| service.name.as_str());
        // A hidden file would not be read.
        File { name: format!("{}.yaml", name.trim_start_matches('.')), text }
    }

    fn say_left_out(&self, text: &mut String) {
        if self.left_out.is_empty() && self.notes.is_empty() {
            return;
        }
        text.push_str("\n# Left out:\n");
        for (why, names) in &self.left_out {
            let mut words: Vec<&str> = names.iter().take(LISTED).map(String::as_str).collect();
            let more = format!("and {} more", names.len().saturating_sub(LISTED));
            if names.len() > LISTED {
                words.push(&more);
            }
            say(text, 0, &format!("- {why}: {}", words.join(", ")));
        }
        for note in &self.notes {
            say(text, 0, &format!("- {note}"));
        }
        say(
            text,
            0,
            "- every process that has no supervisor, no pidfile in /run, and listens nowhere by TCP. \
                      `minder top` shows what there is, and `minder init --pid PID` writes a service for one",
        );
    }
}

/// What a file says of its source.
fn about(kind: Kind) -> &'static str {
    match kind {
        Kind::Runit => "What runit keeps: every service with a runsv, but those of logs.",
        Kind::S6 => "What s6 keeps: every service with an s6-supervise, but those of logs.",
        Kind::Daemontools => "What daemontools keep: every service with a supervise, but those of logs.",
        Kind::Systemd => "What systemd keeps: every service of the machine that has a process now.",
        Kind::Supervisord => {
            "What supervisord keeps: every program that has a process now. If it wants a password, add \
             `user: .., password: { env: NAME }` to each `control`."
        }
    }
}

fn head(about: &str) -> String {
    let mut text = SCHEMA.to_owned();
    say(&mut text, 0, about);
    text.push_str("#\n");
    say(
        &mut text,
        0,
        "Written by `minder init`: read it, and change what you like. Nothing here restarts or stops anything: a check \
                       that no rule mentions tells when it fails. A service that is to be restarted when it no longer answers gets, \
                       for example, `rules: [\"tcp.failed for 3 of 5 -> restart\"]`.",
    );
    text.push_str("version: 1\n");
    text
}

fn services_of(text: &mut String, services: &[&Service]) {
    if services.is_empty() {
        return;
    }
    text.push_str("\nservices:\n");
    for (index, service) in services.iter().enumerate() {
        if index > 0 {
            text.push('\n');
        }
        service.write(text);
    }
}

impl Service {
    fn kind(&self) -> Option<Kind> {
        self.supervised.as_ref().map(Supervised::kind)
    }

    fn write(&self, text: &mut String) {
        let _ = writeln!(text, "  {}:", scalar(&self.name));
        say(text, 4, &self.found());
        if let Some(supervised) = &self.supervised {
            let _ = writeln!(text, "    control: {}", control(supervised));
        }
        if self.supervised.is_some() || self.who.is_some() || !self.addresses.is_empty() {
            text.push_str("    checks:\n");
        }
        if self.supervised.is_some() {
            text.push_str("      - process: supervised\n");
        }
        if let Some(who) = &self.who {
            say(text, 6, &format!("By this, because {}.", who.why));
            let _ = writeln!(text, "      - process: {}", process(who));
        }
        for (index, (at, listens)) in self.addresses.iter().enumerate() {
            let why = if at == listens { String::new() } else { format!("It listens on {listens}. ") };
            let http = "A connection, and no more: if it speaks HTTP, an `http` check says more";
            if index == 0 || !why.is_empty() {
                say(text, 6, &format!("{why}{}", if index == 0 { format!("{http}.") } else { String::new() }));
            }
            let _ = writeln!(text, "      - tcp: {}", scalar(&at.to_string()));
            if index > 0 {
                let _ = writeln!(text, "        name: port-{}", at.port());
            }
        }
        if !self.beside.is_empty() {
            say(text, 4, &format!("Not asked: {}.", self.beside.join("; ")));
        }
        let program = self.process.as_ref().and_then(|(_, process)| process.program.as_ref()?.file_name()?.to_str());
        let bare = program.map(|name| name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.'));
        if let Some((_, template)) = LIBRARY.iter().find(|(name, _)| Some(*name) == program || Some(*name) == bare) {
            say(
                text,
                4,
                &format!("minder's library knows it: rules/library/{template}.yaml asks more, and says what to do."),
            );
        }
    }

    /// Where it was found.
    fn found(&self) -> String {
        let mut words = match &self.supervised {
            Some(Supervised::Directory { kind, path, .. }) => {
                format!("Found as {}, kept by {}", path.display(), kind.word())
            }
            Some(Supervised::Unit(unit)) => format!("Found by its control group, that of {unit}"),
            Some(Supervised::Program { server, .. }) => format!("Found below supervisord, which is asked at {server}"),
            None => "Found".to_owned(),
        };
        match &self.process {
            Some((pid, process)) => {
                let program =
                    process.program.as_ref().map_or_else(|| process.name.clone(), |path| path.display().to_string());
                let _ = write!(words, ": pid {pid}, {program}, user {}.", process.user);
            }
            None => words.push_str(", without a process just now."),
        }
        words
    }
}

fn control(supervised: &Supervised) -> String {
    match supervised {
        Supervised::Directory { kind, scan, name, path } => {
            let keys = match scan {
                Some(scan) if scan.as_os_str() == kind.default_directory() => scalar(name),
                Some(scan) => {
                    format!("{{ service: {}, directory: {} }}", scalar(name), scalar(usable(scan).unwrap_or("/")))
                }
                None => scalar(usable(path).unwrap_or("/")),
            };
            format!("{{ {}: {keys} }}", kind.word())
        }
        Supervised::Unit(unit) => format!("{{ systemd: {} }}", scalar(unit)),
        Supervised::Program { name, server } => {
            format!("{{ supervisord: {{ program: {}, server: {} }} }}", scalar(name), scalar(server))
        }
    }
}

fn process(who: &Who) -> String {
    let matches = who.argument.as_deref().map(regex::escape);
    let keys: BTreeMap<u8, (&str, &str)> = [
        (0, "pidfile", &who.pidfile),
        (1, "exe", &who.program),
        (2, "name", &who.name),
        (3, "match", &matches),
        (4, "user", &who.user),
    ]
    .into_iter()
    .filter_map(|(place, key, value)| Some((place, (key, value.as_deref()?))))
    .collect();
    let keys: Vec<String> = keys.values().map(|(key, value)| format!("{key}: {}", scalar(value))).collect();
    format!("{{ {} }}", keys.join(", "))
}

/// A comment, in as many lines as it needs.
fn say(text: &mut String, indent: usize, words: &str) {
    let words = comment(words);
    let start = format!("{:indent$}#", "");
    let mut line = start.clone();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        if line.len() > start.len() && line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line.clone_from(&start);
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_that_is_named_is_there() {
        let library = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/library");
        for (program, template) in LIBRARY {
            assert!(library.join(format!("{template}.yaml")).exists(), "{program}: {template}");
        }
    }

    #[test]
    fn comments_stay_comments() {
        let mut text = String::new();
        say(&mut text, 2, &format!("a\nb: c\r\u{85}\u{2028}d {}", "word ".repeat(60)));
        assert!(
            text.lines().count() > 2 && text.lines().all(|line| line.starts_with("  # ") && line.len() <= WIDTH),
            "{text}"
        );
    }
}
