//! The way to systemd's manager: D-Bus, as `org.freedesktop.systemd1(5)` describes it.
//!
//! root speaks to systemd itself, over the socket that systemctl uses: it is there where no message bus runs, and when the bus is
//! in trouble. Others ask over the bus. Whoever sets `DBUS_SYSTEM_BUS_ADDRESS` knows better than both.

use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::os::unix::net::UnixStream as Socket;
use tokio::net::UnixStream;
use zbus::connection::Builder;
use zbus::match_rule;
use zbus::{Connection, DynamicType, Message, MessageStream, ObjectPath, OwnedObjectPath};

/// It exists if systemd runs this machine: `sd_booted(3)`.
const BOOTED: &str = "/run/systemd/system";
const PRIVATE: &str = "/run/systemd/private";
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
        let direct = if rustix::process::geteuid().is_root() { direct().await } else { None };
        if let Some(Ok(connection)) = direct {
            return Ok(Manager(connection));
        }
        let bus = async { Builder::unix_stream(socket(BUS).await?).build().await }.await;
        match (bus, direct) {
            (Ok(connection), _) => Ok(Manager(connection)),
            (Err(_), Some(Err(e))) => Err(e.into()),
            (Err(zbus::Error::InputOutput(e)), _) if e.kind() == io::ErrorKind::PermissionDenied => {
                Err(Unasked::Denied(format!("{BUS}: {e}")))
            }
            (Err(e), _) => Err(Unasked::Silent(format!("{BUS}: {e}"))),
        }
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
        // systemd's own socket knows no names.
        let to = self.0.is_bus().then_some(NAME);
        Ok(self.0.call_method(to, path, Some(interface), method, body).await?)
    }

    /// The signals like this, from now on. They must be read as they come: those that wait keep answers from coming through.
    pub async fn signals(&self, mut rule: match_rule::Builder<'_>) -> Result<MessageStream, Unasked> {
        if self.0.is_bus() {
            rule = rule.sender(NAME);
        }
        let stream = MessageStream::for_match_rule(rule.build()?, &self.0, NonZeroUsize::new(MOST_SIGNALS)).await?;
        // Over the bus, systemd tells nothing unless somebody has asked it to.
        self.manager("Subscribe", &()).await?;
        Ok(stream)
    }

    /// Where the manager keeps this unit, which it reads if it does not know it.
    pub async fn unit(&self, name: &str) -> Result<ObjectPath<'static>, Unasked> {
        let reply = self.manager("LoadUnit", &(name,)).await?;
        let path: OwnedObjectPath = reply.body().deserialize()?;
        Ok(path.into_inner())
    }
}

/// To systemd itself, which takes nobody whose pid it cannot see: a container of its own, for one.
async fn direct() -> Option<zbus::Result<Connection>> {
    let socket = socket(PRIVATE).await.ok()?;
    Some(Builder::unix_stream(socket).p2p().build().await)
}

async fn socket(path: &str) -> io::Result<Socket> {
    UnixStream::connect(path).await?.into_std()
}
