//! What is looked up for a message: the last lines of the log, and the processes that use most when the machine is short of
//! something. A message waits for it as it does for actions.

use super::context::Context;
use super::service::ServiceState;
use super::tell::What;
use crate::model::{Act, ActId, Kind, Report, Rule, Scarce, Story};
use std::sync::Arc;

/// See the head of this file. As it was when the latest firing or notice was to be told.
#[derive(Debug, Default)]
pub(super) struct Evidence {
    log: Vec<String>,
    /// They are being read.
    tail: Option<ActId>,
    top: Vec<String>,
    /// They are being looked for.
    looking: Option<ActId>,
}

impl Evidence {
    pub fn is_coming(&self) -> bool {
        self.tail.is_some() || self.looking.is_some()
    }

    /// The story with all that has been found.
    pub fn put_into(&self, story: Story) -> Story {
        Story { log: self.log.clone(), top: self.top.clone(), ..story }
    }
}

impl ServiceState {
    /// Has it looked up as it is now.
    pub fn look_around(&mut self, cx: &mut Context, rule: &Rule) {
        let looking = self.evidence.looking;
        self.evidence = Evidence { looking, ..Evidence::default() };
        if let Some(log) = self.plan.log.clone()
            && !cx.setting.no_act
        {
            let of = self.latest_process();
            self.evidence.tail = Some(cx.act(&Arc::clone(&self.plan.name), Act::Tail { log, of }));
        }
        self.look_for_users(cx, rule);
    }

    /// If the rule is about something that the machine is short of, who uses most of it.
    pub fn look_for_users(&mut self, cx: &mut Context, rule: &Rule) {
        if let Some(of) = self.scarce(rule)
            && self.evidence.looking.is_none()
            && !cx.setting.no_act
        {
            self.evidence.looking = Some(cx.act(&Arc::clone(&self.plan.name), Act::Top { of }));
        }
    }

    fn scarce(&self, rule: &Rule) -> Option<Scarce> {
        let mut scarce = None;
        rule.when.each(&mut |comparison| {
            let metric = comparison.term.metric();
            let check = self.plan.checks.get(usize::from(metric.check));
            if check.is_some_and(|check| matches!(*check.kind, Kind::System(_)))
                && let Some(metric) = self.metric(metric)
            {
                scarce = scarce.or(match metric.name {
                    "memory" | "swap" | "pressure.memory" => Some(Scarce::Memory),
                    "cpu" | "load1" | "load5" | "load15" | "load.per_core" | "pressure.cpu" => Some(Scarce::Cpu),
                    _ => None,
                });
            }
        });
        scarce
    }

    /// Whether this is the report of something that was looked up: then it is kept.
    pub fn took_evidence(&mut self, id: ActId, report: &Report) -> bool {
        let lines = match report {
            Report::Done { words } => words.lines().map(str::to_owned).collect(),
            Report::Failed { why } => vec![format!("(cannot be read: {why})")],
            Report::Launched { .. } | Report::LaunchEnded { .. } => Vec::new(),
        };
        let evidence = &mut self.evidence;
        if evidence.tail == Some(id) {
            (evidence.tail, evidence.log) = (None, lines);
        } else if evidence.looking == Some(id) {
            (evidence.looking, evidence.top) = (None, lines);
        } else {
            return false;
        }
        for telling in &mut self.tellings {
            if let What::Story(_, story) = &mut telling.what {
                **story = self.evidence.put_into(std::mem::take(story));
            }
        }
        true
    }
}
