//! What `minder install` writes, under the supervisor that it is for.

use super::well_on_a_machine;

/// The rules of these machines: nothing but the machine itself, and its page nowhere near another's.
const RULES: &str = r#"
install -m 755 $ROOM/minder /usr/local/bin/minder
mkdir -p /etc/minder /etc/service
cat >/etc/minder/minder.yaml <<'YAML'
version: 1
services:
  machine:
    checks: [{ system: { } }]
    rules: [system.cpu > 99% for 1h -> notify]
YAML
answers() { local code=0; minder status >/dev/null 2>&1 || code=$?; [ $code -le 1 ]; }
quiet() { local code=0; minder status >/dev/null 2>&1 || code=$?; [ $code = 3 ]; }
"#;

#[test]
fn under_runit_it_is_supervised_checked_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    let text = well_on_a_machine(
        dir.path(),
        &format!(
            r#"{RULES}
minder install --runit
ln -s /etc/sv/minder /etc/service/
runsv /etc/service/minder & runsv=$!
soon sv check minder
soon answers
soon grep -q watches /var/log/minder/current
# It is killed: runsv starts it again.
old=$(cat /etc/service/minder/supervise/pid)
another() {{ local new; new=$(cat /etc/service/minder/supervise/pid); [ -n "$new" ] && [ "$new" != "$old" ]; }}
kill -9 "$old"
soon another
soon answers
# It ends on TERM, and well.
sv -w 8 down minder
quiet
kill $runsv
wait $runsv || true
# With a mistake in the rules it is not started over and over, and the log says why.
echo 'services: [' >>/etc/minder/minder.yaml
runsv /etc/service/minder & runsv=$!
soon grep -q 'ended with code 1' /var/log/minder/current
kill $runsv
"#
        ),
    );
    assert!(text.is_empty() || text.contains("wrote /etc/sv/minder/run"), "{text}");
}

#[test]
fn under_s6_it_is_supervised_and_logged() {
    let dir = tempfile::tempdir().unwrap();
    well_on_a_machine(
        dir.path(),
        &format!(
            r#"{RULES}
minder install --s6 --to /run/sv
mkdir /run/service
ln -s /run/sv/minder /run/service/
s6-svscan /run/service & svscan=$!
soon answers
soon grep -q watches /var/log/minder/current
old=$(s6-svstat -o pid /run/service/minder)
another() {{ local new; new=$(s6-svstat -o pid /run/service/minder); [ "$new" -gt 0 ] && [ "$new" != "$old" ]; }}
kill -9 "$old"
soon another
soon answers
s6-svc -wD -T 8000 -d /run/service/minder
quiet
s6-svscanctl -t /run/service
wait $svscan || true
"#
        ),
    );
}

#[test]
fn the_init_script_keeps_to_its_codes() {
    let dir = tempfile::tempdir().unwrap();
    well_on_a_machine(
        dir.path(),
        &format!(
            r#"{RULES}
code() {{ local expected=$1; shift; set +e; "$@" >/dev/null; local code=$?; set -e; [ $code = $expected ] || {{ echo "$*: $code"; exit 1; }}; }}
minder install --sysv
s=/etc/init.d/minder
code 3 $s status
code 0 $s stop
code 0 $s start
answers
code 0 $s status
code 0 $s start
code 0 $s reload
code 0 $s restart
answers
kill -9 "$(cat /run/minder.pid)"
soon quiet
code 1 $s status
code 0 $s start
code 0 $s stop
quiet
code 3 $s status
code 2 $s nonsense
echo 'services: [' >>/etc/minder/minder.yaml
code 6 $s start
"#
        ),
    );
}

#[test]
fn nothing_that_is_there_is_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let text = well_on_a_machine(
        dir.path(),
        r#"
$ROOM/minder install --systemd --to there
$ROOM/minder install --systemd --to there | grep -q 'is there already: there/minder.service'
grep -q "ExecStart=$ROOM/minder run" there/minder.service
echo '# mine' >>there/minder.service
$ROOM/minder install --systemd --to elsewhere >said
if grep -q 'others can replace' said; then exit 1; fi
cp $ROOM/minder $ROOM/theirs
chown 65534 $ROOM/theirs
$ROOM/theirs install --runit --to elsewhere | grep -q 'root would run what others can replace'
cp $ROOM/minder "$ROOM/a b"
if "$ROOM/a b" install --sysv --to elsewhere 2>said; then exit 1; fi
grep -q 'cannot stand in a script' said
rm "$ROOM/a b" $ROOM/theirs
! $ROOM/minder install --systemd --to there 2>error
cat error
tail -n 1 there/minder.service
"#,
    );
    if !text.is_empty() {
        assert!(text.contains("there/minder.service is there already, and differs; nothing was written"), "{text}");
        assert!(text.ends_with("# mine\n"), "{text}");
    }
}
