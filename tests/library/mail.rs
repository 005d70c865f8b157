//! Mail, and what belongs to it.

use super::Try;

#[test]
fn postfix() {
    Try::of("postfix").run();
}

#[test]
fn dovecot() {
    Try::of("dovecot").run();
}

#[test]
fn opendkim() {
    Try::of("opendkim").run();
}

#[test]
fn rspamd() {
    Try::of("rspamd").run();
}
