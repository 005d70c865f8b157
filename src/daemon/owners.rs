//! Whose the processes are that are watched: noted while they live, since a report of an end comes after it.

use crate::model::Identity;
use crate::sys::proc;
use std::collections::{HashMap, HashSet};

/// User by process.
#[derive(Default)]
pub(super) struct Owners(HashMap<Identity, u32>);

impl Owners {
    /// A process is watched from now on. Those that are of no interest any more are forgotten as new ones come.
    pub(super) fn note(
        &mut self,
        identity: Identity,
        services: usize,
        of_interest: impl FnOnce() -> HashSet<Identity>,
    ) {
        if self.0.len() > 2 * services + 64 {
            let of_interest = of_interest();
            self.0.retain(|identity, _| of_interest.contains(identity));
        }
        let user = proc::user(identity.pid);
        // If it has this pid now, it had it when the user was looked up.
        if let (Ok(user), Ok(stat)) = (user, proc::stat(identity.pid))
            && stat.start == identity.start
        {
            self.0.insert(identity, user);
        }
    }

    /// Whether this user may report the end of this process: root may report any.
    pub(super) fn may_report(&self, uid: u32, process: Option<Identity>) -> bool {
        uid == 0 || process.is_some_and(|process| self.0.get(&process) == Some(&uid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_root_and_its_owner_may_report_the_end_of_a_process() {
        let me = std::process::id();
        let own = rustix::process::geteuid().as_raw();
        let identity = Identity { pid: me, start: proc::stat(me).unwrap().start };
        let mut owners = Owners::default();
        owners.note(identity, 1, HashSet::new);
        let table = [
            (0, Some(identity), true),
            (0, None, true),
            (own, Some(identity), true),
            (own + 1, Some(identity), false),
            (own + 1, None, false),
            (own + 1, Some(Identity { start: 1, ..identity }), false),
        ];
        for (uid, process, may) in table {
            assert_eq!(owners.may_report(uid, process), may, "{uid} {process:?}");
        }
        owners.note(Identity { start: 1, ..identity }, 1, HashSet::new);
        assert_eq!(owners.0.len(), 1, "another had this pid");
    }

    #[test]
    fn the_dead_are_forgotten_in_time() {
        let me = std::process::id();
        let identity = Identity { pid: me, start: proc::stat(me).unwrap().start };
        let mut owners = Owners((0..100).map(|pid| (Identity { pid, start: 0 }, 7)).collect());
        owners.note(identity, 1, || HashSet::from([Identity { pid: 5, start: 0 }]));
        assert_eq!(owners.0.len(), 2);
    }
}
