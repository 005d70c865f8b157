//! What people ask not to hear, for a while: silences, maintenance, and that somebody looks after it already.

use super::{Cron, Identity, Name, Wall, Zone};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a silence is about. All that is given must match; what is empty matches everything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scope {
    /// Services by name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Name>,
    /// Services with one of these tags, or in a group of this name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Rules by name: only while nothing else of the service fires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// Nobody is told of some things for a while. Everything is recorded and shown all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Its number; never used again.
    pub id: u64,
    /// What it is about.
    pub scope: Scope,
    /// Why.
    pub reason: String,
    /// Who asked for it.
    pub by: String,
    /// Since when.
    pub since: Wall,
    /// Until when, at the latest.
    pub until: Wall,
    /// It ends with this process: that of a deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<Identity>,
}

/// A silence that comes again by a schedule of the plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Maintenance {
    /// Its name.
    pub name: Name,
    /// What it is about.
    pub scope: Scope,
    /// When it begins.
    pub schedule: Cron,
    /// Where those times are; the machine's own zone if this is missing.
    pub zone: Option<Zone>,
    /// How long it lasts.
    pub lasts: Duration,
    /// Why.
    pub reason: String,
}

/// Somebody looks after an incident: no reminders and no escalation meanwhile. Its recovery clears it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// Who.
    pub by: String,
    /// What for, or how far it has come.
    pub reason: String,
    /// Since when.
    pub since: Wall,
    /// Until when, if it ends by itself.
    pub until: Option<Wall>,
}
