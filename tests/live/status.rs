//! The page for the public, at a listener of its own, of the real daemon.

use super::SOON;
use super::support::{Minder, free_port, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

fn ask(port: u16, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return String::new() };
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: status.example.org\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_public_reads_what_was_written_for_it_of_an_outage_that_is_over() {
    let (mut minder, port) = (Minder::new(), free_port());
    let flag = minder.dir().join("well");
    std::fs::write(&flag, "").unwrap();
    minder.write(&format!(
        "services:\n  inner-7:\n    public: {{ name: Web shop }}\n    checks:\n      - file: {}\n        every: 100ms\n    \
         rules:\n      - {{ when: file.missing, severity: critical, then: [notify] }}\n",
        flag.display()
    ));
    let file = minder.rules().join("rules.yaml");
    let rules = std::fs::read_to_string(&file).unwrap();
    let status = format!("\", status: {{ listen: \"0.0.0.0:{port}\", title: Ours }} }}\n");
    std::fs::write(&file, rules.replacen("\" }\n", &status, 1)).unwrap();
    minder.start();
    minder.wait_status("inner-7", "ok", SOON);
    wait_until("the page says so", SOON, || ask(port, "/").contains("Web shop is operational"));
    assert!(ask(port, "/api/v1/status").starts_with("HTTP/1.1 404"));
    assert!(minder.page("/status").contains("Web shop is operational"), "the page has it, too");

    std::fs::remove_file(&flag).unwrap();
    minder.wait_status("inner-7", "critical", SOON);
    wait_until("the page says so", SOON, || ask(port, "/badges/web-shop/status.svg").contains("Web shop: down"));
    std::fs::write(&flag, "").unwrap();
    minder.wait_status("inner-7", "ok", SOON);
    // It is over, and is written about all the same: by its service, and by its number.
    minder.ok(&["write", "inner-7", "A file was missing; it is back.", "--public"]);
    let incidents = minder.page("/api/v1/incidents");
    let incidents: serde_json::Value = serde_json::from_str(incidents.split_once("\r\n\r\n").unwrap().1).unwrap();
    let id = incidents[0]["id"].as_u64().unwrap();
    minder.ok(&["write", &id.to_string(), "rm was run on host db7"]);
    assert!(minder.any(&["write", "999", "hello"]).contains("minder has no incident 999"));
    assert!(minder.any(&["write", &id.to_string(), " "]).contains("nothing was written"));
    wait_until("the page tells it", SOON, || {
        let page = ask(port, "/");
        page.contains("Web shop was down") && page.contains("A file was missing; it is back.")
    });
    let all = ["/", "/feed.atom", "/status.json"].map(|path| ask(port, path)).concat();
    for inner in ["inner-7", "db7", "file.missing", "notify"] {
        assert!(!all.contains(inner), "{inner} is shown: {all}");
    }
    let json = ask(port, "/status.json");
    let json: serde_json::Value = serde_json::from_str(json.split_once("\r\n\r\n").unwrap().1).unwrap();
    let day = &json["services"][0]["uptime"]["24h"];
    let (known, percent) = (day["known"].as_u64().unwrap(), day["percent"].as_f64().unwrap());
    assert!(known < 120, "before it was watched nothing is known: {day}");
    assert!(percent > 0.0 && percent < 100.0, "{day}");
}
