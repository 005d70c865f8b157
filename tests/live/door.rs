//! The page of a real minder, as programs see it: encrypted, measured, and ready when it is.

use super::support::{Minder, wait_until};
use super::{SOON, daemon};
use rcgen::{CertificateParams, KeyPair};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// What `curl` gets from the page; whatever its certificate, since it vouches for itself.
fn curl(minder: &Minder, scheme: &str, path: &str) -> String {
    let url = format!("{scheme}://127.0.0.1:{}{path}", minder.port);
    let output = Command::new("curl").args(["--silent", "--insecure", "--max-time", "5", &url]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The value of a line of `/metrics`.
fn value(text: &str, line: &str) -> Option<f64> {
    text.lines().find_map(|its| its.strip_prefix(line)?.trim().parse().ok())
}

#[test]
fn it_is_encrypted_and_says_how_everything_fares() {
    let mut minder = Minder::new();
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
    let path = |name: &str| minder.dir().join(name);
    std::fs::write(path("page.pem"), certificate.pem()).unwrap();
    std::fs::write(path("page.key"), key.serialize_pem()).unwrap();
    std::fs::set_permissions(path("page.key"), std::fs::Permissions::from_mode(0o644)).unwrap();
    let rules = |listen: &str, services: &str| {
        let tls = format!("{{ certificate: {}, key: {} }}", path("page.pem").display(), path("page.key").display());
        let page = format!("dashboard: {{ listen: \"{listen}:{}\", tls: {tls} }}", minder.port);
        let text = format!("version: 1\nboot_grace: 0s\n{page}\nservices:\n{services}");
        std::fs::write(minder.rules().join("rules.yaml"), text).unwrap();
    };
    let app = format!(
        "  app:
    control: {{ command: {{ start: {} }} }}
    checks: [{{ process: {{ pidfile: {}/app/pid }}, every: 200ms }}, {{ system: {{}} }}]
    rules: [process.down -> restart]
",
        daemon(&path("app"), "well"),
        minder.dir().display(),
    );
    rules("127.0.0.1", &app);

    // Everybody could read the key: minder says so, and does not start.
    let refused = minder.daemon_command().output().unwrap();
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        !refused.status.success() && said.contains("cannot encrypt the page: ") && said.contains("chmod o="),
        "{said}"
    );
    std::fs::set_permissions(path("page.key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let rules_of_app = std::fs::read_to_string(minder.rules().join("rules.yaml")).unwrap();

    minder.start_blind();
    wait_until("it is ready", SOON, || curl(&minder, "https", "/readyz").contains("\"ok\":true"));
    assert!(curl(&minder, "http", "/").contains("write https://"));
    let line = "minder_service_restarts_total{service=\"app\"}";
    wait_until("the restart is counted", SOON, || value(&curl(&minder, "https", "/metrics"), line) == Some(1.0));
    let lives = "namedprocess_namegroup_num_procs{groupname=\"app\",check=\"process\"}";
    wait_until("it lives", SOON, || value(&curl(&minder, "https", "/metrics"), lives) == Some(1.0));
    let text = curl(&minder, "https", "/metrics");
    assert!(value(&text, "minder_samples_total").is_some_and(|samples| samples > 2.0), "{text}");
    assert!(value(&text, "minder_loop_busy_seconds_total").is_some_and(|busy| busy > 0.0), "{text}");
    assert_eq!(value(&text, "minder_store_trouble"), Some(0.0));

    // Where the page is, and how it is encrypted, stays so until the next start.
    let moved =
        rules_of_app.replace(&format!("127.0.0.1:{}", minder.port), "127.0.0.2:1").replace("page.pem", "other.pem");
    std::fs::write(minder.rules().join("rules.yaml"), moved).unwrap();
    let said = minder.ok(&["reload"]);
    assert!(said.contains("the page moves") && said.contains("how the page is encrypted changes"), "{said}");
    assert!(curl(&minder, "https", "/healthz").contains("\"ok\":true"));
}
