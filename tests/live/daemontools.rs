//! minder beside daemontools.

use super::supervised::Scene;

#[test]
fn a_service_gets_restarted_when_its_probe_fails() {
    Scene::new("supervise").gets_restarted_when_its_probe_fails();
}

#[test]
fn what_its_operator_took_down_stays_down() {
    Scene::new("supervise").stays_down_when_its_operator_took_it_down();
}

#[test]
fn a_supervisor_that_is_gone_is_told() {
    Scene::new("supervise").says_that_its_supervisor_is_gone();
}

#[test]
fn a_crash_loop_is_told_once() {
    Scene::tells_a_crash_loop_once("supervise");
}
