//! What people ask for, and the answer. It comes as JSON from anybody who may ask: nothing in it is taken for something else.

use super::{Identity, Name, Scope};
use schemars::JsonSchema;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::marker::PhantomData;

/// What a person can ask of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "command", deny_unknown_fields)]
pub enum Command {
    /// Start it.
    Start {
        /// Which.
        service: Name,
    },
    /// Stop it, and leave it so.
    Stop {
        /// Which.
        service: Name,
    },
    /// Restart it; it gets a fresh budget.
    Restart {
        /// Which.
        service: Name,
    },
    /// Do not judge it until it is resumed.
    Pause {
        /// Which.
        service: Name,
    },
    /// Judge it again.
    Resume {
        /// Which.
        service: Name,
    },
    /// Do the same to several services: what is stopped, before what it needs; what is started, after it.
    Several {
        /// What.
        verb: Verb,
        /// Which, by name.
        #[serde(default)]
        services: Vec<Name>,
        /// And all of this group.
        #[serde(default)]
        group: Option<String>,
        /// All there are.
        #[serde(default)]
        all: bool,
    },
    /// Let go ahead what the brake holds.
    #[serde(deserialize_with = "nothing_else")]
    Release,
    /// Send a message through this notifier.
    NotifyTest {
        /// Which.
        notifier: Name,
    },
    /// Tell nobody of this for a while.
    Silence {
        /// Of what.
        #[serde(deserialize_with = "object")]
        scope: Scope,
        /// Why.
        reason: String,
        /// For so long at most, in milliseconds.
        lasts: u64,
        /// It ends with this process.
        #[serde(default, deserialize_with = "object_or_nothing")]
        holder: Option<Identity>,
    },
    /// End silences before their time.
    Unsilence {
        /// By their numbers.
        #[serde(default)]
        silences: Vec<u64>,
        /// Those that end with this process.
        #[serde(default, deserialize_with = "object_or_nothing")]
        holder: Option<Identity>,
        /// All there are.
        #[serde(default)]
        all: bool,
    },
    /// Somebody writes about an incident, for those who look at it.
    Write {
        /// The incident's number.
        incident: u64,
        /// Its service.
        service: Name,
        /// What.
        words: String,
        /// The public may read it, if it may see the service.
        #[serde(default)]
        public: bool,
    },
    /// Somebody looks after the open incident of a service.
    Acknowledge {
        /// Which.
        service: Name,
        /// Who, if not the one who asks.
        #[serde(default)]
        by: Option<String>,
        /// What for, or how far it has come.
        reason: String,
        /// For so long, in milliseconds; until it is over if this is missing.
        #[serde(default)]
        lasts: Option<u64>,
    },
    /// Nobody looks after it any more.
    Unacknowledge {
        /// Which.
        service: Name,
    },
}

/// serde refuses unknown keys of a variant that has some of its own, and forgets to where there is none.
fn nothing_else<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}
    Nothing::deserialize(deserializer).map(|Nothing {}| ())
}

/// serde takes a list for an object as well, its values by their order: an empty one would be a scope of everything.
struct Object<T>(T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Object<T>, D::Error> {
        struct Keys<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Keys<T> {
            type Value = T;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Keys(PhantomData)).map(Object)
    }
}

fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(object)| object)
}

fn object_or_nothing<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    Option::deserialize(deserializer).map(|given| given.map(|Object(object)| object))
}

/// What can be asked of several services at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verb {
    /// See [`Command::Start`].
    Start,
    /// See [`Command::Stop`].
    Stop,
    /// See [`Command::Restart`]: all are stopped, then all are started.
    Restart,
    /// See [`Command::Pause`].
    Pause,
    /// See [`Command::Resume`].
    Resume,
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Start => "start",
            Verb::Stop => "stop",
            Verb::Restart => "restart",
            Verb::Pause => "pause",
            Verb::Resume => "resume",
        })
    }
}

/// The answer to a person's request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Whether what was asked for is now so.
    pub ok: bool,
    /// What came of it, in a sentence.
    pub words: String,
}
