//! Whatever happens beside: only silence is missing, and each silence is.

use super::*;
use proptest::prelude::*;

/// What else may happen.
#[derive(Debug, Clone)]
enum Happening {
    Pass(u64),
    Say(Beat),
    Kill,
    Pause,
    Resume,
    Restart,
    KillMinder,
    SetClock(i64),
    Freeze(u64),
}

fn happening() -> impl Strategy<Value = Happening> {
    use Happening::*;
    let beats = [
        Beat::Ready,
        Beat::Reloading,
        Beat::Stopping,
        Beat::Status("x".into()),
        Beat::Extend(Duration::from_secs(7)),
        Beat::Every(Duration::from_secs(30)),
    ];
    prop_oneof![
        8 => (1u64..60_000).prop_map(Pass),
        4 => (0usize..beats.len()).prop_map(move |i| Say(beats[i].clone())),
        2 => Just(Kill),
        1 => Just(Pause),
        2 => Just(Resume),
        1 => Just(Restart),
        2 => Just(KillMinder),
        2 => prop_oneof![Just(86_400_000i64), Just(-86_400_000), Just(3_000), Just(-3_000)].prop_map(SetClock),
        2 => (1u64..100_000).prop_map(Freeze),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// While beats come in time, whatever else happens, nothing is missing. When they stop, it is, at its deadline.
    #[test]
    fn never_missing_while_it_beats_and_missing_when_it_stops(happenings in prop::collection::vec(happening(), 1..40), of_process: bool) {
        let mut world = if of_process { watchdog(every(20)) } else { job(every(20)) };
        // Every 15 s, on a grid, whoever speaks, and also while minder is held up: what waits is read right after.
        let mut next = world.ms;
        let last = std::cell::Cell::new(next + 15_000);
        let mut run = |world: &mut World, ms: u64| {
            let end = world.ms + ms;
            while next <= end {
                let until = next.max(world.ms);
                world.pass(until - world.ms);
                world.beat(Beat::Well);
                next = until + 15_000;
                last.set(next);
            }
            world.pass(end - world.ms);
        };
        for happening in happenings {
            match happening {
                Happening::Pass(ms) => run(&mut world, ms),
                Happening::Say(beat) => world.beat(beat),
                Happening::Kill => world.kill("web", KILL),
                Happening::Pause => world.ask(1, Command::Pause { service: "web".into() }),
                Happening::Resume => world.ask(2, Command::Resume { service: "web".into() }),
                Happening::Restart => world.ask(3, Command::Restart { service: "web".into() }),
                Happening::KillMinder => world.kill_and_restore(),
                Happening::SetClock(by) => world.set += by,
                // One that ends at the very moment of a deadline cannot be told from none.
                Happening::Freeze(ms) => {
                    let since_last = (world.ms + ms + 15_000).saturating_sub(last.get());
                    if ms % 10_000 > 50 && since_last % 10_000 > 50 {
                        world.freeze(ms);
                    }
                }
            }
            run(&mut world, 0);
        }
        if world.web().process.is_none() {
            world.bring_up("web");
        }
        run(&mut world, 60_000);
        world.ask(4, Command::Resume { service: "web".into() });
        let fired = world.fired();
        prop_assert!(!fired.iter().any(|line| line.starts_with("missing fires")), "{:?}", fired);
        // Its own process is there, and says no more. 30 s, if it said so, the grace of 10 s, and a tick.
        run(&mut world, 60_000);
        let (ms, from) = (world.ms, world.log.len());
        world.pass(50_000);
        let missing = world.log[from..].iter().find(|(_, effect)| match effect {
            Effect::Record(Record::Event(event)) => event.kind.to_string().starts_with("missing fires"),
            _ => false,
        });
        prop_assert!(missing.is_some_and(|(at, _)| at - ms <= 31_000), "{:?}", missing.map(|(at, _)| at - ms));
    }
}
