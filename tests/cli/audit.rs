//! `minder audit`.

use super::client::Stage;
use super::fixture;
use minder::model::Audit;

#[test]
fn who_did_what() {
    let stage = Stage::new(fixture::snapshot());
    let deed = |id, minutes, who: &str, from: &str, what: &str, ok, words: &str| Audit {
        id,
        at: fixture::ago(minutes * fixture::MINUTE),
        who: who.into(),
        from: from.into(),
        what: what.into(),
        ok,
        words: words.into(),
    };
    *stage.world.past.audits.lock().unwrap() = vec![
        deed(1, 90, "root", "socket", "pause web", true, ""),
        deed(2, 5, "eva", "192.0.2.7", "restart web", true, "restarted, pid 812"),
        deed(3, 2, "\u{1b}[31mmallory", "198.51.100.9", "sign in", false, "wrong name or password"),
    ];
    let transcripts = [
        &["audit"][..],
        &["audit", "--last", "1"],
        &["audit", "--who", "eva", "--since", "1h", "--json"],
        &["audit", "--who", "nobody"],
        &["audit", "--since", "soon"],
    ]
    .map(|args| stage.transcript(args));
    insta::assert_snapshot!(transcripts.join("\n"));
}
