//! Incidents of minder's own: the brake is on, a notifier takes nothing. They have a number and a record like those of services,
//! and belong to none.

use super::context::Context;
use crate::model::{Incident, MessageKind, Name, Severity, Story, Wall};
use std::collections::BTreeSet;

impl Context {
    /// One begins, and these are told of it. The story wants what is wrong, and what to do.
    pub fn open_own(&mut self, since: Wall, to: BTreeSet<Name>, story: Story) -> Incident {
        let incident = Incident {
            id: self.next_incident(),
            service: "".into(),
            opened: since,
            closed: None,
            severity: Severity::Critical,
            title: story.title.clone(),
            rules: BTreeSet::new(),
            told: to,
            ack: None,
            escalated: 0,
        };
        self.incident(&incident);
        let story = self.story_of_own(&incident, story);
        for to in &incident.told {
            self.tell(to, MessageKind::Firing, story.clone());
        }
        incident
    }

    /// It is over, and who was told of it is told that.
    pub fn close_own(&mut self, mut incident: Incident, story: Story) {
        incident.closed = Some(self.now.wall);
        self.incident(&incident);
        let story = self.story_of_own(&incident, Story { status: "ok".to_owned(), ..story });
        for to in &incident.told {
            self.tell(to, MessageKind::Resolved, story.clone());
        }
    }

    fn story_of_own(&self, incident: &Incident, story: Story) -> Story {
        Story {
            host: self.setting.host.clone(),
            incident: Some(incident.id),
            severity: Some(incident.severity),
            since: Some(incident.opened),
            ended: incident.closed,
            ..story
        }
    }
}
