//! Samples as a stream of bits, packed as they come.
//!
//! After "Gorilla: A Fast, Scalable, In-Memory Time Series Database" (Pelkonen and others, VLDB 2015): of times, the change of
//! the step from one to the next; of values, the bits that differ from the value before. A second of a check that is well
//! costs a bit for its time and one for each metric. Nothing is rounded: what comes out is what went in, bit for bit.
//!
//! ```text
//! time    0                       the same step as before
//!         10 110 1110             the step has changed by a signed number of 7, 9, 12 bits
//!         1111                    .. of 64 bits
//! value   0                       as before, also if that was missing
//!         10 bits                 the bits that differ, within the window of the one before
//!         110 lead len bits       .. within a new window: 5 bits of leading zeros, 6 bits of length - 1
//!         111                     missing
//! ```

/// Packed samples of one series.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Packed {
    /// When the first was taken, in milliseconds since 1970.
    pub start: i64,
    /// When the last was taken.
    pub end: i64,
    /// How many.
    pub rows: u32,
    /// The bits.
    pub data: Box<[u8]>,
}

/// Packs the samples of one series.
#[derive(Debug)]
pub(super) struct Encoder {
    times: Times,
    rows: u32,
    start: i64,
    columns: Box<[Column]>,
    bits: Bits,
}

#[derive(Debug, Clone, Copy, Default)]
struct Times {
    last: i64,
    step: i64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Column {
    value: u64,
    missing: bool,
    lead: u8,
    /// 0: there is no window yet.
    len: u8,
}

const TIME_BITS: [u32; 3] = [7, 9, 12];

impl Encoder {
    /// An empty one for so many metrics.
    pub fn new(columns: usize) -> Encoder {
        Encoder {
            times: Times::default(),
            rows: 0,
            start: 0,
            columns: vec![Column::default(); columns].into(),
            bits: Bits::default(),
        }
    }
    /// When the first and the last sample in here were taken; nothing if it is empty.
    pub fn span(&self) -> Option<(i64, i64)> {
        (self.rows > 0).then_some((self.start, self.times.last))
    }
    /// The memory that the bits take.
    pub fn bytes(&self) -> usize {
        self.bits.bytes.capacity()
    }
    /// Adds a sample.
    pub fn push(&mut self, at: i64, mut value: impl FnMut(usize) -> Option<f64>) {
        if self.rows == 0 {
            self.start = at;
            self.times = Times { last: at, step: 0 };
        }
        let step = at.wrapping_sub(self.times.last);
        let change = step.wrapping_sub(self.times.step);
        self.times = Times { last: at, step };
        self.bits.time(change);
        for (i, column) in self.columns.iter_mut().enumerate() {
            self.bits.value(column, value(i));
        }
        self.rows += 1;
    }
    /// What is in here, packed; nothing if it is empty.
    pub fn peek(&self) -> Option<Packed> {
        let (start, end) = self.span()?;
        Some(Packed { start, end, rows: self.rows, data: self.bits.clone().finish() })
    }
    /// The same, and empties it.
    pub fn take(&mut self) -> Option<Packed> {
        let (start, end) = self.span()?;
        let data = std::mem::take(&mut self.bits).finish();
        let packed = Packed { start, end, rows: self.rows, data };
        self.rows = 0;
        self.columns.fill(Column::default());
        Some(packed)
    }
}

/// Calls `row` with each sample in order. False if the data ends early: it is damaged, and the rest is lost.
pub(super) fn unpack(
    start: i64,
    rows: u32,
    columns: usize,
    data: &[u8],
    mut row: impl FnMut(i64, &[Option<f64>]),
) -> bool {
    let mut reader = BitReader { data, at: 0 };
    let mut times = Times { last: start, step: 0 };
    let mut state = vec![Column::default(); columns];
    let mut values = vec![None; columns];
    for _ in 0..rows {
        let Some(change) = reader.time() else { return false };
        times.step = times.step.wrapping_add(change);
        times.last = times.last.wrapping_add(times.step);
        for (column, value) in state.iter_mut().zip(&mut values) {
            if reader.value(column).is_none() {
                return false;
            }
            *value = (!column.missing).then(|| f64::from_bits(column.value));
        }
        row(times.last, &values);
    }
    true
}

#[derive(Debug, Clone, Default)]
struct Bits {
    bytes: Vec<u8>,
    pending: u64,
    filled: u32,
}

impl Bits {
    /// The lowest `n` bits, at most 56: fewer than 8 are pending.
    fn push(&mut self, bits: u64, n: u32) {
        self.pending = (self.pending << n) | (bits & ((1 << n) - 1));
        self.filled += n;
        while self.filled >= 8 {
            self.filled -= 8;
            if self.bytes.len() == self.bytes.capacity() {
                // Doubling would waste up to half of what all buffers together may take.
                self.bytes.reserve_exact(96);
            }
            self.bytes.push((self.pending >> self.filled) as u8);
        }
    }
    fn push_wide(&mut self, bits: u64, n: u32) {
        if n > 32 {
            self.push(bits >> 32, n - 32);
            self.push(bits, 32);
        } else {
            self.push(bits, n);
        }
    }
    fn finish(mut self) -> Box<[u8]> {
        if self.filled > 0 {
            self.push(0, 8 - self.filled);
        }
        self.bytes.into_boxed_slice()
    }
    fn time(&mut self, change: i64) {
        if change == 0 {
            return self.push(0, 1);
        }
        for (i, n) in TIME_BITS.into_iter().enumerate() {
            let half = 1 << (n - 1);
            if (-half..half).contains(&change) {
                let prefix = i as u32 + 2;
                // i + 1 ones and a zero.
                self.push((1 << prefix) - 2, prefix);
                return self.push(change as u64, n);
            }
        }
        self.push(0b1111, 4);
        self.push_wide(change as u64, 64);
    }
    fn value(&mut self, column: &mut Column, value: Option<f64>) {
        let Some(value) = value else {
            if column.missing {
                return self.push(0, 1);
            }
            column.missing = true;
            return self.push(0b111, 3);
        };
        let differs = value.to_bits() ^ column.value;
        if differs == 0 && !column.missing {
            return self.push(0, 1);
        }
        column.missing = false;
        column.value = value.to_bits();
        let (lead, trail) = (differs.leading_zeros().min(31), differs.trailing_zeros().min(32));
        let (old_lead, old_len) = (u32::from(column.lead), u32::from(column.len));
        if old_len > 0 && lead >= old_lead && trail >= 64 - old_lead - old_len {
            self.push(0b10, 2);
            return self.push_wide(differs >> (64 - old_lead - old_len), old_len);
        }
        let len = 64 - lead - trail;
        (column.lead, column.len) = (lead as u8, len as u8);
        self.push(0b110, 3);
        self.push(u64::from(lead), 5);
        self.push(u64::from(len - 1), 6);
        self.push_wide(differs >> trail, len);
    }
}

struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
}

impl BitReader<'_> {
    fn bit(&mut self) -> Option<bool> {
        let byte = self.data.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit == 1)
    }
    fn bits(&mut self, n: u32) -> Option<u64> {
        let mut bits = 0;
        let mut left = n;
        while left > 0 {
            let byte = u64::from(*self.data.get(self.at / 8)?);
            let here = 8 - (self.at % 8) as u32;
            let take = here.min(left);
            bits = bits << take | (byte >> (here - take)) & ((1 << take) - 1);
            self.at += take as usize;
            left -= take;
        }
        Some(bits)
    }
    fn time(&mut self) -> Option<i64> {
        if !self.bit()? {
            return Some(0);
        }
        for n in TIME_BITS {
            if !self.bit()? {
                let unused = 64 - n;
                // The sign is the highest of the n bits.
                return Some((self.bits(n)? << unused) as i64 >> unused);
            }
        }
        self.bits(64).map(|bits| bits as i64)
    }
    fn value(&mut self, column: &mut Column) -> Option<()> {
        if !self.bit()? {
            return Some(());
        }
        let (lead, len) = if !self.bit()? {
            (u32::from(column.lead), u32::from(column.len))
        } else if !self.bit()? {
            let lead = self.bits(5)? as u32;
            let len = self.bits(6)? as u32 + 1;
            (column.lead, column.len) = (lead as u8, len as u8);
            (lead, len)
        } else {
            column.missing = true;
            return Some(());
        };
        // Damaged data may name a window that does not exist.
        let trail = 64u32.checked_sub(lead + len).filter(|_| len > 0)?;
        column.value ^= self.bits(len)? << trail;
        column.missing = false;
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Row = (i64, Vec<Option<u64>>);

    fn pack(columns: usize, rows: &[Row]) -> Option<Packed> {
        let mut encoder = Encoder::new(columns);
        for (at, values) in rows {
            encoder.push(*at, |i| values[i].map(f64::from_bits));
        }
        let peeked = encoder.peek();
        let packed = encoder.take();
        assert_eq!(peeked, packed);
        assert!(encoder.take().is_none());
        packed
    }

    fn unpacked(columns: usize, packed: &Packed) -> Vec<Row> {
        let mut rows = Vec::new();
        assert!(unpack(packed.start, packed.rows, columns, &packed.data, |at, values| {
            rows.push((at, values.iter().map(|v| v.map(f64::to_bits)).collect()));
        }));
        rows
    }

    fn value() -> impl Strategy<Value = Option<u64>> {
        prop_oneof![
            3 => Just(None),
            4 => (0..3u8).prop_map(|v| Some(f64::from(v).to_bits())),
            4 => (0..1000u32).prop_map(|v| Some((f64::from(v) * 4096.0).to_bits())),
            4 => any::<f64>().prop_map(|v| Some(v.to_bits())),
            4 => any::<u64>().prop_map(Some),
            1 => Just(Some(f64::NAN.to_bits())),
        ]
    }

    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![6 => 995..1005i64, 2 => -5000..5000i64, 1 => any::<i64>()]
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out(columns in 0usize..5, start in any::<i64>(), more in
            proptest::collection::vec((step(), proptest::collection::vec(value(), 5)), 0..200))
        {
            let mut at = start;
            let rows: Vec<Row> = more.into_iter().map(|(step, mut values)| {
                at = at.wrapping_add(step);
                values.truncate(columns);
                (at, values)
            }).collect();
            match pack(columns, &rows) {
                None => prop_assert!(rows.is_empty()),
                Some(packed) => prop_assert_eq!(unpacked(columns, &packed), rows),
            }
        }

        #[test]
        fn damaged_data_is_no_more_than_damaged(columns in 0usize..5, start in any::<i64>(), rows in any::<u32>(),
            data in proptest::collection::vec(any::<u8>(), 0..300))
        {
            let mut seen = 0usize;
            unpack(start, rows, columns, &data, |_, _| seen += 1);
            prop_assert!(seen <= data.len() * 8);
        }
    }

    #[test]
    fn a_check_that_is_well_costs_a_bit_for_each_of_its_values() {
        let rows: Vec<Row> = (0..60).map(|i| (i * 1000, vec![Some(0), Some(5e6f64.to_bits())])).collect();
        let packed = pack(2, &rows).unwrap();
        assert!(packed.data.len() < 40, "{}", packed.data.len());
    }
}
