//! The Debian package: it brings what it should, works, and leaves nothing behind.

use super::support::tool;
use super::well_on_a_machine;
use std::path::Path;
use std::process::Command;

#[test]
fn it_installs_works_and_leaves_nothing_behind() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = format!("{}:{}", tool("cargo/bin").display(), std::env::var("PATH").unwrap());
    let program = env!("CARGO_BIN_EXE_minder");
    let made = Command::new(root.join("dist/package")).arg(program).env("PATH", path).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let package = String::from_utf8_lossy(&made.stdout).lines().last().unwrap().to_owned();
    let package = root.join(package.trim());
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(&package, dir.path().join("minder.deb")).unwrap();
    let text = well_on_a_machine(
        dir.path(),
        r#"
ours() { (cd $ROOM; find etc usr var run -name '*minder*' 2>/dev/null | grep -v '^var/lib/dpkg\|^var/cache\|^var/log/dpkg' || true); }
rm -rf /etc/minder
dpkg -i minder.deb >/dev/null 2>log || { cat log; exit 1; }
minder --version
minder validate /etc/minder >/dev/null
cat >/etc/minder/redis.yaml <<'YAML'
version: 1
include: [/usr/share/minder/library/redis.yaml]
services:
  redis: { use: redis }
YAML
minder validate /etc/minder >/dev/null
rm /etc/minder/redis.yaml
for file in man/man1/minder.1.gz man/man1/minder-status.1.gz bash-completion/completions/minder doc/minder/copyright \
    zsh/vendor-completions/_minder fish/vendor_completions.d/minder.fish minder/schema.json doc/minder/rules.md; do
    [ -s /usr/share/$file ] || { echo "missing: $file"; exit 1; }
done
grep -q '^ExecStart=/usr/bin/minder run /etc/minder' /usr/lib/systemd/system/minder.service
bash -c '. /usr/share/bash-completion/completions/minder; complete -p minder' >/dev/null
# It does its work as it was installed.
mkdir -p /etc/service
ln -s /etc/sv/minder /etc/service/
runsv /etc/service/minder & runsv=$!
soon sv check minder
# What an admin has changed stays when the package goes, and goes when it is purged.
echo '# mine' >>/etc/minder/minder.yaml
dpkg -r minder >/dev/null 2>log || { cat log; exit 1; }
[ ! -e /usr/bin/minder ]
[ ! -e /etc/service/minder ]
grep -q '# mine' /etc/minder/minder.yaml
kill $runsv 2>/dev/null; wait $runsv 2>/dev/null || true
dpkg -P minder >/dev/null 2>log || { cat log; exit 1; }
for left in $(ours); do [ ! -e /$left ] || [ -c $ROOM/$left ] || echo "left: $left"; done
"#,
    );
    assert!(!text.contains("left:"), "{text}");
}
