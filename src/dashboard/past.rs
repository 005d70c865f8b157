//! The history as the store has it.

use super::{
    AuditFilter, Bar, Curve, EventFilter, History, IncidentFilter, IncidentSpan, IncidentSums, MessageFilter, Rollup,
    Samples, Step, Wholes,
};
use crate::model::{Audit, Event, Incident, Message, MessageId, MessageView, Wall};
use crate::store::{ReadError, Reader};

fn words(e: ReadError) -> String {
    format!("{e}: {}", e.source)
}

impl History for Reader {
    fn events(&self, filter: &EventFilter) -> Result<Vec<Event>, String> {
        Reader::events(self, filter).map_err(words)
    }

    fn incidents(&self, filter: &IncidentFilter) -> Result<Vec<Incident>, String> {
        Reader::incidents(self, filter).map_err(words)
    }

    fn incident_sums(&self, span: &IncidentSpan) -> Result<IncidentSums, String> {
        Reader::incident_sums(self, span).map_err(words)
    }

    fn audits(&self, filter: &AuditFilter) -> Result<Vec<Audit>, String> {
        Reader::audits(self, filter).map_err(words)
    }

    fn bars(&self, service: &str, check: &str, from: Wall, to: Wall, buckets: usize) -> Result<Vec<Bar>, String> {
        Reader::bars(self, service, check, from, to, buckets).map_err(words)
    }

    fn sampled(&self, service: &str, from: Wall, to: Wall) -> Result<Option<(Wall, Wall)>, String> {
        Reader::sampled(self, service, from, to).map_err(words)
    }

    fn samples(&self, service: &str, check: &str, from: Wall, to: Wall, limit: usize) -> Result<Samples, String> {
        Reader::samples(self, service, check, from, to, limit).map_err(words)
    }

    fn kept(&self, service: &str, check: &str) -> Result<Vec<String>, String> {
        Reader::kept(self, service, check).map_err(words)
    }

    fn curves(
        &self,
        service: &str,
        check: &str,
        metrics: &[String],
        from: Wall,
        to: Wall,
        parts: usize,
    ) -> Result<Vec<Curve>, String> {
        Reader::curves(self, service, check, metrics, from, to, parts).map_err(words)
    }

    fn wholes(&self, service: &str, check: &str, from: Wall, to: Wall) -> Result<Wholes, String> {
        Reader::wholes(self, service, check, from, to).map_err(words)
    }

    fn rollups(&self, service: &str, check: &str, step: Step, from: Wall, to: Wall) -> Result<Vec<Rollup>, String> {
        Reader::rollups(self, service, check, step, from, to).map_err(words)
    }

    fn messages(&self, filter: &MessageFilter) -> Result<Vec<MessageView>, String> {
        Reader::messages(self, filter).map_err(words)
    }

    fn message(&self, id: MessageId) -> Result<Option<MessageView>, String> {
        Reader::message(self, id).map_err(words)
    }

    fn dead(&self, ids: &[MessageId]) -> Result<Vec<Message>, String> {
        Reader::dead(self, ids).map_err(words)
    }

    fn all_dead(&self, notifier: Option<&str>, limit: usize) -> Result<Vec<Message>, String> {
        Reader::all_dead(self, notifier, limit).map_err(words)
    }
}
