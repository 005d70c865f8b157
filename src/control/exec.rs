//! Commands that run to their end: the `exec` action, and `stop` commands.

use crate::model::{ExecSpec, Exit, Facts, Given, clip, hide, plain, show_duration};
use crate::sys::run::{self, Ran};
use crate::sys::spawn::Program;
use crate::sys::users::User;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// As whom a program runs, and all of its environment.
pub(super) struct Surroundings {
    /// Nobody else than minder's own user where this is missing.
    pub user: Option<User>,
    pub environment: Vec<(String, String)>,
    /// What of the environment must not be shown.
    pub secrets: Vec<String>,
}

impl Surroundings {
    /// `facts` are found as `MINDER_NAME`; what the rules say goes before them.
    pub(super) fn new(
        us: &User,
        user: Option<&str>,
        facts: Facts,
        own: &BTreeMap<String, Given>,
    ) -> Result<Surroundings, String> {
        let user = user.map(User::known).transpose()?;
        let secrets = own.values().filter(|given| given.is_secret()).map(|given| given.expose().to_owned()).collect();
        let facts = facts.into_iter().map(|(name, value)| (format!("MINDER_{name}"), value.replace('\0', "")));
        let own = own.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
        let environment = user.as_ref().unwrap_or(us).environment(facts.chain(own));
        Ok(Surroundings { user, environment, secrets })
    }

    pub(super) fn program<'a>(&'a self, argv: &'a [String], directory: Option<&'a Path>, umask: u32) -> Program<'a> {
        Program {
            argv,
            environment: &self.environment,
            user: self.user.as_ref(),
            directory: directory.unwrap_or(Path::new("/")),
            umask,
        }
    }
}

/// The `exec` action: how it ended in the first line, and then, if there is more than one, the last lines that it wrote.
pub(super) fn exec(us: &User, spec: &ExecSpec, facts: Facts) -> Result<String, String> {
    let surroundings = Surroundings::new(us, spec.user.as_deref(), facts, &spec.environment)?;
    let argv = spec.argv();
    let program = surroundings.program(&argv, spec.directory.as_ref().map(|d| d.as_path()), 0o022);
    let (outcome, output) = ended(&program, spec.timeout.0, &surroundings.secrets)?;
    let output = last_lines(&output, LINES, &surroundings.secrets);
    let with_output = |words: String| if output.contains('\n') { format!("{words}\n{output}") } else { words };
    outcome.map(with_output).map_err(with_output)
}

/// Runs it, and says how it ended, with the last line that it wrote. An error unless it exited with code 0.
pub(super) fn run_to_end(program: &Program<'_>, timeout: Duration, secrets: &[String]) -> Result<String, String> {
    ended(program, timeout, secrets)?.0
}

/// What came of it, in a line, and the end of what it wrote. An error if it could not be run.
fn ended(
    program: &Program<'_>,
    timeout: Duration,
    secrets: &[String],
) -> Result<(Result<String, String>, Vec<u8>), String> {
    let Ran { status, output } = run::run(program, None, timeout).map_err(|e| e.to_string())?;
    let last = last_lines(&output, 1, secrets);
    let with_last = |words: String| if last.is_empty() { words } else { format!("{words}: {last}") };
    let outcome = match status.map(Exit::from_wait_status) {
        Some(Exit::Code(0)) => Ok(with_last("exit code 0".to_owned())),
        Some(Exit::Code(code)) => Err(with_last(format!("exit code {code}"))),
        Some(exit) => Err(with_last(exit.to_string())),
        None if run::is_finishing() => Err(with_last("killed, because minder ended".to_owned())),
        None => Err(with_last(format!("killed, because it had not ended after {}", show_duration(timeout)))),
    };
    Ok((outcome, output))
}

/// The longest line that is shown, in characters.
const LINE: usize = 300;
/// So many lines of what an `exec` wrote are kept.
const LINES: usize = 20;

/// The last lines of an output that are not blank, for people: plain, without secrets, long lines cut.
pub(super) fn last_lines(output: &[u8], most: usize, secrets: &[String]) -> String {
    let text = hide(&String::from_utf8_lossy(output), secrets.iter().map(String::as_str));
    let lines = text.lines().rev().map(|line| clip(plain(line).trim_end(), LINE));
    let mut lines: Vec<String> = lines.filter(|line| !line.is_empty()).take(most).collect();
    lines.reverse();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_fit_to_be_shown() {
        let output = b"one\n\n\x1b[31mtwo\x07\tand \xff\r\nthree\n \n";
        assert_eq!(last_lines(output, 2, &[]), " [31mtwo  and \u{fffd}\nthree");
        assert_eq!(last_lines(&[b'x'; 5000], 9, &[]).chars().count(), LINE);
        assert_eq!(
            last_lines("a\u{202e}b".as_bytes(), 1, &[]).chars().count(),
            3,
            "what turns the rest around is replaced"
        );
        assert_eq!(last_lines(b"", 3, &[]), "");
    }
}
