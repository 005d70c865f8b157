//! What watches others.

use super::Try;

#[test]
fn node_exporter() {
    Try::of("node-exporter").run();
}
