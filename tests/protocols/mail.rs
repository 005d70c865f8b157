//! Postfix and Dovecot.

use super::*;

#[test]
fn smtp() {
    let place = Place::new();
    let (cert, key) = place.certificate();
    let (port, tls, busy) = (free_port(), free_port(), free_port());
    let (spool, data) = (place.folder("spool"), place.folder("data"));
    for name in ["pid", "private", "public", "active", "incoming", "maildrop", "defer", "deferred"] {
        let path = place.folder(&format!("spool/{name}"));
        if name != "pid" {
            give("postfix", &path);
        }
    }
    give("postfix", &data);
    let at = place.path().display().to_string();
    place.write(
        "main.cf",
        &format!(
            "compatibility_level = 3.6\nqueue_directory = {}\ndata_directory = {}\nmyhostname = mail.example\n\
             daemon_directory = /usr/lib/postfix/sbin\ncommand_directory = /usr/sbin\nshlib_directory = /usr/lib/postfix\n\
             inet_interfaces = 127.0.0.1\ninet_protocols = ipv4\nmaillog_file = {at}/mail.log\n\
             maillog_file_prefixes = {at}\nalias_maps =\nsmtpd_tls_cert_file = {}\nsmtpd_tls_key_file = {}\n\
             smtpd_banner = $myhostname ESMTP Postfix $mail_version\n",
            spool.display(),
            data.display(),
            cert.display(),
            key.display()
        ),
    );
    place.write(
        "master.cf",
        &format!(
            "postlog unix-dgram n - n - 1 postlogd\n127.0.0.1:{port} inet n - n - - smtpd\n\
             127.0.0.1:{tls} inet n - n - - smtpd -o smtpd_tls_wrappermode=yes\n\
             127.0.0.1:{busy} inet n - n - - smtpd -o smtpd_client_connection_rate_limit=1 \
             -o smtpd_client_event_limit_exceptions=\nanvil unix - - n - 1 anvil\ntlsmgr unix - - n 1000? 1 tlsmgr\n\
             rewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n"
        ),
    );
    let mut command = Command::new("/usr/lib/postfix/sbin/master");
    let server = Server::start(place, command.arg("-c").arg(at).arg("-d"), port);
    let seen = ask(&format!("name: smtp, address: '127.0.0.1:{port}'")).well();
    let version = run(Command::new("/usr/sbin/postconf").args(["-dh", "mail_version"]));
    assert_eq!(seen.version(), Some(&*format!("Postfix {}", version.trim())));
    let seen = ask(&format!("name: smtp, address: '127.0.0.1:{tls}', {}", server.place.tls())).well();
    assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
    ask(&format!("name: smtp, address: '127.0.0.1:{port}', user: a, password: {{ env: PASSWORD }}"))
        .failed("it answered: 503 5.5.1 Error: authentication not enabled");

    let limited = format!("name: smtp, address: '127.0.0.1:{busy}'");
    ask(&limited).well();
    ask(&limited).failed("it answered: 421 4.7.0 mail.example Error: too many connections");
    // It notes when a client goes without a word.
    let log = wait_for(
        || "the last disconnection is noted".to_owned(),
        STARTED,
        || {
            fs::read_to_string(server.place.at("mail.log"))
                .ok()
                .filter(|log| log.matches("disconnect from").count() >= 5)
        },
    );
    assert_eq!(log.matches("lost connection").count(), 1, "only where it was refused: {log}");
}

#[test]
fn imap_and_pop3() {
    let place = Place::new();
    let (cert, key) = place.certificate();
    let ports: [u16; 4] = std::array::from_fn(|_| free_port());
    let [imap, imaps, pop3, pop3s] = ports;
    let at = place.path().display().to_string();
    give("nobody", &place.folder("mail"));
    let listeners = |name: &str, plain: u16, tls: u16| {
        format!(
            "service {name}-login {{\n inet_listener {name} {{\n port = {plain}\n }}\n inet_listener {name}s {{\n \
             port = {tls}\n ssl = yes\n }}\n chroot =\n }}\n"
        )
    };
    let conf = format!(
        "base_dir = {at}/run\nstate_dir = {at}/state\nlog_path = {at}/mail.log\nprotocols = imap pop3\nlisten = 127.0.0.1\n\
         ssl = yes\nssl_cert = <{}\nssl_key = <{}\ndisable_plaintext_auth = no\nmail_location = maildir:{at}/mail\n\
         first_valid_uid = 1\nfirst_valid_gid = 1\npassdb {{\n driver = passwd-file\n args = {at}/users\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home={at}/mail\n}}\n{}{}",
        cert.display(),
        key.display(),
        listeners("imap", imap, imaps),
        listeners("pop3", pop3, pop3s)
    );
    let conf = place.write("dovecot.conf", &conf);
    place.write("users", &format!("somebody:{{PLAIN}}{PASSWORD}\n"));
    let mut command = Command::new("/usr/sbin/dovecot");
    let server = Server::start_until(place, command.arg("-F").arg("-c").arg(conf), |_| {
        ports.iter().all(|port| TcpStream::connect(("127.0.0.1", *port)).is_ok())
    });
    let login = "user: somebody, password: { env: PASSWORD }";
    for (name, plain, tls, refused) in
        [("imap", imap, imaps, "it answered: NO [AUTHENTICATIONFAILED]"), ("pop3", pop3, pop3s, "it answered: [AUTH]")]
    {
        ask(&format!("name: {name}, address: '127.0.0.1:{plain}'")).well();
        ask(&format!("name: {name}, address: '127.0.0.1:{plain}', {login}")).well();
        let seen = ask(&format!("name: {name}, address: '127.0.0.1:{tls}', {login}, {}", server.place.tls())).well();
        assert!(seen.reading("cert.expires").number().unwrap() > 0.0);
        let other = "user: nobody, password: { env: PASSWORD }";
        ask(&format!("name: {name}, address: '127.0.0.1:{plain}', {other}")).failed(refused);
    }
}
