//! Monitoring plugins: their word and their performance data are judged as anything else.

use super::SOON;
use super::support::{Minder, wait_until};

#[test]
fn a_plugins_performance_value_fires_a_rule() {
    let mut minder = Minder::new();
    let file = minder.dir().join("dump");
    std::fs::write(&file, "small").unwrap();
    minder.write(&format!(
        r#"
services:
  backup:
    checks:
      - program:
          command: [/usr/lib/nagios/plugins/check_file_age, -w, "100000", -c, "200000", -f, {file}]
          nagios: true
        name: dump
        every: 500ms
    rules:
      - dump.critical -> notify
      - dump.perf.size > 1kB -> notify
"#,
        file = file.display()
    ));
    minder.start();
    let well = minder.wait_status("backup", "ok", SOON);
    let seen = || minder.service("backup").unwrap()["checks"][0].to_string();
    assert!(seen().contains("FILE_AGE OK"), "what the plugin says is shown: {well:#}");
    std::fs::write(&file, vec![b'x'; 2000]).unwrap();
    minder.wait_status("backup", "warning", SOON);
    let history = minder.history();
    assert!(history.contains("dump.perf.size 2 kB"), "{history}");
    let samples = minder.ok(&["history", "backup", "--check", "dump", "--csv"]);
    assert!(samples.lines().next().unwrap().contains("perf.size") && samples.contains(",2000"), "{samples}");
    std::fs::remove_file(&file).unwrap();
    minder.wait_status("backup", "warning", SOON);
    wait_until("the other rule fires", SOON, || minder.history().contains("dump.critical"));
    std::fs::write(&file, "small").unwrap();
    minder.wait_status("backup", "ok", SOON);
}
