//! How a service is restarted, in words: each step as `engine::act` and the control take it, and what if it does not help.

use super::page::{Page, and};
use super::words::process;
use crate::model::controls::{CommandControl, ControlRun, ControlSpec, StopBy};
use crate::model::{Action, Budget, Check, Plan, Rule, Service, write_duration};
use std::time::Duration;

/// So long before its deadline what a supervisor was told to end is killed, as `control::supervisor` has it.
const KILL_BEFORE: Duration = Duration::from_secs(5);

pub(super) fn restarted(page: &mut Page, plan: &Plan, service: &Service, control: &ControlSpec) {
    let asks = |rule: &&Rule| rule.actions.iter().any(|action| matches!(action, Action::Restart | Action::Start));
    let names: Vec<String> = service.rules.iter().filter(asks).map(|rule| format!("`{}`", rule.name)).collect();
    page.section(&match names.as_slice() {
        [] => format!("No rule restarts it. If a person does (`minder restart {}`):", service.name),
        [one] => format!("How it is restarted, if {one} asks for it:"),
        _ => format!("How it is restarted, if one of {} asks for it; several at once are one restart:", and(&names)),
    });
    let process = process(service);
    let mut steps = match control {
        ControlSpec::Command(command) => by_commands(&service.name, command, process),
        supervisor => by_supervisor(supervisor),
    };
    let (within, settle) = (write_duration(control.timeout()), write_duration(service.settle));
    steps.push(match (process, control.supervises()) {
        (Some(check), _) => format!(
            "`{}` must find a new process within {within}, and that must live for {settle} (settle): then it has succeeded",
            check.name
        ),
        (None, true) => format!(
            "{} must say within {within} that a new process runs, and that must live for {settle} (settle): then it has \
             succeeded",
            control.name()
        ),
        (None, false) => format!(
            "the command must end with code 0; if it still runs after {within}, it is taken for the daemon: then it has \
             succeeded"
        ),
    });
    for (i, step) in steps.iter().enumerate() {
        page.line(2, &format!("{}. {step}", i + 1));
    }
    if service.rules.iter().any(|rule| rule.actions.contains(&Action::Start)) {
        page.line(0, "To start it is the same, without stopping anything.");
    }
    if names.is_empty() {
        return;
    }
    tries(page, &service.restart, service.grace);
    let brake = plan.brake;
    page.line(
        0,
        &format!("More than {brake} over all services are held by the brake, until they are released or it is calm."),
    );
    page.line(0, "What its operator has stopped is not started.");
}

fn by_commands(service: &str, command: &CommandControl, process: Option<&Check>) -> Vec<String> {
    let run = |run: &ControlRun| {
        let user = command.user.as_deref().unwrap_or("minder's own user");
        let directory = command.directory.as_ref().map_or(String::new(), |directory| format!(" in {directory}"));
        format!("`{}` is run as {user}{directory}", run.command)
    };
    let scope =
        if command.scope { format!(", where systemd runs in its scope minder-{service}.scope") } else { String::new() };
    let launch = |command: &ControlRun| run(command) + &scope;
    if let Some(restart) = &command.restart {
        return vec![launch(restart)];
    }
    let mut steps = Vec::new();
    let failed = "otherwise the restart has failed";
    match (&command.stop, process) {
        (StopBy::Signals(signals), Some(_)) => {
            let signals: Vec<String> = signals
                .iter()
                .map(|(signal, wait)| format!("{signal}, and has {} to end", write_duration(*wait)))
                .collect();
            steps.push(format!("if it runs, its process gets {}; {failed}", signals.join("; then ")));
        }
        (StopBy::Signals(_), None) => {
            steps.push("nothing is stopped: no `process` check says which process it is".to_owned());
        }
        (StopBy::Command(stop), Some(_)) => steps.push(format!(
            "if it runs, {}, and within {} its process must have ended; {failed}",
            run(stop),
            stop.timeout
        )),
        (StopBy::Command(stop), None) => {
            steps.push(format!("{}, and must succeed within {}; {failed}", run(stop), stop.timeout));
        }
    }
    if process.is_some() {
        steps.push("what a dead one has left in its process group is ended: TERM, and KILL after 2s".to_owned());
    }
    steps.extend(command.start.as_ref().map(launch));
    steps
}

fn by_supervisor(control: &ControlSpec) -> Vec<String> {
    let timeout = control.timeout();
    let kill = timeout - (timeout / 4).min(KILL_BEFORE);
    vec![
        "if its operator has taken it down, or its supervisor does not answer, nothing is done".to_owned(),
        format!(
            "{} ends it as it is told to, and with KILL if it still runs after {}, and starts it again, all within {}",
            control.name(),
            write_duration(kill),
            write_duration(timeout)
        ),
    ]
}

/// What if it does not help.
fn tries(page: &mut Page, budget: &Budget, grace: Duration) {
    let (first, longest) = (budget.delay.first, budget.delay.longest);
    let delay = match first == longest {
        true => format!("after {}", write_duration(first)),
        false => format!("after {}, twice as long each time, up to {}", write_duration(first), write_duration(longest)),
    };
    page.line(
        0,
        &format!(
            "The first is at once. If it fails, or a rule still asks for one after the grace of {}, the next comes {delay}.",
            write_duration(grace)
        ),
    );
    let times = if budget.limit.count == 1 { "time" } else { "times" };
    page.line(
        0,
        &format!(
            "It is restarted at most {} {times} in {}; then it is given up, which is told, and tried once every {}.",
            budget.limit.count,
            write_duration(budget.limit.within),
            budget.retry
        ),
    );
}
