//! FTP, rsync, git.

use super::*;

#[test]
fn ftp() {
    let place = Place::new();
    let (cert, key) = place.certificate();
    let (port, tls) = (free_port(), free_port());
    place.folder("root");
    place.folder("empty");
    let conf = |place: &Place, name: &str, more: &str| {
        let text = format!(
            "listen=YES\nlisten_address=127.0.0.1\nbackground=NO\nanonymous_enable=YES\nlocal_enable=NO\nanon_root={}\n\
             secure_chroot_dir={}\nnopriv_user=nobody\nftp_username=ftp\nseccomp_sandbox=NO\nisolate=NO\n\
             isolate_network=NO\n{more}",
            place.text("root"),
            place.text("empty"),
        );
        place.write(name, &text)
    };
    let plain = conf(&place, "plain.conf", &format!("listen_port={port}\n"));
    let secured = format!(
        "listen_port={tls}\nssl_enable=YES\nimplicit_ssl=YES\nallow_anon_ssl=YES\nssl_ciphers=HIGH\nrsa_cert_file={}\n\
         rsa_private_key_file={}\n",
        cert.display(),
        key.display()
    );
    let secured = conf(&place, "tls.conf", &secured);
    let server = Server::start(place, Command::new("vsftpd").arg(plain), port);
    let seen = ask(&format!("name: ftp, address: '127.0.0.1:{port}'")).well();
    assert!(seen.version().is_some_and(|version| version.starts_with("vsFTPd 3.")), "{seen:?}");
    let login = |user: &str| format!("user: {user}, password: {{ env: PASSWORD }}");
    ask(&format!("name: ftp, address: '127.0.0.1:{port}', {}", login("anonymous"))).well();
    ask(&format!("name: ftp, address: '127.0.0.1:{port}', {}", login("root"))).failed("it answered: 530");

    let place = Place::new();
    fs::copy(server.place.at("tls.pem"), place.at("tls.pem")).unwrap();
    let second = Server::start(place, Command::new("vsftpd").arg(secured), tls);
    let seen = ask(&format!("name: ftp, address: '127.0.0.1:{tls}', {}", second.place.tls())).well();
    assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
}

#[test]
fn rsync() {
    let (place, port) = (Place::new(), free_port());
    let conf = format!(
        "use chroot = no\nmax connections = 1\nlock file = {}\nlog file = {}\n[files]\npath = {}\n",
        place.text("lock"),
        place.text("rsync.log"),
        place.folder("files").display()
    );
    let conf = place.write("rsyncd.conf", &conf);
    let mut command = Command::new("rsync");
    command.args(["--daemon", "--no-detach", "--address", "127.0.0.1", "--port", &port.to_string(), "--config"]);
    let server = Server::start(place, command.arg(conf), port);
    let seen = ask(&format!("name: rsync, address: '127.0.0.1:{port}'")).well();
    assert!(seen.version().is_some_and(|version| version.starts_with("3")), "{seen:?}");
    let log = || fs::read_to_string(server.place.at("rsync.log")).unwrap();
    wait_until("it notes what was asked", STARTED, || log().contains("module-list request"));
    assert!(!log().contains("error"), "{}", log());
}

#[test]
fn git() {
    let (place, port) = (Place::new(), free_port());
    let work = place.folder("repositories/one");
    let git = || {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main", "-C"])
            .arg(&work);
        git.env("HOME", place.path()).env("GIT_CONFIG_NOSYSTEM", "1");
        git
    };
    run(git().arg("init").arg("-q"));
    run(git().args(["commit", "-q", "--allow-empty", "-m", "One"]));
    run(Command::new("git").args(["init", "-q", "--bare"]).arg(place.at("repositories/empty")));
    let mut command = Command::new("git");
    command.args(["daemon", "--listen=127.0.0.1", "--reuseaddr", "--export-all", "--verbose"]);
    command.arg(format!("--port={port}")).arg(format!("--base-path={}", place.text("repositories")));
    let address = format!("name: git, address: '127.0.0.1:{port}'");
    let listens = |_: &Place| !ask(&address).note().contains("connection refused");
    let server = Server::start_until(place, &mut command, listens);
    let version = run(Command::new("git").arg("--version"));
    let seen = ask(&format!("{address}, path: /one")).well();
    let said = seen.version().unwrap().trim_start_matches("git/").split(['-', '+']).next().unwrap();
    assert!(version.contains(said), "{version} {seen:?}");
    ask(&format!("{address}, path: /empty")).well();
    ask(&address).well();
    ask(&format!("{address}, path: /two")).failed("it answered: access denied or repository not exported: /two");
    assert!(!server.log().contains("hung up"), "{}", server.log());
}
