//! One engine step: what a sample of a process check with a cpu and a memory rule costs, question included, beside its floor:
//! the same samples moved into a vector of effects, undecided.
//!
//! `cargo bench --bench engine`

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use crate::model::*;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testing::*;

mod engine {
    pub use minder::engine::*;
}
mod model {
    pub use minder::model::*;
}
#[path = "../src/engine/testing/mod.rs"]
mod testing;

const TICKS: u32 = 60;

fn watched(i: usize) -> Service {
    let mut service = service(&format!("service-{i}")).checks(vec![process(1)]);
    let (cpu, memory) = (service.is(0, "cpu", above(80.0)), service.is(0, "memory", above(5e8)));
    let five_minutes = Hold::For(seconds(300));
    service = service.rule(rule("cpu", cpu, five_minutes, vec![]));
    service.rule(rule("memory", memory, Hold::None, vec![]))
}

fn sample(service: usize, at: Now) -> Arc<Sample> {
    let identity = Identity { pid: u32::try_from(service).unwrap_or(1) + 100, start: 1 };
    let readings = vec![
        (MetricId(0), Reading::Flag(false)),
        (MetricId(2), Reading::Number(f64::from(identity.pid))),
        (MetricId(4), Reading::Number(3.0)),
        (MetricId(6), Reading::Part { value: 1e8, whole: 1e10 }),
    ];
    Arc::new(Sample { at, took: Duration::ZERO, readings, note: None, found: Found::Process(identity) })
}

fn measure(services: usize) -> (Duration, Duration) {
    let plan = plan((0..services).map(watched).collect());
    let (mut engine, first) = engine::Engine::new(plan, setting(), Restored::default(), now(1_000_000));
    let asked = |effects: &[Effect]| -> Vec<CheckId> {
        let ask = |e: &Effect| if let Effect::Ask(q) = e { Some(q.check) } else { None };
        effects.iter().filter_map(ask).collect()
    };
    let mut questions = asked(&first);
    let (mut engine_took, mut floor_took) = (Duration::ZERO, Duration::ZERO);
    for tick in 0..=TICKS {
        assert_eq!(questions.len(), services);
        let at = now(1_000_001 + u64::from(tick) * 1000);
        let samples: Vec<_> = questions.iter().enumerate().map(|(i, check)| (*check, sample(i, at))).collect();
        let copy = samples.clone();
        let begin = Instant::now();
        let effects = engine.handle(Input::Sampled(samples), at);
        let asks = engine.handle(Input::Woken, now(1_001_000 + u64::from(tick) * 1000));
        let took = begin.elapsed();
        let begin = Instant::now();
        let floor: Vec<Effect> = copy.iter().map(|(check, sample)| Effect::Keep(*check, Arc::clone(sample))).collect();
        // The first tick meets every process for the first time.
        if tick > 0 {
            floor_took += begin.elapsed();
            engine_took += took;
        }
        black_box((effects, floor));
        questions = asked(&asks);
    }
    let each = TICKS * u32::try_from(services).unwrap_or(1);
    (engine_took / each, floor_took / each)
}

fn main() {
    println!("an effect is {} bytes", size_of::<Effect>());
    for services in [1, 1_000, 5_000] {
        let (engine, floor) = measure(services);
        println!("{services:5} services: {engine:?} a sample, question included; floor {floor:?}");
    }
}
