//! Names, time, logins, files, and the small daemons of every machine.

use super::Try;

#[test]
fn sshd() {
    Try::of("sshd").run();
}

#[test]
fn slapd() {
    Try::of("slapd").run();
}

#[test]
fn fail2ban() {
    Try::of("fail2ban").prepare("touch /var/log/auth.log").run();
}

#[test]
fn cron() {
    // Without the jobs of this machine.
    Try::of("cron").prepare("rm -rf /etc/crontab /etc/cron.d /var/spool/cron/crontabs").mute().run();
}

#[test]
fn rsyslog() {
    // What this machine's programs and kernel say is not for it.
    let prepare = "sed -i -e '/imklog/d' -e 's|load=\"imuxsock\"|& SysSock.Name=\"/run/log\"|' /etc/rsyslog.conf";
    Try::of("rsyslog").prepare(prepare).command("start: [/usr/sbin/rsyslogd, -n, -iNONE]").mute().run();
}

/// The clock of the machine is everybody's: `-x` leaves it alone. Another one plays the server out there.
#[test]
fn chrony() {
    let prepare = r#"
printf 'local stratum 8\nallow 127.0.0.1\nport 1123\ncmdport 0\nbindcmdaddress /\npidfile /run/net.pid\n' >/etc/chrony/net
chronyd -x -u root -f /etc/chrony/net
echo 'server 127.0.0.1 port 1123 iburst minpoll 0 maxpoll 0' >/etc/chrony/conf.d/net.conf
echo 'DAEMON_OPTS="-F 1 -x"' >/etc/default/chrony
"#;
    Try::of("chrony").prepare(prepare).run();
}

/// No machine answers on the net of a test: a name that it knows itself stands for what it would find.
const KNOWN: &str = "question: localhost";

#[test]
fn unbound() {
    Try::of("unbound").with(KNOWN).run();
}

#[test]
fn dnsmasq() {
    Try::of("dnsmasq").with(KNOWN).run();
}

#[test]
fn bind9() {
    Try::of("bind9").with(KNOWN).run();
}

#[test]
fn nsd() {
    Try::of("nsd").run();
}

#[test]
fn vsftpd() {
    Try::of("vsftpd").run();
}

#[test]
fn rsyncd() {
    let prepare = "echo RSYNC_ENABLE=true >/etc/default/rsync\nprintf '[files]\\npath = /srv\\n' >/etc/rsyncd.conf";
    Try::of("rsyncd").prepare(prepare).run();
}

#[test]
fn git_daemon() {
    let prepare = "sed -i s/ENABLE=false/ENABLE=true/ /etc/default/git-daemon";
    Try::of("git-daemon").prepare(prepare).command("start: [/usr/sbin/service, git-daemon, start]").run();
}

#[test]
fn samba() {
    Try::of("samba").run();
}

#[test]
fn cups() {
    Try::of("cups").run();
}
