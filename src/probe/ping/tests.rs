use super::super::servers::net;
use super::*;
use crate::model::Given;
use std::process::{Command, Stdio};

async fn ping(host: &str, count: u16, timeout: Duration) -> Sample {
    net().ping(&Ping { host: Given::literal(host), count }, timeout).await
}

const AMPLE: Duration = Duration::from_secs(5);
const BRIEF: Duration = Duration::from_millis(300);

#[track_caller]
fn well(sample: &Sample) {
    assert_eq!(sample.reading(FAILED), &Reading::Flag(false), "{sample:?}");
    assert_eq!(sample.reading(LOSS), &Reading::Number(0.0), "{sample:?}");
    assert!((0.0..0.5).contains(&sample.reading(LATENCY).number().unwrap()), "{sample:?}");
    assert_eq!(sample.note, None);
}

#[tokio::test]
async fn this_machine_answers() {
    let sample = ping("127.0.0.1", 3, AMPLE).await;
    well(&sample);
    assert!((2 * APART..AMPLE).contains(&sample.took), "{sample:?}");
    well(&ping("::1", 1, AMPLE).await);
    well(&ping("localhost", 20, BRIEF).await);
}

/// A network of its own, with what of it leads where; ended with the test.
#[allow(clippy::disallowed_methods, reason = "runs it to its end")]
fn in_own_network(script: &str) -> std::process::Output {
    let program = std::env::current_exe().unwrap();
    let script = format!("ip link set lo up; {script}");
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).env("PROGRAM", program).stdin(Stdio::null());
    command.output().unwrap()
}

#[tokio::test]
#[ignore = "run by the tests below, in processes of other users and in other networks"]
async fn asked_by_another_process() {
    let host = std::env::var("MINDER_TEST_PING").unwrap();
    let sample = ping(&host, 2, BRIEF).await;
    println!("<{:?} {:?} {}>", sample.reading(FAILED), sample.reading(LOSS), sample.note.as_deref().unwrap_or("-"));
}

#[track_caller]
fn asked(setup: &str, user: &str, host: &str) -> String {
    let script = format!("{setup}\nMINDER_TEST_PING={host} {user} $PROGRAM --ignored --exact {NAME} --nocapture");
    let output = in_own_network(&script);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let answer = text.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    answer.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr))).0.to_owned()
}

const NAME: &str = "probe::ping::tests::asked_by_another_process";
const NOBODY: &str = "setpriv --reuid 65534 --regid 65534 --clear-groups --inh-caps=-all --bounding-set=-all";
const NO_RAW: &str = "setpriv --bounding-set=-net_raw --inh-caps=-all";
const UNREACHABLE: &str = "ip route add unreachable 203.0.113.1; ip route add blackhole 203.0.113.2; \
    ip link add br0 type bridge; ip addr add 198.51.100.1/24 dev br0; ip link set br0 up";

#[test]
fn without_the_right_it_says_what_to_set() {
    for who in [NOBODY, NO_RAW] {
        for host in ["127.0.0.1", "::1"] {
            assert_eq!(asked("", who, host), format!("Unknown Unknown {FORBIDDEN}"));
        }
    }
}

#[test]
fn everybody_may_ask_where_the_system_grants_it() {
    let grant = "echo 0 2147483647 >/proc/sys/net/ipv4/ping_group_range";
    for host in ["127.0.0.1", "::1"] {
        assert_eq!(asked(grant, NOBODY, host), "Flag(false) Number(0.0) -");
    }
}

#[test]
fn who_cannot_be_reached_has_failed_and_says_why() {
    for (host, why) in [
        ("203.0.113.1", "the host is unreachable"),
        ("203.0.113.2", "this machine's route to the host is a black hole"),
        ("203.0.113.3", "the network is unreachable"),
        ("2001:db8::1", "the network is unreachable"),
        // Nobody says anything: the address is on the link, but takes a second to be known as missing.
        ("198.51.100.2", "none of 2 requests was answered within 300 ms"),
    ] {
        let answer = asked(UNREACHABLE, "", host);
        assert!(answer.starts_with("Flag(true)") && answer.ends_with(why), "{host}: {answer}");
    }
}

#[test]
fn what_is_heard_only_later_is_told() {
    // Nobody on the link has the address, which the kernel now finds out fast.
    let setup = format!(
        "{UNREACHABLE}; cd /proc/sys/net/ipv4/neigh/br0; echo 20 >retrans_time_ms; echo 1 >mcast_solicit; cd /"
    );
    assert_eq!(asked(&setup, "", "198.51.100.2"), "Flag(true) Number(100.0) the host is unreachable");
}

#[test]
fn only_our_replies_count() {
    let mark = [7; 16];
    let mut message = request(false, 99, 3, &mark);
    assert_eq!(checksum(&message), 0);
    assert_eq!(reply(&message, false, Some(99), &mark), None, "our own request, as the loopback shows it");
    message[0] = 0;
    assert_eq!(reply(&message, false, Some(99), &mark), Some(3));
    assert_eq!(reply(&message, false, None, &mark), Some(3));
    assert_eq!(reply(&message, false, Some(98), &mark), None);
    assert_eq!(reply(&message, false, Some(99), &[8; 16]), None);
    assert_eq!(reply(&message, true, Some(99), &mark), None);
    for length in 0..LENGTH {
        assert_eq!(reply(&message[..length], false, None, &mark), None);
    }
    assert!(behind_header(&[0x46, 0]).is_empty() && behind_header(&[]).is_empty());
}
