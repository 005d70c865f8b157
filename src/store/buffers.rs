//! Samples in memory: packed as they come, a block for each check, until the writer has them on disk.

use super::codec::{Encoder, Packed};
use super::lock;
use crate::model::{CheckId, HistoryLimits, MetricId, Name, Reading, Sample, Series};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// So many turns of the writer until each check's block has been sealed: a turn a second, a minute in all.
const TURNS: usize = 60;
/// Above this the writer seals more than its share at each turn.
const SOFT_LIMIT: usize = 1_500_000;
/// Above this the oldest block that is not yet on disk is dropped.
const HARD_LIMIT: usize = 2_000_000;
/// What a block weighs beside its data.
const BLOCK_OVERHEAD: usize = 96;
/// SQLite stores a larger row of an index-organised table in pages of its own, mostly empty.
const BLOCK_BYTES: usize = 900;
/// No block spans more: a query looks only so far back for blocks that reach into its time.
pub(super) const BLOCK_SPAN: i64 = 600_000;

/// Packed samples on their way to the disk.
#[derive(Debug)]
pub(super) struct Block {
    pub check: CheckId,
    pub series: Arc<Series>,
    pub packed: Packed,
    /// Of what the metrics were a part, from when on: only where that has changed. What is not in here is as it was before.
    pub wholes: Option<Packed>,
}

impl Block {
    fn weight(&self) -> usize {
        self.packed.data.len() + self.wholes.as_ref().map_or(0, |wholes| wholes.data.len()) + BLOCK_OVERHEAD
    }
}

/// The names of a series' metrics, in the order of its rows.
pub(super) fn metric_names(series: &Series) -> Vec<&'static str> {
    series.metrics.iter().filter_map(|id| series.table.get(usize::from(id.0)).map(|m| m.name)).collect()
}

struct Slot {
    series: Arc<Series>,
    metrics: Box<[MetricId]>,
    encoder: Encoder,
    /// The whole of each metric as it was last: NaN where there is none, infinite where it has not been seen yet.
    wholes: Box<[f64]>,
    /// The changes of these since the last block. A whole hardly ever changes: then there is none, and it costs nothing.
    changes: Option<Box<Encoder>>,
}

impl Slot {
    /// The memory that grows with the samples.
    fn bytes(&self) -> usize {
        self.encoder.bytes() + self.changes.as_ref().map_or(0, |changes| changes.bytes())
    }
    fn push(&mut self, sample: &Sample) {
        let at = sample.at.wall.0;
        let (metrics, wholes) = (&self.metrics, &mut self.wholes);
        let mut changed = false;
        self.encoder.push(at, |i| {
            let reading = sample.reading(metrics[i]);
            // What is missing says nothing of its whole.
            let whole = match reading {
                Reading::Part { whole, .. } => *whole,
                Reading::Number(_) => f64::NAN,
                _ => wholes[i],
            };
            if whole.to_bits() != wholes[i].to_bits() {
                wholes[i] = whole;
                changed = true;
            }
            reading.number()
        });
        if changed {
            let changes = self.changes.get_or_insert_with(|| Box::new(Encoder::new(wholes.len())));
            changes.push(at, |i| Some(wholes[i]).filter(|whole| whole.is_finite()));
        }
    }
    /// They are written with the next sample, as if they had changed.
    fn forget_wholes(&mut self) {
        let is_part = |id: &MetricId| self.series.table.get(usize::from(id.0)).is_some_and(|metric| metric.of_whole);
        self.wholes = self.metrics.iter().map(|id| if is_part(id) { f64::INFINITY } else { f64::NAN }).collect();
    }
}

/// The buffers of all checks.
#[derive(Default)]
pub(super) struct Buffers {
    inner: Mutex<Inner>,
    wake: Condvar,
}

struct Inner {
    /// A check's slot is in the shard of its number, so that each turn seals its share.
    shards: Vec<HashMap<CheckId, Box<Slot>>>,
    turn: usize,
    names: HashMap<(Name, Name), CheckId>,
    /// Memory of the blocks that still grow.
    growing: usize,
    sealed: Sealed,
    gone: Vec<CheckId>,
    limits: HistoryLimits,
    closing: bool,
}

/// Blocks that are complete, oldest first. Each has a number, growing by one.
#[derive(Default)]
struct Sealed {
    blocks: VecDeque<Arc<Block>>,
    /// The number of the first.
    first: u64,
    bytes: usize,
    /// Samples in blocks that were given up.
    dropped: u64,
}

impl Sealed {
    fn take(&mut self, check: CheckId, slot: &mut Slot) {
        if let Some(packed) = slot.encoder.take() {
            let wholes = slot.changes.take().and_then(|mut changes| changes.take());
            let block = Block { check, series: slot.series.clone(), packed, wholes };
            self.bytes += block.weight();
            self.blocks.push_back(Arc::new(block));
        }
    }
    fn pop(&mut self) -> Option<Arc<Block>> {
        let block = self.blocks.pop_front()?;
        self.first += 1;
        self.bytes -= block.weight();
        Some(block)
    }
}

impl Default for Inner {
    fn default() -> Inner {
        Inner {
            shards: (0..TURNS).map(|_| HashMap::new()).collect(),
            turn: 0,
            names: HashMap::new(),
            growing: 0,
            sealed: Sealed::default(),
            gone: Vec::new(),
            limits: HistoryLimits::default(),
            closing: false,
        }
    }
}

/// What the writer has to do in its turn.
pub(super) struct Turn {
    /// To be written; they stay here, for queries and for another try, until [`Buffers::written`].
    pub blocks: Vec<Arc<Block>>,
    /// The number after the last of these.
    pub end: u64,
    /// Checks that have ended.
    pub gone: Vec<CheckId>,
    pub limits: HistoryLimits,
    /// It is the last one.
    pub closing: bool,
}

impl Buffers {
    /// These are the metrics to keep of this check.
    pub fn series(&self, check: CheckId, series: Series) {
        let mut inner = lock(&self.inner);
        if inner.slot(check).is_some_and(|slot| *slot.series == series) {
            return;
        }
        inner.remove(check);
        let metrics = series.metrics.iter().filter(|id| usize::from(id.0) < series.table.len());
        let metrics: Box<[MetricId]> = metrics.collect();
        if metrics.is_empty() {
            return;
        }
        let name = (series.service.clone(), series.check.clone());
        if let Some(before) = inner.names.insert(name, check) {
            inner.remove(before);
        }
        let encoder = Encoder::new(metrics.len());
        let mut slot = Slot { series: Arc::new(series), metrics, encoder, wholes: Box::default(), changes: None };
        slot.forget_wholes();
        inner.shards[check.0 as usize % TURNS].insert(check, Box::new(slot));
    }

    /// The check is no longer asked.
    pub fn forget(&self, check: CheckId) {
        let mut inner = lock(&self.inner);
        if let Some(series) = inner.slot(check).map(|slot| slot.series.clone()) {
            inner.names.remove(&(series.service.clone(), series.check.clone()));
            inner.remove(check);
        }
    }

    /// Adds a sample. Called for every sample of every check: no allocation but for the growing buffer.
    pub fn keep(&self, check: CheckId, sample: &Sample) {
        let inner = &mut *lock(&self.inner);
        let at = sample.at.wall.0;
        let Some(slot) = inner.shards[check.0 as usize % TURNS].get_mut(&check) else { return };
        let bytes = slot.bytes();
        inner.growing -= bytes;
        // A clock that steps back begins a new block: within a block, time only grows.
        if let Some((start, last)) = slot.encoder.span()
            && (at < last || at.saturating_sub(start) > BLOCK_SPAN || bytes > BLOCK_BYTES)
        {
            inner.sealed.take(check, slot);
            if at < last {
                // What was written of them lies in the future.
                slot.forget_wholes();
            }
        }
        slot.push(sample);
        inner.growing += slot.bytes();
        while inner.growing + inner.sealed.bytes > HARD_LIMIT {
            if !inner.drop_oldest() {
                break;
            }
        }
    }

    /// Waits for the writer's next turn, seals what is due, and hands over all that is not yet on disk.
    pub fn turn(&self, wait: Duration) -> Turn {
        let guard = lock(&self.inner);
        let mut guard = match self.wake.wait_timeout_while(guard, wait, |inner| !inner.closing) {
            Ok((guard, _)) => guard,
            Err(poisoned) => poisoned.into_inner().0,
        };
        let inner = &mut *guard;
        let shards = if inner.closing { TURNS } else { 1 };
        for sealed in 0..TURNS {
            if sealed >= shards && inner.growing <= SOFT_LIMIT {
                break;
            }
            inner.turn = (inner.turn + 1) % TURNS;
            inner.seal(inner.turn);
        }
        Turn {
            blocks: inner.sealed.blocks.iter().cloned().collect(),
            end: inner.sealed.first + inner.sealed.blocks.len() as u64,
            gone: std::mem::take(&mut inner.gone),
            limits: inner.limits.clone(),
            closing: inner.closing,
        }
    }

    /// The blocks before this number are on disk.
    pub fn written(&self, end: u64) {
        let mut inner = lock(&self.inner);
        while inner.sealed.first < end && inner.sealed.pop().is_some() {}
    }

    /// Every block in memory of this check, oldest first.
    pub fn blocks(&self, service: &str, check: &str) -> Vec<Arc<Block>> {
        let name = (Name::from(service), Name::from(check));
        let inner = lock(&self.inner);
        let of_check = |block: &&Arc<Block>| *block.series.service == *service && *block.series.check == *check;
        let mut blocks: Vec<Arc<Block>> = inner.sealed.blocks.iter().filter(of_check).cloned().collect();
        if let Some((check, slot)) = inner.names.get(&name).and_then(|check| Some((*check, inner.slot(*check)?)))
            && let Some(packed) = slot.encoder.peek()
        {
            let wholes = slot.changes.as_ref().and_then(|changes| changes.peek());
            blocks.push(Arc::new(Block { check, series: slot.series.clone(), packed, wholes }));
        }
        blocks
    }

    pub fn limits(&self, limits: &HistoryLimits) {
        lock(&self.inner).limits = limits.clone();
    }

    /// How many samples were dropped because they could not be written.
    pub fn dropped(&self) -> u64 {
        lock(&self.inner).sealed.dropped
    }

    /// How much memory the samples take.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        let inner = lock(&self.inner);
        inner.growing + inner.sealed.bytes
    }

    /// The writer's next turn is its last.
    pub fn close(&self) {
        lock(&self.inner).closing = true;
        self.wake.notify_all();
    }
}

impl Inner {
    fn slot(&self, check: CheckId) -> Option<&Slot> {
        self.shards[check.0 as usize % TURNS].get(&check).map(|slot| &**slot)
    }

    fn remove(&mut self, check: CheckId) {
        if let Some(mut slot) = self.shards[check.0 as usize % TURNS].remove(&check) {
            self.growing -= slot.bytes();
            self.sealed.take(check, &mut slot);
            self.gone.push(check);
        }
    }

    fn seal(&mut self, shard: usize) {
        for (check, slot) in &mut self.shards[shard] {
            self.growing -= slot.bytes();
            self.sealed.take(*check, slot);
        }
    }

    fn drop_oldest(&mut self) -> bool {
        if self.sealed.blocks.is_empty() {
            // Between two turns of the writer; only with tens of thousands of samples a second.
            self.turn = (self.turn + 1) % TURNS;
            self.seal(self.turn);
        }
        let dropped = self.sealed.pop();
        if let Some(block) = dropped.as_ref().filter(|block| block.wholes.is_some())
            && let Some(slot) = self.shards[block.check.0 as usize % TURNS].get_mut(&block.check)
        {
            slot.forget_wholes();
        }
        self.sealed.dropped += dropped.as_ref().map_or(0, |block| u64::from(block.packed.rows));
        dropped.is_some()
    }
}
