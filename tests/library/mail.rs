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
    // What it does first otherwise: ask the net who knows spam, and compile its patterns.
    let prepare = "echo 'enabled = false;' >/etc/rspamd/local.d/fuzzy_check.conf\n\
                   echo 'disable_hyperscan = true;' >/etc/rspamd/local.d/options.inc";
    Try::of("rspamd").prepare(prepare).run();
}
