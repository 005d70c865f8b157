use super::*;
use crate::sys::testing::{kill, lives, until};
use std::path::Path;

fn shell(script: &str, input: Option<&[u8]>, timeout: Duration) -> Ran {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned);
    let environment = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
    let directory = Path::new("/");
    run(&Program { argv: &argv, environment: &environment, user: None, directory, umask: 0o022 }, input, timeout)
        .unwrap()
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn output_and_errors_come_together_and_only_their_end_is_kept() {
    let ran = shell("echo out; echo err >&2; exit 3", None, LONG);
    assert_eq!(ran, Ran { status: Some(3 << 8), output: b"out\nerr\n".to_vec() });
    let ran = shell("yes | head -c 3000000; echo; echo end", None, LONG);
    assert_eq!((ran.status, ran.output.len()), (Some(0), OUTPUT_KEPT));
    assert!(ran.output.ends_with(b"\nend\n"));
}

#[test]
fn input_larger_than_a_pipe_goes_through_and_may_be_ignored() {
    let input = vec![b'x'; 1 << 20];
    assert_eq!(shell("wc -c", Some(&input), LONG).output, b"1048576\n");
    assert_eq!(shell("exec true", Some(&input), LONG).status, Some(0));
    assert_eq!(shell("cat", Some(b""), LONG).output, b"");
    assert_eq!(shell("cat", None, LONG).output, b"");
}

#[test]
fn when_the_time_is_over_all_of_it_is_killed() {
    // Job control gives the second one a process group of its own; all ignore TERM.
    let script = "trap '' TERM; echo $$; sleep 4711 & echo $!; exec bash -c 'set -m; sleep 4711 & echo $!; wait'";
    let ran = shell(script, None, Duration::from_millis(300));
    assert_eq!(ran.status, None);
    let pids: Vec<u32> = String::from_utf8(ran.output).unwrap().lines().map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    until("all are dead", || !pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_flood_does_not_outlive_the_deadline() {
    let ran = shell("exec yes", None, Duration::from_millis(200));
    assert_eq!((ran.status, ran.output.len()), (None, OUTPUT_KEPT));
}

#[test]
fn what_goes_to_the_background_is_not_waited_for() {
    let ran = shell("sleep 4711 & echo $!", None, LONG);
    let pid = String::from_utf8(ran.output).unwrap().trim().parse().unwrap();
    assert_eq!(ran.status, Some(0));
    assert!(lives(pid));
    kill(pid, Signal::KILL);
}
