//! NTP and DNS.

use super::*;

#[test]
fn ntp() {
    for (conf, synchronised) in [("local stratum 10\n", true), ("", false)] {
        let (place, port) = (Place::new(), free_port());
        let conf = format!(
            "port {port}\ncmdport 0\nbindaddress 127.0.0.1\nallow 127.0.0.1\npidfile {}\nbindcmdaddress /\n{conf}",
            place.text("pid")
        );
        let path = place.write("conf", &conf);
        let mut command = Command::new("chronyd");
        // -x: it leaves the clock of this machine alone.
        command.args(["-x", "-d", "-u", "root", "-f"]).arg(path);
        let address = format!("name: ntp, address: '127.0.0.1:{port}'");
        let _server =
            Server::start_until(place, &mut command, |_| !ask(&address).note().contains("connection refused"));
        match synchronised {
            true => ask(&address).well(),
            false => ask(&address).failed("its clock is not synchronised"),
        };
    }
}

#[test]
fn dns() {
    let (place, port) = (Place::new(), free_port());
    let zone =
        "$ORIGIN example.org.\n@ 60 SOA ns admin 1 60 60 60 60\n@ 60 NS ns\nns 60 A 127.0.0.1\nwww 60 A 192.0.2.1\n";
    place.write("zone", zone);
    let at = place.path().display();
    let conf = format!(
        "server:\n ip-address: 127.0.0.1@{port}\n username: \"\"\n chroot: \"\"\n zonesdir: \"{at}\"\n pidfile: \"\"\n \
         database: \"\"\n xfrdfile: \"{at}/xfrd\"\n zonelistfile: \"{at}/zones\"\n server-count: 1\n\
         remote-control:\n control-enable: no\nzone:\n name: example.org\n zonefile: zone\n"
    );
    let path = place.write("conf", &conf);
    let address = format!("name: dns, address: '127.0.0.1:{port}'");
    let mut command = Command::new("nsd");
    let _server = Server::start_until(place, command.arg("-d").arg("-c").arg(path), |_| {
        TcpStream::connect(("127.0.0.1", port)).is_ok()
    });
    ask(&format!("{address}, path: www.example.org")).well();
    ask(&address).well();
    ask(&format!("{address}, path: nothing.example.org")).failed("it answered: NXDOMAIN");
    ask(&format!("{address}, path: example.com")).failed("it answered: REFUSED");
}
