//! Mosquitto, NATS, RabbitMQ.

use super::*;

#[test]
fn mqtt() {
    let place = Place::new();
    let (cert, key) = place.certificate();
    let [open, closed, tls]: [u16; 3] = std::array::from_fn(|_| free_port());
    let users = place.write("users", &format!("somebody:{PASSWORD}\n"));
    fs::set_permissions(&users, fs::Permissions::from_mode(0o600)).unwrap();
    run(Command::new("mosquitto_passwd").arg("-U").arg(&users));
    let conf = format!(
        "per_listener_settings true\nuser root\nlistener {open} 127.0.0.1\nallow_anonymous true\n\
         listener {closed} 127.0.0.1\nallow_anonymous false\npassword_file {users}\n\
         listener {tls} 127.0.0.1\nallow_anonymous true\ncertfile {}\nkeyfile {}\n",
        cert.display(),
        key.display(),
        users = users.display(),
    );
    let conf = place.write("conf", &conf);
    let server = Server::start(place, Command::new("mosquitto").arg("-v").arg("-c").arg(conf), tls);
    let login = "user: somebody, password: { env: PASSWORD }";
    ask(&format!("name: mqtt, address: '127.0.0.1:{open}'")).well();
    ask(&format!("name: mqtt, address: '127.0.0.1:{tls}', {}", server.place.tls())).well();
    ask(&format!("name: mqtt, address: '127.0.0.1:{closed}', {login}")).well();
    ask(&format!("name: mqtt, address: '127.0.0.1:{closed}'")).well();
    ask(&format!("name: mqtt, address: '127.0.0.1:{closed}', user: nobody, password: {{ env: PASSWORD }}"))
        .failed("the user may not connect");
    assert_eq!(server.log().matches("Received DISCONNECT from minder-").count(), 3, "{}", server.log());
}

#[test]
fn amqp() {
    let place = Place::new();
    let [port, tls, names, own]: [u16; 4] = std::array::from_fn(|_| free_port());
    let (cert, key) = place.certificate();
    let conf = format!(
        "listeners.tcp.1 = 127.0.0.1:{port}\nlisteners.ssl.1 = 127.0.0.1:{tls}\nssl_options.certfile = {}\n\
         ssl_options.keyfile = {}\ndefault_user = somebody\ndefault_pass = {PASSWORD}\nlog.console = true\n\
         log.file = false\nlog.connection.level = info\n",
        cert.display(),
        key.display()
    );
    let conf = place.write("rabbitmq.conf", &conf);
    let plugins = place.write("plugins", "[].\n");
    // The daemon of names that nodes find each other by, ours and not the machine's, ends with the rest.
    let start = "epmd -address 127.0.0.1 & exec /usr/lib/rabbitmq/bin/rabbitmq-server";
    let mut command = Command::new("sh");
    command.args(["-c", start]).env("HOME", place.path()).env("ERL_EPMD_PORT", names.to_string());
    command.env("RABBITMQ_NODENAME", "minder@localhost").env("RABBITMQ_DIST_PORT", own.to_string());
    command.env("RABBITMQ_CONFIG_FILE", conf).env("RABBITMQ_ENABLED_PLUGINS_FILE", plugins);
    command.env("RABBITMQ_MNESIA_BASE", place.at("data")).env("RABBITMQ_LOG_BASE", place.at("logs"));
    command.env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-start_epmd false +S 1").env("RABBITMQ_LOGS", "-");
    let both = |_: &Place| [port, tls].iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok());
    let server = Server::start_until(place, &mut command, both);
    let login = "user: somebody, password: { env: PASSWORD }";
    let address = format!("name: amqp, address: '127.0.0.1:{port}'");
    let seen = ask(&format!("{address}, {login}")).well();
    assert!(seen.version().is_some_and(|version| version.starts_with("3.")), "{seen:?}");
    let seen = ask(&format!("name: amqp, address: '127.0.0.1:{tls}', {login}, {}", server.place.tls())).well();
    assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
    assert!(!server.log().contains("unexpectedly"), "{}", server.log());
    ask(&format!("{address}, user: nobody, password: {{ env: PASSWORD }}")).failed("it answered: ACCESS_REFUSED");
    ask(&format!("{address}, {login}, path: nothing")).failed("it answered: NOT_ALLOWED");
    assert!(ask(&address).well().version().is_some());
}

#[test]
fn nats() {
    let place = Place::new();
    let (port, web) = (free_port(), free_port());
    let conf = format!(
        "host: 127.0.0.1\nport: {port}\nauthorization {{ user: somebody, password: \"{PASSWORD}\" }}\n\
         websocket {{ host: 127.0.0.1, port: {web}, no_tls: true }}\n"
    );
    let path = place.write("conf", &conf);
    let server = Server::start(place, Command::new("nats-server").arg("-c").arg(path), web);
    let login = "user: somebody, password: { env: PASSWORD }";
    let address = format!("name: nats, address: '127.0.0.1:{port}'");
    let seen = ask(&format!("{address}, {login}")).well();
    let version = run(Command::new("/usr/sbin/nats-server").arg("--version"));
    assert!(version.contains(seen.version().unwrap()), "{version} {seen:?}");
    ask(&address).well();
    ask(&format!("{address}, user: nobody, password: {{ env: PASSWORD }}"))
        .failed("it answered: 'Authorization Violation'");
    // The same server speaks WebSocket.
    ask(&format!("name: websocket, address: '127.0.0.1:{web}', path: /any")).well();
    drop(server);

    let place = Place::new();
    let (cert, key) = place.certificate();
    let mut command = Command::new("nats-server");
    command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "--auth", PASSWORD, "--tls", "--tlscert"]);
    let server = Server::start(place, command.arg(cert).arg("--tlskey").arg(key), port);
    let seen = ask(&format!("{address}, password: {{ env: PASSWORD }}, {}", server.place.tls())).well();
    assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
}
