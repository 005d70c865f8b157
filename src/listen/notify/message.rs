//! What a datagram of sd_notify(3) says.

use crate::model::kinds::Beat;
use crate::model::{clip, plain};
use std::time::Duration;

/// The longest datagram: what systemd takes (`NOTIFY_BUFFER_MAX`). A longer one is cut, and then it is none.
pub(super) const MOST: usize = 4096;

/// The longest status, in characters.
const STATUS_LENGTH: usize = 256;

/// The longest time that is believed. More is no promise, and must not overflow a moment that it is added to.
const LONGEST: Duration = Duration::from_secs(365 * 86_400);

/// A datagram, read.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// The sender waits until all before this is taken in, and then finds the descriptor closed that came with it. As with
    /// systemd it stands alone: whatever else is in such a message does not count.
    Barrier,
    /// It says something of itself.
    Beats {
        /// `MAINPID=`, still to be looked at.
        main: Option<u32>,
        /// Each kind at most once, in the order in which systemd heeds them.
        beats: Vec<Beat>,
    },
}

/// Reads lines of `KEY=VALUE`. As with systemd, the first of a key counts, and what is not known is passed over: descriptors to
/// be stored, `ERRNO=`, `MONOTONIC_USEC=` and whatever comes later.
pub(super) fn read(datagram: &[u8]) -> Said {
    let value = |key: &str| {
        let mut lines = datagram.split(|byte| *byte == b'\n');
        lines.find_map(|line| line.strip_prefix(key.as_bytes())?.strip_prefix(b"="))
    };
    let says = |key, word: &str| value(key) == Some(word.as_bytes());
    let number = |key| value(key).and_then(|digits| str::from_utf8(digits).ok()?.parse::<u64>().ok());
    // Without a time there is nothing to wait for, and systemd's infinity is a time that nobody waits for: neither is heeded.
    let time = |key| {
        let micros = number(key).filter(|micros| !matches!(*micros, 0 | u64::MAX));
        micros.map(|micros| Duration::from_micros(micros).min(LONGEST))
    };
    if says("BARRIER", "1") {
        return Said::Barrier;
    }
    let status = value("STATUS").map(|text| clip(plain(&String::from_utf8_lossy(text)).trim(), STATUS_LENGTH));
    let beats = [
        time("WATCHDOG_USEC").map(Beat::Every),
        says("RELOADING", "1").then_some(Beat::Reloading),
        says("READY", "1").then_some(Beat::Ready),
        says("STOPPING", "1").then_some(Beat::Stopping),
        status.map(|text| Beat::Status(text.into())),
        time("EXTEND_TIMEOUT_USEC").map(Beat::Extend),
        says("WATCHDOG", "trigger").then_some(Beat::Trigger),
        says("WATCHDOG", "1").then_some(Beat::Well),
    ];
    let main = number("MAINPID").and_then(|pid| u32::try_from(pid).ok());
    Said::Beats { main, beats: beats.into_iter().flatten().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn beats(text: impl AsRef<[u8]>) -> Vec<Beat> {
        match read(text.as_ref()) {
            Said::Beats { main: None, beats } => beats,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_word_is_known() {
        let status = |text: &str| vec![Beat::Status(text.into())];
        let micros = Duration::from_micros;
        for (text, said) in [
            ("WATCHDOG=1", vec![Beat::Well]),
            ("WATCHDOG=trigger", vec![Beat::Trigger]),
            ("READY=1\n", vec![Beat::Ready]),
            ("RELOADING=1\nMONOTONIC_USEC=12", vec![Beat::Reloading]),
            ("STOPPING=1", vec![Beat::Stopping]),
            ("STATUS=Serving 3 of 4", status("Serving 3 of 4")),
            ("STATUS=a=b", status("a=b")),
            ("STATUS=", status("")),
            ("WATCHDOG_USEC=1500000", vec![Beat::Every(micros(1_500_000))]),
            ("EXTEND_TIMEOUT_USEC=7", vec![Beat::Extend(micros(7))]),
            ("WATCHDOG=1\nREADY=1", vec![Beat::Ready, Beat::Well]),
            ("WATCHDOG=1\nWATCHDOG=1\nWATCHDOG=1", vec![Beat::Well]),
            ("STATUS=one\nSTATUS=two", status("one")),
            // Not these words.
            ("", vec![]),
            ("\n\n=\n==\nx", vec![]),
            ("READY=0\nWATCHDOG=2\nREADY", vec![]),
            (" READY=1\nready=1\nREADY=1 ", vec![]),
            ("WATCHDOG_USEC=0\nEXTEND_TIMEOUT_USEC=18446744073709551615", vec![]),
            ("WATCHDOG_USEC=-1\nEXTEND_TIMEOUT_USEC=1s", vec![]),
            ("FDSTORE=1\nFDNAME=x\nFDSTOREREMOVE=1\nBARRIER=0", vec![]),
        ] {
            assert_eq!(beats(text), said, "{text:?}");
        }
        assert_eq!(beats("WATCHDOG_USEC=18446744073709551614"), [Beat::Every(LONGEST)]);
    }

    #[test]
    fn a_process_is_named_and_a_barrier_stands_alone() {
        assert_eq!(read(b"MAINPID=4711"), Said::Beats { main: Some(4711), beats: vec![] });
        for bad in ["MAINPID=", "MAINPID=-1", "MAINPID=99999999999", "MAINPID=1 2"] {
            assert_eq!(beats(bad), [], "{bad}");
        }
        assert_eq!(read(b"BARRIER=1"), Said::Barrier);
        assert_eq!(read(b"READY=1\nBARRIER=1"), Said::Barrier);
    }

    #[test]
    fn a_status_is_fit_to_be_shown() {
        assert_eq!(
            beats(b"STATUS=\x1b[2Jred\x07 \xff\xfe end\r"),
            [Beat::Status("[2Jred  \u{fffd}\u{fffd} end".into())]
        );
        let long = format!("STATUS={}", "ä".repeat(1000));
        let [Beat::Status(text)] = &beats(long)[..] else { panic!() };
        assert_eq!(text.chars().count(), STATUS_LENGTH);
    }

    proptest! {
        /// Whatever comes: no panic, each kind at most once, nothing that moves a cursor.
        #[test]
        fn any_bytes_are_survived(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..MOST),
                "((READY|WATCHDOG|STATUS|MAINPID|WATCHDOG_USEC|STOPPING|BARRIER)?=?(1|trigger|[0-9]{0,25}|\\PC*)\n?){0,30}".prop_map(String::into_bytes),
            ]
        ) {
            if let Said::Beats { beats, .. } = read(&bytes) {
                for (i, beat) in beats.iter().enumerate() {
                    let alike = |other: &Beat| std::mem::discriminant(other) == std::mem::discriminant(beat);
                    prop_assert!(!beats[..i].iter().any(alike));
                    if let Beat::Status(text) = beat {
                        prop_assert!(!text.contains(char::is_control) && text.chars().count() <= STATUS_LENGTH);
                    }
                }
            }
        }
    }
}
