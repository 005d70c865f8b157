//! Programs: how monit's lines become lists of arguments, and start and stop programs a control.

use super::super::syntax::Command;
use super::settings::Settings;
use crate::import::yaml;
use crate::model::write_duration;
use std::time::Duration;

/// What minder gives a command of a control, if nothing else is said.
const DEADLINE: u32 = 30;

/// The arguments of a line. Quotes group words, and so do those with a backslash, which stand in a line that is in quotes itself.
pub fn arguments(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) if chars.peek() == Some(&'"') => {
                chars.next();
                quote = if quote.is_none() { Some('"') } else { None };
                word.get_or_insert_default();
            }
            ('\\', Some('\'')) if chars.peek() == Some(&'"') => word.get_or_insert_default().extend(chars.next()),
            (c, Some(open)) if c == open => quote = None,
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    match words.first() {
        None => Err("there is no program in it".to_owned()),
        Some(program) if !program.starts_with('/') => Err("the program is not an absolute path".to_owned()),
        Some(_) if words.iter().any(|word| word.contains('\0')) => Err("an argument holds a NUL character".to_owned()),
        Some(_) => Ok(words),
    }
}

/// What a group that a program runs with becomes.
pub fn group(command: &Command) -> Option<String> {
    let gid = command.gid.as_ref().filter(|gid| command.uid.as_ref() != Some(gid))?;
    Some(match &command.uid {
        Some(_) => format!("it runs with the groups of its user, not with `{}`", yaml::comment(gid)),
        None => format!("it runs with the groups of minder's user, not with `{}`", yaml::comment(gid)),
    })
}

/// The programs of a service, those that can be run.
#[derive(Default)]
pub struct Control {
    start: Option<Run>,
    stop: Option<Run>,
    restart: Option<Run>,
}

struct Run {
    argv: Vec<String>,
    uid: Option<String>,
    timeout: u32,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Which {
    Start,
    Stop,
    Restart,
}

impl Control {
    /// Adds a program, and says what differs.
    pub fn add(&mut self, which: Which, command: &Command, settings: &Settings) -> Result<Vec<String>, String> {
        let (place, limit) = match which {
            Which::Start => (&mut self.start, settings.start_timeout),
            Which::Stop => (&mut self.stop, settings.stop_timeout),
            Which::Restart => (&mut self.restart, settings.restart_timeout),
        };
        if place.is_some() {
            return Err("another one stands above".to_owned());
        }
        let timeout = command.timeout.or(limit).filter(|seconds| *seconds > 0).unwrap_or(DEADLINE);
        *place = Some(Run { argv: arguments(&command.line)?, uid: command.uid.clone(), timeout });
        Ok(group(command).into_iter().collect())
    }

    pub fn can_start(&self) -> bool {
        self.start.is_some()
    }

    /// Whether there is a control: something that brings the service up.
    pub fn is_some(&self) -> bool {
        self.start.is_some() || self.restart.is_some()
    }

    /// A stop program of which no control can be made.
    pub fn lone_stop(&self) -> Option<&[String]> {
        self.stop.as_ref().filter(|_| !self.is_some()).map(|run| run.argv.as_slice())
    }

    /// The keys of a `command` control.
    pub fn lines(&self) -> Vec<String> {
        let runs = [("start", &self.start), ("stop", &self.stop), ("restart", &self.restart)];
        let runs: Vec<(&str, &Run)> = runs.into_iter().filter_map(|(key, run)| Some((key, run.as_ref()?))).collect();
        let first = runs.first().and_then(|(_, run)| run.uid.as_deref());
        let same = runs.iter().all(|(_, run)| run.uid.as_deref() == first);
        let mut lines: Vec<String> = runs.iter().map(|(key, run)| format!("{key}: {}", run.written(same))).collect();
        if let Some(user) = first.filter(|_| same) {
            lines.push(format!("user: {}", yaml::scalar(user)));
        }
        lines
    }
}

impl Run {
    /// A control runs all its commands as one user: where they differ, each says its own.
    fn written(&self, same_user: bool) -> String {
        let mut argv = self.argv.clone();
        if let Some(user) = self.uid.as_ref().filter(|_| !same_user) {
            let by = ["/sbin/runuser", "-u", user, "--"].map(str::to_owned);
            argv.splice(0..0, by);
        }
        match self.timeout {
            DEADLINE => yaml::list(&argv),
            seconds => {
                let timeout = write_duration(Duration::from_secs(u64::from(seconds.min(300_000_000))));
                format!("{{ command: {}, timeout: {timeout} }}", yaml::list(&argv))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_group_words() {
        for (line, words) in [
            ("/etc/init.d/x start", &["/etc/init.d/x", "start"][..]),
            ("/bin/sh -c 'cd /a && b \"c d\"'", &["/bin/sh", "-c", "cd /a && b \"c d\""]),
            ("/bin/sh  -c \\\"a b\\\"", &["/bin/sh", "-c", "a b"]),
            ("/bin/sh -c 'a \\\"b\\\"'", &["/bin/sh", "-c", "a \"b\""]),
            ("/x '' a\"b c\"d", &["/x", "", "ab cd"]),
            ("/x 'open end", &["/x", "open end"]),
        ] {
            assert_eq!(arguments(line).unwrap(), words, "{line}");
        }
        for line in ["", "  ", "service x start", "/x \0"] {
            assert!(arguments(line).is_err(), "{line:?}");
        }
    }

    #[test]
    fn one_user_for_all_is_the_controls_and_several_are_the_commands_own() {
        let command = |line: &str, uid: Option<&str>| Command {
            line: line.to_owned(),
            uid: uid.map(str::to_owned),
            ..Command::default()
        };
        let lines = |start: Option<&str>, stop: Option<&str>| {
            let mut control = Control::default();
            control.add(Which::Start, &command("/a", start), &Settings::default()).unwrap();
            control.add(Which::Stop, &command("/b", stop), &Settings::default()).unwrap();
            control.lines()
        };
        assert_eq!(lines(Some("u"), Some("u")), ["start: [/a]", "stop: [/b]", "user: u"]);
        assert_eq!(lines(Some("u"), None), ["start: [/sbin/runuser, \"-u\", u, \"--\", /a]", "stop: [/b]"]);
    }
}
