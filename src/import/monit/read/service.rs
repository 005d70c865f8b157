//! `check ..`, and the statements of a service that are no tests.

use super::super::syntax::{Command, Kind, Mode, Statement};
use super::cursor::Cursor;
use super::setting::{SECONDS, alert};
use super::test;

/// `check process NAME with pidfile PATH`, and its like. The name is given also if the rest is not understood.
pub fn head(cursor: &mut Cursor<'_>, name: &mut String) -> Option<Kind> {
    cursor.next();
    let word = cursor.next()?.text.to_ascii_lowercase();
    *name = cursor.text()?;
    let key = |cursor: &mut Cursor<'_>, keys: &[&str]| {
        cursor.then(keys).then_some(())?;
        cursor.given()
    };
    match word.as_str() {
        "system" => Some(Kind::System),
        "process" if cursor.then(&["matching", "match"]) => cursor.given().map(Kind::Matching),
        "process" => key(cursor, &["pidfile"]).map(Kind::Pidfile),
        "file" => key(cursor, &["path"]).map(Kind::File),
        "directory" => key(cursor, &["path"]).map(Kind::Directory),
        "fifo" => key(cursor, &["path"]).map(Kind::Fifo),
        "filesystem" | "device" => key(cursor, &["path"]).map(Kind::Filesystem),
        "host" => key(cursor, &["address"]).map(Kind::Host),
        "network" if cursor.then(&["address"]) => cursor.given().map(|_| Kind::Address),
        "network" => key(cursor, &["interface"]).map(Kind::Interface),
        "program" => {
            cursor.then(&["path"]).then_some(())?;
            command(cursor).map(Kind::Program)
        }
        _ => None,
    }
}

/// `"/path of" as uid X and gid Y with timeout N seconds`
pub fn command(cursor: &mut Cursor<'_>) -> Option<Command> {
    let mut command = Command { line: cursor.given()?, ..Command::default() };
    loop {
        let mark = cursor.mark();
        cursor.noise();
        cursor.take(&["as"]);
        if cursor.then(&["uid"]) {
            command.uid = Some(cursor.given()?);
        } else if cursor.then(&["gid"]) {
            command.gid = Some(cursor.given()?);
        } else if cursor.then(&["timeout"]) {
            command.timeout = Some(cursor.integer()?);
            cursor.take(SECONDS);
        } else {
            cursor.back_to(mark);
            return Some(command);
        }
    }
}

pub fn statement(cursor: &mut Cursor<'_>) -> Option<Statement> {
    let word = cursor.next().filter(|token| token.kind == super::lexer::Kind::Word)?.text.to_ascii_lowercase();
    match word.as_str() {
        "start" | "stop" | "restart" => {
            cursor.then(&["program", "programs"]);
            let command = command(cursor)?;
            Some(match word.as_str() {
                "start" => Statement::Start(command),
                "stop" => Statement::Stop(command),
                _ => Statement::Restart(command),
            })
        }
        "every" => every(cursor),
        "not" => {
            cursor.then(&["every"]).then_some(())?;
            cursor.text().map(|_| Statement::Cron { not: true })
        }
        "mode" => match cursor.text()?.to_ascii_lowercase().as_str() {
            "active" => Some(Statement::Mode(Mode::Active)),
            "passive" => Some(Statement::Mode(Mode::Passive)),
            "manual" => Some(Statement::Mode(Mode::Manual)),
            _ => None,
        },
        "onreboot" => cursor.text().map(|word| Statement::OnReboot(word.to_ascii_lowercase())),
        "group" => cursor.text().map(Statement::Group),
        "depend" | "depends" => {
            let mut names = vec![cursor.text()?];
            while cursor.take(&[","]) {
                names.push(cursor.text()?);
            }
            Some(Statement::Depends(names))
        }
        "alert" => alert(cursor).map(Statement::Alert),
        "noalert" => cursor.text().map(Statement::NoAlert),
        "ignore" => {
            cursor.then(&["not"]);
            cursor.then(&["match", "content"]).then_some(())?;
            cursor.take(&["=", "==", "!="]);
            cursor.text().map(|_| Statement::Ignore)
        }
        "if" => test::test(cursor).map(|test| Statement::If(Box::new(test))),
        _ => None,
    }
}

fn every(cursor: &mut Cursor<'_>) -> Option<Statement> {
    if let Some(cycles) = cursor.integer() {
        cursor.then(&["cycle", "cycles"]);
        return (cycles > 0).then_some(Statement::Every(cycles));
    }
    cursor.text().map(|_| Statement::Cron { not: false })
}
