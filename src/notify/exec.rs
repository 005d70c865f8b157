//! Hands messages to a command, each as the JSON event on its standard input.

use super::talk::Talk;
use super::{Failure, cloudevent, render};
use crate::model::{ExecSpec, Exit, Given, Told, plain};
use crate::sys::run::{self, Ran};
use crate::sys::spawn::Program;
use crate::sys::users::User;
use std::path::Path;
use tokio::sync::oneshot;

/// One attempt. Exit code 0 is delivered; anything else is tried again, since what failed is a program that a person may put
/// right.
pub(super) async fn deliver(spec: &ExecSpec, told: &Told, talk: &mut Talk) -> Result<(), Failure> {
    let (sender, outcome) = oneshot::channel();
    let input = cloudevent::json(told);
    let secrets: Vec<String> =
        spec.environment.values().filter(|g| g.is_secret()).map(|g| g.expose().to_owned()).collect();
    talk.say('$', &spec.argv().join(" "), &secrets);
    talk.say('>', &String::from_utf8_lossy(&input), &secrets);
    let spec = spec.clone();
    // A thread of its own, and not one of tokio's: the runtime would wait for it when minder ends.
    let thread = std::thread::Builder::new().name("notify-exec".to_owned());
    let started = thread.spawn(move || {
        // Nobody listens any more when minder ends.
        let _ = sender.send(run_to_end(&spec, &input));
    });
    started.map_err(|e| Failure::later(format!("no thread for the command: {e}")))?;
    let (output, outcome) =
        outcome.await.unwrap_or_else(|_| (Vec::new(), Err(Failure::later("the command was abandoned"))));
    talk.say('<', &String::from_utf8_lossy(&output), &secrets);
    outcome
}

/// What it said, and whether it took the message.
fn run_to_end(spec: &ExecSpec, input: &[u8]) -> (Vec<u8>, Result<(), Failure>) {
    let ran = match start(spec, input) {
        Ok(ran) => ran,
        Err(failure) => return (Vec::new(), Err(failure)),
    };
    let secrets: Vec<&Given> = spec.environment.values().filter(|given| given.is_secret()).collect();
    let judged = judge(&ran, spec, &secrets);
    (ran.output, judged)
}

fn start(spec: &ExecSpec, input: &[u8]) -> Result<Ran, Failure> {
    let user = spec.user.as_deref().map(User::known).transpose().map_err(Failure::later)?;
    let own = spec.environment.iter().map(|(name, value)| (name.clone(), value.expose().to_owned()));
    let environment = user.as_ref().unwrap_or(&User::current()).environment(own);
    let argv = spec.argv();
    let directory = spec.directory.as_ref().map_or(Path::new("/"), |d| d.as_path());
    let program = Program { argv: &argv, environment: &environment, user: user.as_ref(), directory, umask: 0o022 };
    run::run(&program, Some(input), spec.timeout.0).map_err(|e| Failure::later(plain(&e.to_string())))
}

fn judge(ran: &Ran, spec: &ExecSpec, secrets: &[&Given]) -> Result<(), Failure> {
    let what = match ran.status.map(Exit::from_wait_status) {
        Some(Exit::Code(0)) => return Ok(()),
        Some(exit) => exit.to_string(),
        None => format!("killed after {}", spec.timeout),
    };
    let output = String::from_utf8_lossy(&ran.output);
    let last = output.lines().rev().find(|line| !line.trim().is_empty());
    let words = last.map(|line| format!("{what}: {}", line.trim())).unwrap_or(what);
    Err(Failure::later(render::without(&words, secrets.iter().map(|given| given.expose()))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notify::render::tests::firing;
    use crate::notify::template::tests::told;

    async fn shell(line: &str) -> Result<(), String> {
        let mut spec: ExecSpec = serde_json::from_value(serde_json::json!({
            "shell": line, "timeout": "500ms", "environment": { "TOKEN": { "env": "TOKEN" } }
        }))
        .unwrap();
        spec.environment.values_mut().for_each(|given| given.resolve("hunter2".to_owned()));
        deliver(&spec, &told(firing()), &mut Talk::default()).await.map_err(|failure| match failure {
            Failure::Later { why, .. } => why,
            Failure::Refused { why } => panic!("refused: {why}"),
        })
    }

    #[tokio::test]
    async fn a_command_gets_the_event_and_says_whether_it_took_it() {
        assert_eq!(shell("grep -q '\"type\":\"minder.firing\"'").await, Ok(()));
        assert_eq!(shell("cat >/dev/null; echo busy; exit 3").await, Err("exited with code 3: busy".to_owned()));
        assert_eq!(shell("exit 0").await, Ok(()), "it need not read");
        assert_eq!(shell("echo $TOKEN; exit 1").await, Err("exited with code 1: [secret]".to_owned()));
        assert_eq!(shell("sleep 100").await, Err("killed after 500ms".to_owned()));
    }
}
