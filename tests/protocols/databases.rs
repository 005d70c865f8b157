//! Redis, memcached, PostgreSQL, MariaDB, MongoDB.

use super::*;
use std::io::Read;
use support::tool;

#[test]
fn redis() {
    let place = Place::new();
    let (cert, key) = place.certificate();
    let (port, tls) = (free_port(), free_port());
    let socket = place.text("socket");
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--tls-port", &tls.to_string(), "--bind", "127.0.0.1", "--save", ""]);
    command.args(["--requirepass", PASSWORD, "--unixsocket", &socket, "--tls-auth-clients", "no"]);
    command.arg("--tls-cert-file").arg(&cert).arg("--tls-key-file").arg(key).arg("--tls-ca-cert-file").arg(cert);
    let server = Server::start(place, &mut command, tls);

    let version = run(Command::new("redis-server").arg("--version"));
    let login = "password: { env: PASSWORD }";
    let seen = ask(&format!("name: redis, address: '127.0.0.1:{port}', {login}")).well();
    assert!(version.contains(&format!("v={} ", seen.version().unwrap())), "{version} {seen:?}");
    assert_eq!(seen.reading("cert.expires"), &Reading::Absent);
    // It answers, if only that we may not ask.
    let seen = ask(&format!("name: redis, address: '127.0.0.1:{port}'")).well();
    assert_eq!(seen.version(), None);
    ask(&format!("name: redis, unix: {socket}, {login}")).well();
    let seen = ask(&format!("name: redis, address: '127.0.0.1:{tls}', {login}, {}", server.place.tls())).well();
    assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
    ask(&format!("name: redis, address: '127.0.0.1:{port}', user: nobody, {login}")).failed("it answered: WRONGPASS");
    ask(&format!("name: redis, address: '127.0.0.1:{tls}', {login}")).failed("the connection was");
}

/// Alive, connected to by everybody, and of no use.
#[test]
fn a_redis_without_its_master() {
    let port = free_port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--replicaof", "127.0.0.1", "1"]);
    let _server = Server::start(Place::new(), command.args(["--replica-serve-stale-data", "no"]), port);
    ask(&format!("name: redis, address: '127.0.0.1:{port}'")).failed("it answered: MASTERDOWN");
}

#[test]
fn memcached() {
    let port = free_port();
    let mut command = Command::new("memcached");
    command.args(["-l", "127.0.0.1", "-U", "0", "-m", "8", "-u", "nobody", "-p", &port.to_string()]);
    let _server = Server::start(Place::new(), &mut command, port);
    let seen = ask(&format!("name: memcached, address: '127.0.0.1:{port}'")).well();
    let version = run(Command::new("memcached").arg("--version"));
    assert_eq!(version.trim(), format!("memcached {}", seen.version().unwrap()));
    ask(&format!("name: redis, address: '127.0.0.1:{port}'")).failed("it does not answer as redis does: ERROR");
}

/// Where Debian has the newest version.
fn postgresql_programs() -> PathBuf {
    let mut found: Vec<_> = fs::read_dir("/usr/lib/postgresql").unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found.pop().unwrap().join("bin")
}

#[test]
fn postgresql() {
    let (place, programs, port) = (Place::new(), postgresql_programs(), free_port());
    let (cert, key) = place.certificate();
    let (data, run_dir) = (place.folder("data"), place.folder("run"));
    [&data, &run_dir, &cert, &key].iter().for_each(|path| give("postgres", path));
    let mut initdb = as_user("postgres", &programs.join("initdb"));
    run(initdb.arg("-D").arg(&data).args(["-U", "owner", "--no-sync", "-A", "trust"]));
    let rules = "local all all trust\nhost all plain all password\nhost all old all md5\nhost all open all trust\n\
                 host all all all scram-sha-256\n";
    fs::write(data.join("pg_hba.conf"), rules).unwrap();
    let mut command = as_user("postgres", &programs.join("postgres"));
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-F", "-p", &port.to_string(), "-k"]).arg(&run_dir);
    command.args(["-c", "ssl=on", "-c", "log_connections=off", "-c"]).arg(format!("ssl_cert_file={}", cert.display()));
    command.arg("-c").arg(format!("ssl_key_file={}", key.display()));
    let socket = run_dir.join(format!(".s.PGSQL.{port}"));
    let ready = |_: &Place| TcpStream::connect(("127.0.0.1", port)).is_ok() && socket.exists();
    let mut server = Server::start_until(place, &mut command, ready);

    let psql = |query: &str| {
        let mut psql = Command::new(programs.join("psql"));
        psql.arg("-h").arg(&run_dir).args(["-p", &port.to_string(), "-U", "owner", "-Atc", query, "postgres"]);
        run(&mut psql).trim().to_owned()
    };
    wait_until("it is up", STARTED, || ask(&format!("name: postgresql, unix: {}", socket.display())).note().is_empty());
    psql(&format!("CREATE ROLE scram LOGIN PASSWORD '{PASSWORD}'"));
    psql(&format!("CREATE ROLE plain LOGIN PASSWORD '{PASSWORD}'"));
    psql(&format!("SET password_encryption = md5; CREATE ROLE old LOGIN PASSWORD '{PASSWORD}'"));
    psql("CREATE ROLE open LOGIN");
    let before = server.log();

    let version = psql("SHOW server_version");
    let address = format!("name: postgresql, address: '127.0.0.1:{port}'");
    for user in ["scram", "plain", "old"] {
        let login = format!("{address}, user: {user}, path: postgres, password: {{ env: PASSWORD }}");
        assert_eq!(ask(&login).well().version(), Some(&version[..]), "{user}");
        let seen = ask(&format!("{login}, {}", server.place.tls())).well();
        assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
    }
    assert_eq!(ask(&format!("{address}, user: open, path: postgres")).well().version(), Some(&version[..]));
    // Nobody is let in: it answers.
    assert_eq!(ask(&address).well().version(), None);
    assert_eq!(server.log(), before, "it has nothing to complain about");

    ask(&format!("{address}, user: scram, path: postgres")).unasked("it asks for a password, and the check has none");
    ask(&format!("{address}, user: nobody, path: postgres, password: {{ env: PASSWORD }}"))
        .failed("it answered: password authentication failed for user \"nobody\"");
    ask(&format!("{address}, user: open, path: nothing")).failed("it answered: database \"nothing\" does not exist");
    ask(&format!("{address}, tls: true")).failed("certificate");

    // A standby that lets nobody in yet: as when it starts, for longer.
    signal(server.process.id(), "INT");
    server.process.wait().unwrap();
    fs::write(data.join("standby.signal"), "").unwrap();
    let mut command = as_user("postgres", &programs.join("postgres"));
    command.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-F", "-p", &port.to_string(), "-k"]).arg(&run_dir);
    server.process = command.args(["-c", "hot_standby=off"]).stderr(Stdio::null()).process_group(0).spawn().unwrap();
    let refusal = || ask(&address).note().contains("it answered: the database system is");
    wait_until("it says that it lets nobody in", STARTED, refusal);
    ask(&address).failed("it answered: the database system is");
}

#[test]
fn mariadb() {
    let (place, port) = (Place::new(), free_port());
    let (cert, key) = place.certificate();
    let (data, socket) = (place.folder("data"), place.text("socket"));
    let user = if is_root() { "--user=root" } else { "--user=" };
    // What mariadb-install-db does; without the parts of it that come with the client.
    let tables = ["mysql_system_tables", "mysql_system_tables_data"]
        .map(|name| fs::read_to_string(format!("/usr/share/mysql/{name}.sql")).unwrap());
    let tables = place.write(
        "tables.sql",
        &format!("CREATE DATABASE mysql;\nUSE mysql;\n{}\nDELETE FROM global_priv WHERE User = '';\n", tables.concat()),
    );
    let mut install = Command::new("/usr/sbin/mariadbd");
    install.arg("--no-defaults").arg(format!("--datadir={}", data.display())).arg(user).arg("--bootstrap");
    let installed = install.stdin(fs::File::open(tables).unwrap()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    assert!(installed.unwrap().success());
    let init = format!("CREATE USER well IDENTIFIED BY '{PASSWORD}';\nGRANT SELECT ON mysql.* TO well;\n");
    let init = place.write("init.sql", &init);
    let mut command = Command::new("mariadbd");
    command.arg("--no-defaults").arg(format!("--datadir={}", data.display())).arg(user).arg(format!("--port={port}"));
    command.arg(format!("--socket={socket}")).arg(format!("--init-file={}", init.display()));
    command.args(["--bind-address=0.0.0.0", "--log-warnings=4", "--max-connect-errors=2", "--performance-schema=on"]);
    command.args(["--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=8M"]);
    command.arg(format!("--ssl-cert={}", cert.display())).arg(format!("--ssl-key={}", key.display()));
    let ready = |place: &Place| fs::read_to_string(place.at("log")).unwrap().contains("ready for connections");
    let server = Server::start_until(place, &mut command, ready);

    let login = "user: well, password: { env: PASSWORD }";
    let address = format!("name: mysql, address: '127.0.0.1:{port}'");
    let seen = ask(&format!("{address}, {login}")).well();
    let version = run(Command::new("/usr/sbin/mariadbd").arg("--version"));
    assert!(version.contains(seen.version().unwrap()), "{version} {seen:?}");
    let seen = ask(&format!("{address}, {login}, path: mysql, {}", server.place.tls())).well();
    assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
    ask(&format!("name: mysql, unix: {socket}, {login}")).well();
    assert!(!server.log().contains("Aborted"), "{}", server.log());

    ask(&format!("{address}, user: well")).failed("it answered: Access denied for user 'well'@");
    ask(&format!("{address}, {login}, path: nothing")).failed("it answered: Access denied for user 'well'@");
    // One who has no login, again and again, from where hosts are counted: not from 127.0.0.1.
    let own = std::net::UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
        socket.connect("192.0.2.1:9")?;
        socket.local_addr()
    });
    let host = own.map_or("127.0.0.1".to_owned(), |own| own.ip().to_string());
    for _ in 0..10 {
        let seen = ask(&format!("name: mysql, address: '{host}:{port}'")).well();
        assert!(seen.version().is_some());
    }
    // That they are counted there is what makes this worth a test: one who only connects is kept out.
    if host != "127.0.0.1" {
        for _ in 0..10 {
            let mut greeted = TcpStream::connect((&*host, port)).unwrap();
            greeted.read_exact(&mut [0; 4]).unwrap();
        }
        ask(&format!("name: mysql, address: '{host}:{port}'")).failed("is blocked because of many connection errors");
    }
}

/// Not in Debian: our bytes against MongoDB's own library, see `mongodb.py`.
#[test]
fn mongodb() {
    let (place, port) = (Place::new(), free_port());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/protocols/mongodb.py");
    let mut command = Command::new(tool("venv/bin/python"));
    let _server = Server::start(place, command.arg(script).arg(port.to_string()), port);
    let seen = ask(&format!("name: mongodb, address: '127.0.0.1:{port}'")).well();
    assert_eq!(seen.version(), Some("7.0.14"));
    ask(&format!("name: mongodb, address: '127.0.0.1:{port}'")).failed("it answered: node is recovering");
}
