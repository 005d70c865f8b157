//! FastCGI, AJP, and conversations of steps.

use super::*;

#[test]
fn fastcgi() {
    let (place, port) = (Place::new(), free_port());
    let socket = place.text("socket");
    let script = place.write("broken.php", "<?php http_response_code(500);");
    let pool = |name: &str, listen: &str| {
        let user = if is_root() { "user = root\n" } else { "" };
        format!("[{name}]\n{user}listen = {listen}\npm = static\npm.max_children = 1\nping.path = /ping\n")
    };
    let conf = format!(
        "[global]\nerror_log = {}\n{}{}",
        place.text("php.log"),
        pool("a", &format!("127.0.0.1:{port}")),
        pool("b", &socket)
    );
    let conf = place.write("conf", &conf);
    let program = fs::read_dir("/usr/sbin").unwrap().map(|entry| entry.unwrap().path());
    let program = program.filter(|path| path.to_string_lossy().contains("/php-fpm")).max().unwrap();
    let server = Server::start(place, Command::new(&program).args(["-F", "-n", "-R", "-y"]).arg(conf), port);
    let address = format!("name: fastcgi, address: '127.0.0.1:{port}'");
    let seen = ask(&format!("{address}, path: /ping")).well();
    assert!(seen.version().is_some_and(|version| version.starts_with("PHP/")), "{seen:?}");
    ask(&address).well();
    ask(&format!("name: fastcgi, unix: {socket}, path: /ping")).well();
    ask(&format!("{address}, path: {}", script.display())).failed("it answered: 500");
    ask(&format!("{address}, path: /nothing.php")).failed("it answered: 404 Not Found");
    drop(server);
}

#[test]
fn ajp() {
    let (place, port) = (Place::new(), free_port());
    place.folder("conf");
    let conf = format!(
        "<Server port='-1'><Service name='Catalina'><Connector protocol='AJP/1.3' address='127.0.0.1' port='{port}' \
         secretRequired='false'/><Engine name='Catalina' defaultHost='localhost'><Host name='localhost'/></Engine>\
         </Service></Server>"
    );
    place.write("conf/server.xml", &conf);
    let mut command = Command::new("java");
    let home = place.path().display();
    let homes = [format!("-Dcatalina.base={home}"), format!("-Dcatalina.home={home}")];
    command.args(homes).args(["-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", "/usr/share/java/*"]);
    command.args(["org.apache.catalina.startup.Tomcat", "--await"]);
    let server = Server::start(place, &mut command, port);
    ask(&format!("name: ajp, address: '127.0.0.1:{port}'")).well();
    assert!(!server.log().contains("SEVERE"), "{}", server.log());
    ask(&format!("name: memcached, address: '127.0.0.1:{port}'")).failed("the connection was closed instead of");
}

#[test]
fn talk() {
    let port = free_port();
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--requirepass", PASSWORD]);
    let _server = Server::start(Place::new(), &mut command, port);
    let steps = |last: &str| {
        ask(&format!(
            "name: talk, address: '127.0.0.1:{port}', steps: [{{ send: \"PING\\r\\n\", expect: '^-NOAUTH' }}, \
             {{ send: \"AUTH {PASSWORD}\\r\\n\", expect: '^.OK' }}, {{ send: \"PING\\r\\n\" }}, {{ expect: '{last}' }}]"
        ))
    };
    steps("^.PONG\\r\\n$").well();
    let seen = ask(&format!(
        "name: talk, address: '127.0.0.1:{port}', steps: [{{ send: {{ env: PASSWORD }} }}, \
         {{ send: \"\\r\\nQUIT\\r\\n\", expect: never }}]"
    ));
    seen.failed("the answer of step 2 does not match \"never\"");
}
