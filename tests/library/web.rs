//! Web servers, proxies, and what runs applications.

use super::Try;

#[test]
fn nginx() {
    Try::of("nginx").run();
}
