use super::*;
use crate::probe::testing::Program as Process;
use std::fs;

fn at(path: &Path) -> Log {
    Log::At(path.to_str().unwrap().parse().unwrap())
}

#[test]
fn the_end_of_a_log_is_bounded_and_reached_by_nobody_elses_link() {
    let dir = tempfile::tempdir().unwrap();
    let (log, link) = (dir.path().join("log"), dir.path().join("link"));
    let lines: String = (0..50).map(|i| format!("line {i} {}\r\n", "x".repeat(1000))).collect();
    fs::write(&log, lines).unwrap();
    let text = tail_of_log(&at(&log), None).unwrap();
    assert!(text.starts_with("line 30 x") && text.lines().count() == 20, "{text}");
    assert!(text.lines().all(|line| line.chars().count() == LINE));
    std::os::unix::fs::symlink(&log, &link).unwrap();
    if std::os::unix::fs::lchown(&link, Some(65534), None).is_ok() {
        assert!(tail_of_log(&at(&link), None).is_err());
        let sleep = Process::start("sleep", &["60"]);
        assert!(tail_of_log(&at(&link), Some(sleep.identity())).is_err(), "its user is another");
    }
    assert!(tail_of_log(&at(Path::new("/dev/zero")), None).is_err());
}

#[test]
fn a_directory_has_its_lines_in_current_and_in_the_file_before() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
    let tail = || tail_of_log(&at(dir.path()), None);
    assert_eq!(tail().unwrap(), "", "nothing has been logged yet");
    write("current", "new\n");
    write("@400000006affb89309f873bc.s", "oldest\n");
    write("@400000006affb89409f873bc.u", &(0..30).map(|i| format!("old {i}\n")).collect::<String>());
    // None of the files of a logger.
    write("@400000006affb89509f873bc.s.gz", "packed\n");
    write("@z", "other\n");
    let lines = tail().unwrap();
    assert!(lines.starts_with("old 11\nold 12\n") && lines.ends_with("old 29\nnew"), "{lines}");
    write("@400000006affb89609f873bc.s", "packed\0\n");
    assert_eq!(tail().unwrap(), "new");
    write("current", &"more\n".repeat(20));
    assert_eq!(tail().unwrap(), ["more"; 20].join("\n"));
}

#[test]
fn nothing_in_a_directory_leads_elsewhere() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    fs::write(&secret, "secret\n").unwrap();
    for name in ["current", "@400000006affb89409f873bc.s"] {
        let logs = dir.path().join(format!("of-{name}"));
        fs::create_dir(&logs).unwrap();
        fs::write(logs.join("current"), "").unwrap();
        let link = logs.join(name);
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        if std::os::unix::fs::lchown(&link, Some(65534), None).is_ok() {
            let refused = tail_of_log(&at(&logs), None).unwrap_err().to_string();
            assert!(refused.contains("a link that neither root"), "{refused}");
        }
        fs::remove_file(&link).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &link, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        assert!(tail_of_log(&at(&logs), None).is_err(), "a pipe would block");
    }
}

#[test]
fn labels_are_shown_as_times() {
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let table = [
        // 2^62 + 10 + 1 772 330 400 s.
        ("@4000000069a39daa0ee6b280 it ends", "2026-03-01 03:00:00.250 it ends"),
        ("@4000000069a39daa0ee6b280", "@4000000069a39daa0ee6b280"),
        ("@4000000069a39daa0ee6b28 x", "@4000000069a39daa0ee6b28 x"),
        ("@4000000069a39daaffffffff x", "@4000000069a39daaffffffff x"),
        ("@ffffffffffffffff00000000 x", "@ffffffffffffffff00000000 x"),
        ("@0000000000000000000000000 x", "@0000000000000000000000000 x"),
        ("@400000006affb893ä9f873bc ä", "@400000006affb893ä9f873bc ä"),
        ("2026-03-01 it ends", "2026-03-01 it ends"),
        ("", ""),
    ];
    for (line, shown) in table {
        assert_eq!(with_time(line.to_owned(), &zone), shown);
    }
}

/// A journal made for the test, by Debian's systemd-journal-remote where that is there.
#[test]
fn the_journal_is_asked_for_a_unit_or_a_process() {
    let dir = tempfile::tempdir().unwrap();
    let remote = Path::new("/lib/systemd/systemd-journal-remote");
    if !remote.exists() {
        return eprintln!("not tried: it needs systemd-journal-remote");
    }
    let boot = crate::sys::proc::boot_id().unwrap().replace('-', "");
    let entry = |i: u64, message: &str, pid: u32| {
        format!(
            "__CURSOR=\n__REALTIME_TIMESTAMP={}\n__MONOTONIC_TIMESTAMP={}\n_BOOT_ID={boot}\n_PID={pid}\n_UID=0\n\
             _SYSTEMD_UNIT=web.service\nMESSAGE={message}\n\n",
            1_772_330_400_000_000 + i,
            1_000_000 + i
        )
    };
    let text: String = (0..30).map(|i| entry(i, &format!("line {i}"), 812)).collect();
    let export = dir.path().join("export");
    fs::write(&export, text + &entry(31, "of another", 813)).unwrap();
    let journal = dir.path().join("a.journal");
    let (out, from) = (format!("--output={}", journal.display()), export.display().to_string());
    let argv = [remote.to_str().unwrap(), &out, &from].map(str::to_owned);
    let environment = User::current().environment([]);
    let program =
        Program { argv: &argv, environment: &environment, user: None, directory: Path::new("/"), umask: 0o022 };
    let ran = run::run(&program, None, Duration::from_secs(20)).unwrap();
    assert_eq!(ran.status, Some(0), "{}", String::from_utf8_lossy(&ran.output));
    let file = format!("--file={}", journal.display());
    let of = |unit, pid| of_journal(unit, Some(Identity { pid, start: 1 }), &[&file]).unwrap();
    assert_eq!(of(None, 813), ["of another"]);
    let lines = of(None, 812);
    assert_eq!((lines.len(), lines[0].as_str()), (20, "line 10"));
    assert_eq!(of(Some("web.service"), 1).last().unwrap(), "of another");
    assert!(of(Some("other.service"), 1).is_empty());
    assert!(of_journal(None, None, &[]).is_err());
    let why = of_journal(None, Some(Identity { pid: 1, start: 1 }), &["--file=/none/such"]).unwrap_err().to_string();
    assert!(why.starts_with("journalctl failed: "), "{why}");
}
