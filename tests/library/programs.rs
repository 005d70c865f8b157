//! What runs programs of other people: PHP-FPM, Java, scripts, supervisors.

use super::Try;

#[test]
fn php_fpm() {
    Try::of("php-fpm").run();
}

const TOMCAT: &str = "start: { command: [/bin/sh, /usr/libexec/tomcat10/tomcat-start.sh], timeout: 1m }, user: tomcat, \
    environment: { CATALINA_HOME: /usr/share/tomcat10, CATALINA_BASE: /var/lib/tomcat10, CATALINA_TMPDIR: /tmp, \
    JAVA_OPTS: '-Djava.awt.headless=true -XX:TieredStopAtLevel=1' }";

#[test]
fn tomcat() {
    Try::of("tomcat").command(TOMCAT).run();
}

/// As any other Java program.
#[test]
fn java_service() {
    let with = "unit: tomcat10, match: ' org\\.apache\\.catalina\\.startup\\.Bootstrap start$', user: tomcat, \
        url: 'http://127.0.0.1:8080/'";
    Try::of("java-service").with(with).command(TOMCAT).run();
}

/// nginx, as any other application with a pidfile and a page.
#[test]
fn web_app() {
    Try::of("web-app").with("unit: nginx, pidfile: /run/nginx.pid, user: root, url: 'http://127.0.0.1/'").run();
}

const SCRIPT: &str = r"cat >/var/lib/beat <<'END'
#!/bin/sh
while :; do date >/var/lib/pulse; sleep 0.2; done
END
chmod 755 /var/lib/beat";

#[test]
fn script_daemon() {
    let with = "script: /var/lib/beat, user: root, pulse: /var/lib/pulse, quiet: 3s";
    Try::of("script-daemon").prepare(SCRIPT).with(with).run();
}

const SUPERVISOR: &str = r"mkdir -p /etc/service/app
printf '#!/bin/sh\nexec sleep 54321\n' >/etc/service/app/run
chmod 755 /etc/service/app/run
runsv /etc/service/app &
while ! sv check /etc/service/app >/dev/null 2>&1; do sleep 0.1; done";

#[test]
fn runit_service() {
    Try::of("runit-service").prepare(SUPERVISOR).with("service: app").mute().run();
}
