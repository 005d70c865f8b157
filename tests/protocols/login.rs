//! SSH and LDAP.

use super::*;
use std::io::Read;

#[test]
fn ssh() {
    let (place, port) = (Place::new(), free_port());
    run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(place.at("key")));
    let conf = format!(
        "ListenAddress 127.0.0.1\nPort {port}\nHostKey {}\nPidFile none\nUsePAM no\nMaxStartups 1:100:1\n",
        place.text("key")
    );
    let conf = place.write("sshd_config", &conf);
    if is_root() {
        // Where it holds its children; Debian's service makes it, too.
        fs::create_dir_all("/run/sshd").unwrap();
    }
    let server = Server::start(place, Command::new("/usr/sbin/sshd").args(["-D", "-e", "-f"]).arg(conf), port);
    let address = format!("name: ssh, address: '127.0.0.1:{port}'");
    let seen = wait_for(
        || "the first connection is gone".to_owned(),
        STARTED,
        || Some(ask(&address)).filter(|seen| seen.note().is_empty()),
    );
    let seen = seen.well();
    assert!(seen.version().unwrap().starts_with("OpenSSH_"), "{seen:?}");
    wait_until("it notes our goodbye", STARTED, || server.log().contains("Received disconnect from 127.0.0.1"));
    // One that says nothing is in the only place, once that is free.
    let silent = || {
        let mut silent = TcpStream::connect(("127.0.0.1", port)).ok()?;
        let mut greeting = [0; 4];
        silent.read_exact(&mut greeting).ok()?;
        (&greeting == b"SSH-").then_some(silent)
    };
    let _silent = wait_for(|| "one is let in".to_owned(), STARTED, silent);
    ask(&address).failed("");
}

#[test]
fn ldap() {
    let place = Place::new();
    let (cert, key) = place.certificate();
    let (port, tls) = (free_port(), free_port());
    let conf = |place: &Place, more: &str| {
        format!(
            "include /etc/ldap/schema/core.schema\nmodulepath /usr/lib/ldap\nmoduleload back_mdb\npidfile {}\n\
             TLSCertificateFile {}\nTLSCertificateKeyFile {}\n{more}\ndatabase mdb\nsuffix \"dc=example,dc=org\"\n\
             rootdn \"cn=admin,dc=example,dc=org\"\nrootpw {PASSWORD}\ndirectory {}\n",
            place.text("pid"),
            cert.display(),
            key.display(),
            place.folder("data").display(),
        )
    };
    let path = place.write("slapd.conf", &conf(&place, "disallow bind_anon"));
    let socket = place.text("socket");
    let urls = format!("ldap://127.0.0.1:{port} ldaps://127.0.0.1:{tls} ldapi://{}", socket.replace('/', "%2f"));
    let mut command = Command::new("/usr/sbin/slapd");
    let server = Server::start(place, command.arg("-f").arg(path).args(["-h", &urls, "-d", "stats"]), tls);
    let login = "user: 'cn=admin,dc=example,dc=org', password: { env: PASSWORD }";
    ask(&format!("name: ldap, address: '127.0.0.1:{port}'")).well();
    ask(&format!("name: ldap, address: '127.0.0.1:{port}', {login}")).well();
    ask(&format!("name: ldap, unix: {socket}, {login}")).well();
    ask(&format!("name: ldap, address: '127.0.0.1:{tls}', {login}, {}", server.place.tls())).well();
    ask(&format!(
        "name: ldap, address: '127.0.0.1:{port}', user: 'cn=other,dc=example,dc=org', password: {{ env: PASSWORD }}"
    ))
    .failed("it answered: error 49: invalid credentials");
    wait_until("it notes our goodbye", STARTED, || server.log().matches("UNBIND").count() >= 4);
}
