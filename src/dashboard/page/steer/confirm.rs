//! The page before something is done, which says what will happen; and the form on it, which begins it.

use super::super::words::{Here, Moment, Page, filters};
use super::deed::{Deed, Verb};
use super::field::{Field, Input, Sent};
use super::outcome::{Begin, Outcome, go_on};
use super::{quiet, service, tell, whole};
use crate::dashboard::problem::{ProblemPage, render};
use crate::dashboard::who::Caller;
use crate::dashboard::{Front, Problem, is_sent_as};
use crate::model::{Plan, ServiceView, Snapshot};
use askama::Template;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Redirect, Response};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

/// What there is to know before something is done.
pub(super) struct Confirm {
    /// In the order of reading: the name of the fact, and its lines.
    pub facts: Vec<(&'static str, Vec<String>)>,
    /// Why it cannot be done at all.
    pub hindrance: Option<String>,
    pub fields: Vec<Field>,
    /// Where one comes from, and goes on: an address, and its words.
    pub back: (String, String),
    pub here: Here,
    /// What is to be done, in a few words that begin a sentence: `Restart web`.
    pub title: String,
    /// What must still be so when the form comes back: otherwise another thing would be done than was confirmed.
    pub bound: String,
    /// What to do; nothing if a field is wrong.
    pub deed: Option<Deed>,
}

impl Confirm {
    pub fn new(title: String, here: Here, back: (String, String)) -> Confirm {
        Confirm {
            facts: Vec::new(),
            hindrance: None,
            fields: Vec::new(),
            back,
            here,
            bound: title.clone(),
            title,
            deed: None,
        }
    }
    /// Says something, unless there is nothing to say.
    pub fn fact(&mut self, name: &'static str, lines: impl IntoIterator<Item = String>) {
        let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
        if !lines.is_empty() {
            self.facts.push((name, lines));
        }
    }
    fn is_wrong(&self) -> bool {
        self.fields.iter().any(|field| field.error.is_some())
    }
    /// A word for what was confirmed, to be compared.
    fn seen(&self) -> String {
        let mut hasher = DefaultHasher::new();
        (&self.title, &self.bound).hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    }
}

/// What a confirmation is made of.
pub(super) struct Now {
    pub snapshot: Arc<Snapshot>,
    pub plan: Arc<Plan>,
    pub moment: Moment,
}

impl Now {
    /// The service of this name.
    pub fn service(&self, name: &str) -> Result<&ServiceView, Problem> {
        self.snapshot.services.iter().find(|service| *service.name == *name).ok_or_else(|| Problem::no_service(name))
    }
}

/// Where a service is.
pub(super) fn to_service(name: &str) -> (String, String) {
    let encoded = percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC);
    (format!("/services/{encoded}"), name.to_owned())
}

async fn prepare(front: &Front, caller: &Caller, verb: Verb, mut sent: Sent) -> Result<Confirm, Problem> {
    let snapshot = front.snapshot().await?;
    let moment = Moment::of(snapshot.at, caller);
    let now = Now { snapshot, plan: front.plan(), moment };
    let fields = &mut sent;
    let mut confirm = match verb {
        Verb::Start | Verb::Stop | Verb::Restart => service::steer(&now, verb, fields)?,
        Verb::Pause | Verb::Resume => service::judge(&now, verb, fields)?,
        Verb::Acknowledge => service::acknowledge(&now, fields)?,
        Verb::Unacknowledge => service::unacknowledge(&now, fields)?,
        Verb::Silence => quiet::silence(&now, fields),
        Verb::Unsilence => quiet::unsilence(&now, fields)?,
        Verb::Resend => tell::resend(front, &now, fields).await?,
        Verb::NotifyTest => tell::test(&now, fields)?,
        Verb::Write => tell::write(front, &now, fields).await?,
        Verb::Reload => whole::reload(&now),
        Verb::Release => whole::release(&now),
    };
    sent.done()?;
    if confirm.is_wrong() {
        confirm.deed = None;
    }
    Ok(confirm)
}

#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    page: Page,
    verb: &'static str,
    confirm: Confirm,
    /// Why it is shown again.
    notice: Option<&'static str>,
    form: u64,
    seen: String,
}

fn page(front: &Front, caller: Caller, verb: Verb, confirm: Confirm, notice: Option<&'static str>) -> Response {
    render(&ConfirmPage {
        page: Page::new(confirm.here, format!("{}? – minder", confirm.title)).of(caller),
        verb: verb.word(),
        form: front.outcomes.number(),
        seen: confirm.seen(),
        confirm,
        notice,
    })
}

fn verb_of(uri: &Uri) -> Result<Verb, Problem> {
    let word = uri.path().rsplit('/').next().unwrap_or_default();
    Verb::of(word).ok_or_else(|| Problem::new(StatusCode::NOT_FOUND, "Nothing here", "There is no such page."))
}

/// Says what will happen, and changes nothing.
pub(super) async fn ask(State(front): State<Arc<Front>>, uri: Uri, caller: Caller) -> Result<Response, ProblemPage> {
    let verb = verb_of(&uri)?;
    let sent = Sent::read(uri.query().unwrap_or_default().as_bytes())?;
    let mut confirm = prepare(&front, &caller, verb, sent).await?;
    // What was not asked for yet is not wrong.
    confirm.fields.iter_mut().filter(|field| field.value.is_empty()).for_each(|field| field.error = None);
    Ok(page(&front, caller, verb, confirm, None))
}

/// Begins it, once, and shows what comes of it.
pub(super) async fn act(
    State(front): State<Arc<Front>>,
    uri: Uri,
    caller: Caller,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ProblemPage> {
    let verb = verb_of(&uri)?;
    let body = body.map_err(|e| Problem::new(e.status(), "Not understood", e.body_text()))?;
    if !is_sent_as(&headers, "application/x-www-form-urlencoded") {
        let detail = "A form is needed here; programs find the same under /api/v1.";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Not understood", detail).into());
    }
    let mut sent = Sent::read(&body)?;
    // Whoever has shown by it that he means it was let in by now.
    sent.take("csrf");
    let (number, seen) = (sent.number("form")?, sent.need("seen")?);
    if front.outcomes.is_of(number, &caller.name) {
        return Ok(Redirect::to(&format!("/outcomes/{number}")).into_response());
    }
    let mut confirm = prepare(&front, &caller, verb, sent).await?;
    let again = |confirm, code, notice| Ok((code, page(&front, caller.clone(), verb, confirm, notice)).into_response());
    if confirm.hindrance.is_some() {
        return again(confirm, StatusCode::CONFLICT, None);
    }
    let Some(deed) = confirm.deed.take() else {
        let notice = Some("Nothing was done yet: something below has to be mended first.");
        return again(confirm, StatusCode::UNPROCESSABLE_ENTITY, notice);
    };
    if seen != confirm.seen() {
        let notice = Some("Nothing was done yet. This is what would happen now: read it again, then confirm it.");
        return again(confirm, StatusCode::CONFLICT, notice);
    }
    let outcome = Outcome {
        number,
        title: confirm.title.clone(),
        who: Arc::clone(&caller.name),
        begun: front.clock.now().wall,
        end: None,
        back: confirm.back.clone(),
        here: confirm.here,
    };
    match front.outcomes.begin(outcome) {
        Begin::Now => go_on(&front, caller, number, deed),
        Begin::Again => {}
        Begin::Stale => {
            let notice = Some("This form was too old to be sure that it was not sent before. Nothing was done now.");
            return again(confirm, StatusCode::CONFLICT, notice);
        }
        Begin::Busy => {
            let detail = "Too much that was asked for is still under way. Wait until some of it has ended.";
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Busy", detail).into());
        }
    }
    // 303: the browser goes on with GET, and a reload repeats nothing.
    Ok(Redirect::to(&format!("/outcomes/{number}")).into_response())
}
