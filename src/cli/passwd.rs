//! `minder passwd`: makes what the rules say of a password, or a token for a program.

use super::{Failure, Outcome, code};
use crate::config;
use crate::model::{PasswordHash, Role};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Stdin, Write};
use tokio::signal::unix::{SignalKind, signal};

/// Make the hash of a password for the rules, or a token for a program
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  minder passwd alice --role admin\n  echo \"$PASSWORD\" | minder passwd alice\n  minder passwd --token prometheus"
)]
pub(super) struct Args {
    /// Who will sign in, or the program that will ask
    #[arg(value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// What they may do: viewer, operator or admin
    #[arg(long, value_name = "ROLE", default_value = "viewer", value_parser = role)]
    role: Role,
    /// Make a token for a program instead: its secret goes to standard output
    #[arg(long)]
    token: bool,
}

fn name(text: &str) -> Result<String, String> {
    // It goes into lines of YAML, and of a token into the name of a file.
    let may_be = config::is_name_of_user(text) && !text.starts_with('.');
    may_be.then(|| text.to_owned()).ok_or_else(|| "a name has letters, digits, `.`, `_`, `-`, `@` and `+`".to_owned())
}

fn role(word: &str) -> Result<Role, String> {
    let found = Role::ALL.into_iter().find(|role| role.word() == word);
    found.ok_or_else(|| "expected `viewer`, `operator` or `admin`".to_owned())
}

pub(super) fn run(args: &Args) -> Result<Outcome, Failure> {
    if args.token { token(args) } else { password(args) }
}

fn password(args: &Args) -> Result<Outcome, Failure> {
    let name = args.name.as_deref().unwrap_or("alice");
    let password = if io::stdin().is_terminal() { ask(name)? } else { first_line(io::stdin().lock())? };
    let wrong = |words: String| Failure::new(code::WRONG, words);
    if password.chars().count() < PasswordHash::SHORTEST {
        return Err(wrong(format!("a password needs at least {} characters", PasswordHash::SHORTEST)));
    }
    if password.len() > PasswordHash::LONGEST {
        return Err(wrong(format!("a password has at most {} bytes", PasswordHash::LONGEST)));
    }
    let hash = PasswordHash::of(&password, random()?).ok_or_else(|| wrong("no memory to hash it".to_owned()))?;
    // The advice goes elsewhere, so that the lines can be appended to a file.
    let _ = writeln!(io::stderr(), "Put these lines into the rules, then: minder reload");
    let text = format!(
        "dashboard:\n  users:\n    {name}: {{ password: \"{}\", role: {} }}\n",
        hash.expose(),
        args.role.word()
    );
    Ok(Outcome { text, code: code::WELL })
}

fn token(args: &Args) -> Result<Outcome, Failure> {
    let name = args.name.as_deref().unwrap_or("prometheus");
    let secret = BASE64_URL_SAFE_NO_PAD.encode(random::<32>()?);
    let file = format!("/etc/minder/{name}.token");
    let _ = writeln!(
        io::stderr(),
        "Keep the token in a file that only minder can read ({file}, mode 600), put these lines into the rules,\n\
         then: minder reload\n\n\
         dashboard:\n  tokens:\n    {name}: {{ secret: {{ file: {file} }}, role: {} }}\n\n\
         The program sends it in a header: Authorization: Bearer TOKEN\n",
        args.role.word()
    );
    Ok(Outcome { text: format!("{secret}\n"), code: code::WELL })
}

fn ask(name: &str) -> Result<String, Failure> {
    let first = hidden(&format!("Password of {name}: "))?;
    if hidden("Once more: ")? == first {
        return Ok(first);
    }
    Err(Failure::new(code::WRONG, "these are two different passwords"))
}

/// What is typed at the terminal, which does not show it. Ctrl-C must find its way back to where the terminal is set right.
fn hidden(prompt: &str) -> Result<String, Failure> {
    let failed = |e: io::Error| Failure::new(code::WRONG, format!("the terminal cannot be told to hide it: {e}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let stdin = io::stdin();
    let answer = runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let _hidden = Hidden::new(&stdin).map_err(failed)?;
        let _ = write!(io::stderr(), "{prompt}");
        let interrupted = || Err(Failure::new(code::WRONG, "interrupted"));
        let answer = tokio::select! {
            answer = tokio::task::spawn_blocking(|| first_line(io::stdin().lock())) => answer.unwrap_or_else(|_| interrupted()),
            _ = interrupt.recv() => interrupted(),
        };
        let _ = writeln!(io::stderr());
        answer
    });
    // Whoever still reads is not waited for.
    runtime.shutdown_background();
    answer
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden<'a> {
    stdin: &'a Stdin,
    before: rustix::termios::Termios,
}

impl Hidden<'_> {
    fn new(stdin: &Stdin) -> io::Result<Hidden<'_>> {
        let before = tcgetattr(stdin)?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        tcsetattr(stdin, OptionalActions::Flush, &silent)?;
        Ok(Hidden { stdin, before })
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.stdin, OptionalActions::Now, &self.before);
    }
}

fn first_line(input: impl BufRead) -> Result<String, Failure> {
    let mut line = String::new();
    // One character more than the longest, so that a longer one is known as such.
    let read = input.take(PasswordHash::LONGEST as u64 + 3).read_line(&mut line);
    read.map_err(|e| Failure::new(code::WRONG, format!("the password cannot be read: {e}")))?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn random<const N: usize>() -> Result<[u8; N], Failure> {
    use ring::rand::SecureRandom;
    let mut bytes = [0; N];
    let filled = ring::rand::SystemRandom::new().fill(&mut bytes);
    filled.map(|()| bytes).map_err(|_| Failure::new(code::WRONG, "this machine gives no random numbers"))
}
