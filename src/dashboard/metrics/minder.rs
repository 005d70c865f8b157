//! How minder itself fares, and what it tells whom.

use super::{Dead, Families, Snapshot, Sort, Vitals, flag, seconds};

pub(super) fn add(out: &mut Families, snapshot: &Snapshot, vitals: &Vitals, dead: Option<&Dead>, streams: usize) {
    let labels = [("version", snapshot.version.as_str())];
    out.add(Sort::Info, "minder_build_info".into(), || "The version of minder.".into(), &labels, 1.0);
    let none: &[(&str, &str)] = &[];
    out.gauge("minder_start_timestamp_seconds", "Since when minder runs.", none, seconds(snapshot.since));
    out.gauge("minder_services", "Services of the plan in effect.", none, snapshot.services.len() as f64);
    let help = "The latest plan was refused, and an older one is in effect.";
    out.gauge("minder_plan_refused", help, none, flag(snapshot.refused.is_some()));
    out.gauge("minder_no_act", "minder only says what it would do.", none, flag(snapshot.no_act));
    let help = "The brake holds automatic restarts, over all services.";
    out.gauge("minder_brake_on", help, none, flag(snapshot.brake.is_some()));
    out.gauge("minder_silences", "Silences in effect.", none, snapshot.silences.len() as f64);
    let open = snapshot.services.iter().filter(|service| service.incident.is_some()).count();
    out.gauge("minder_incidents_open", "Incidents of services that are open.", none, open as f64);
    out.gauge("minder_notes", "Notes about minder itself that people should read.", none, snapshot.notes.len() as f64);
    out.gauge("minder_streams_open", "Pages and programs that follow along.", none, streams as f64);

    out.counter("minder_samples_total", "Answers of checks.", none, vitals.samples as f64);
    let help = "Samples that could not be kept in the history.";
    out.counter("minder_samples_dropped_total", help, none, vitals.samples_dropped as f64);
    let help = "A database cannot be written: minder works from memory.";
    out.gauge("minder_store_trouble", help, none, flag(vitals.store_trouble));
    out.counter("minder_loop_steps_total", "Steps of the loop that decides.", none, vitals.steps as f64);
    let help = "Time that the loop was at work: the rest of it, it waited.";
    out.counter("minder_loop_busy_seconds_total", help, none, vitals.stepping.as_secs_f64());
    let help = "The longest step of the loop since minder was started.";
    out.gauge("minder_loop_slowest_step_seconds", help, none, vitals.slowest.as_secs_f64());

    for (notifier, waiting) in &vitals.waiting {
        let help = "Messages that wait for a notifier.";
        out.gauge("minder_messages_waiting", help, &[("notifier", notifier)], *waiting as f64);
    }
    for (notifier, count) in dead.into_iter().flatten() {
        let help =
            "Messages to a notifier that could not be delivered, and can be sent again; a thousand in all are counted.";
        out.gauge("minder_messages_dead", help, &[("notifier", notifier)], *count as f64);
    }
    for (notifier, of) in &vitals.notifiers {
        for (outcome, count) in &of.attempts {
            let help = "Attempts to deliver, each of one or several messages, by what came of them.";
            let labels = [("notifier", &**notifier), ("outcome", *outcome)];
            out.counter("minder_deliveries_total", help, &labels, *count as f64);
        }
        for (outcome, count) in &of.ended {
            let help = "Messages by how they ended.";
            let labels = [("notifier", &**notifier), ("outcome", *outcome)];
            out.counter("minder_messages_total", help, &labels, *count as f64);
        }
    }
}
