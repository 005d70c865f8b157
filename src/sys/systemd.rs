//! The way to systemd's manager: the system bus, and on it what `org.freedesktop.systemd1(5)` describes.
//!
//! systemd also has a socket of its own for root, without a bus between. It signs with its well-known name there, which is no
//! sender's name by the specification of D-Bus, and which zbus refuses.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use tokio::net::UnixStream;
use zbus::connection::Builder;
use zbus::match_rule;
use zbus::{Connection, DynamicType, Message, MessageStream, ObjectPath, OwnedObjectPath, Variant};

/// It exists if systemd runs this machine: `sd_booted(3)`.
const BOOTED: &str = "/run/systemd/system";
const BUS: &str = "/run/dbus/system_bus_socket";
const NAME: &str = "org.freedesktop.systemd1";
/// Signals that wait to be read.
const MOST_SIGNALS: usize = 4096;
const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// A connection to systemd's manager. Made and used within a tokio runtime, and ends with it.
pub struct Manager(Connection);

/// Why systemd cannot be asked.
#[derive(Debug)]
pub enum Unasked {
    /// It does not run this machine.
    NotHere,
    /// It has answered, and this is what is wrong: the name of the D-Bus error, and words.
    Refused {
        /// Such as `org.freedesktop.systemd1.NoSuchUnit`.
        name: String,
        /// Its words.
        words: String,
    },
    /// This user may not speak to it, or to the bus.
    Denied(String),
    /// Nobody answers, or what answers makes no sense.
    Silent(String),
}

impl fmt::Display for Unasked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unasked::NotHere => f.write_str("systemd does not run this machine"),
            Unasked::Refused { words, .. } => write!(f, "systemd refuses: {words}"),
            Unasked::Denied(why) => write!(f, "minder's user may not ask systemd: {why}; run minder as root"),
            Unasked::Silent(why) => write!(f, "systemd does not answer: {why}"),
        }
    }
}

impl From<zbus::Error> for Unasked {
    fn from(e: zbus::Error) -> Unasked {
        match &e {
            zbus::Error::MethodError(name, words, _) => {
                let words = words.clone().unwrap_or_else(|| name.to_string());
                match name.as_str() {
                    "org.freedesktop.DBus.Error.AccessDenied"
                    | "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired" => Unasked::Denied(words),
                    // What the bus says of a systemd that is not there, or is silent.
                    "org.freedesktop.DBus.Error.ServiceUnknown"
                    | "org.freedesktop.DBus.Error.NameHasNoOwner"
                    | "org.freedesktop.DBus.Error.NoReply"
                    | "org.freedesktop.DBus.Error.Disconnected" => Unasked::Silent(words),
                    name => Unasked::Refused { name: name.to_owned(), words },
                }
            }
            zbus::Error::FDO(fdo) => match &**fdo {
                zbus::fdo::Error::AccessDenied(words) | zbus::fdo::Error::InteractiveAuthorizationRequired(words) => {
                    Unasked::Denied(words.clone())
                }
                zbus::fdo::Error::ServiceUnknown(words)
                | zbus::fdo::Error::NameHasNoOwner(words)
                | zbus::fdo::Error::NoReply(words)
                | zbus::fdo::Error::Disconnected(words) => Unasked::Silent(words.clone()),
                other => Unasked::Refused { name: String::new(), words: other.to_string() },
            },
            _ => Unasked::Silent(e.to_string()),
        }
    }
}

impl Manager {
    /// Connects. Waits for as long as it takes: bound it.
    pub async fn connect() -> Result<Manager, Unasked> {
        if let Some(address) = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").ok().filter(|address| !address.is_empty()) {
            return Ok(Manager(Builder::address(address.as_str()).build().await?));
        }
        if !Path::new(BOOTED).exists() {
            return Err(Unasked::NotHere);
        }
        let socket = async { UnixStream::connect(BUS).await?.into_std() };
        let socket = socket.await.map_err(|e| match e.kind() {
            io::ErrorKind::PermissionDenied => Unasked::Denied(format!("{BUS}: {e}")),
            _ => Unasked::Silent(format!("the message bus at {BUS}: {e}")),
        })?;
        Ok(Manager(Builder::unix_stream(socket).build().await?))
    }

    /// Calls a method of the manager.
    pub async fn manager<B>(&self, method: &str, body: &B) -> Result<Message, Unasked>
    where
        B: serde::Serialize + DynamicType,
    {
        self.call("/org/freedesktop/systemd1", MANAGER, method, body).await
    }

    /// Calls a method of any object of systemd's.
    pub async fn call<B>(&self, path: &str, interface: &str, method: &str, body: &B) -> Result<Message, Unasked>
    where
        B: serde::Serialize + DynamicType,
    {
        Ok(self.0.call_method(Some(NAME), path, Some(interface), method, body).await?)
    }

    /// The signals like this, from now on. They must be read as they come: those that wait keep answers from coming through.
    pub async fn signals(&self, rule: match_rule::Builder<'_>) -> Result<MessageStream, Unasked> {
        let stream =
            MessageStream::for_match_rule(rule.sender(NAME).build()?, &self.0, NonZeroUsize::new(MOST_SIGNALS)).await?;
        // systemd tells nothing unless somebody has asked it to.
        match self.manager("Subscribe", &()).await {
            Err(Unasked::Refused { name, .. }) if name == "org.freedesktop.systemd1.AlreadySubscribed" => {}
            other => drop(other?),
        }
        Ok(stream)
    }

    /// Where the manager keeps this unit, which it reads if it does not know it.
    pub async fn unit(&self, name: &str) -> Result<ObjectPath<'static>, Unasked> {
        let reply = self.manager("LoadUnit", &(name,)).await?;
        let path: OwnedObjectPath = reply.body().deserialize()?;
        Ok(path.into_inner())
    }

    /// Has a process put into a scope of this name: a new one that goes with its last process, or the one that is there. That
    /// it is asked for does not mean that it is so yet.
    pub async fn scope(&self, name: &str, description: &str, pid: u32) -> Result<(), Unasked> {
        let properties = [
            ("Description", Variant::from(description)),
            ("PIDs", Variant::from(vec![pid])),
            ("CollectMode", Variant::from("inactive-or-failed")),
        ];
        let others: Vec<(&str, Vec<(&str, Variant<'_>)>)> = Vec::new();
        match self.manager("StartTransientUnit", &(name, "fail", &properties[..], others)).await {
            Err(Unasked::Refused { name: error, .. }) if error == "org.freedesktop.systemd1.UnitExists" => {
                self.manager("AttachProcessesToUnit", &(name, "", vec![pid])).await
            }
            other => other,
        }
        .map(drop)
    }
}
