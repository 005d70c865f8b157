//! The path of a line, of the band around it, and of a limit.

use super::axis::Scale;
use super::{BOX, Limit};
use crate::dashboard::Sum;
use crate::dashboard::page::span::Cut;
use crate::model::Wall;
use std::fmt::Write;

/// Values further apart than this, in milliseconds, and than three times their usual distance, are not joined by a line.
const GAP: i64 = 150_000;

/// A point in the box: where, the mean, and from what to what it went.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    x: i32,
    mean: i32,
    least: i32,
    greatest: i32,
}

/// The points in pieces, each without a gap.
fn pieces(parts: &[(Wall, Sum)], cut: Cut, scale: &Scale, every: i64) -> Vec<Vec<Point>> {
    let gap = GAP.max(every.saturating_mul(3)).max(cut.step() * 2);
    // A thousandth is less than a pixel, and a whole number is short.
    let y = |value: f64| (scale.depth(value) * BOX).round() as i32;
    let mut pieces: Vec<Vec<Point>> = Vec::new();
    let mut last: Option<Wall> = None;
    for (at, sum) in parts {
        let Some(mean) = sum.mean() else { continue };
        let x = (cut.share(Wall(at.0 + cut.step() / 2)) * BOX).round() as i32;
        let point = Point { x, mean: y(mean), least: y(sum.min), greatest: y(sum.max) };
        match pieces.last_mut() {
            Some(piece) if last.is_some_and(|last| at.0 - last.0 <= gap) => piece.push(point),
            _ => pieces.push(vec![point]),
        }
        last = Some(*at);
    }
    pieces
}

/// A line by way of these points, from where the path is.
fn lines(path: &mut String, mut from: (i32, i32), points: impl Iterator<Item = (i32, i32)>) {
    for (x, y) in points {
        let (dx, dy) = (x - from.0, y - from.1);
        let _ = match (dx, dy) {
            (0, 0) => Ok(()),
            (0, _) => write!(path, "v{dy}"),
            (_, 0) => write!(path, "h{dx}"),
            _ => write!(path, "l{dx} {dy}"),
        };
        from = (x, y);
    }
}

/// The line of the means, and the band from the least to the greatest, which is empty if there is none.
pub fn of(parts: &[(Wall, Sum)], cut: Cut, scale: &Scale, every: i64) -> (String, String) {
    let (mut line, mut band) = (String::new(), String::new());
    let pieces = pieces(parts, cut, scale, every);
    let is_band = pieces.iter().flatten().any(|point| point.least != point.greatest);
    for piece in &pieces {
        let (Some(first), Some(last)) = (piece.first(), piece.last()) else { continue };
        let _ = write!(line, "M{} {}", first.x, first.mean);
        match piece.len() {
            // A dot: round ends make it visible.
            1 => line.push_str("h0"),
            _ => lines(&mut line, (first.x, first.mean), piece.iter().skip(1).map(|p| (p.x, p.mean))),
        }
        if is_band {
            let _ = write!(band, "M{} {}", first.x, first.greatest);
            let back = piece.iter().rev().map(|p| (p.x, p.least));
            lines(&mut band, (first.x, first.greatest), piece.iter().skip(1).map(|p| (p.x, p.greatest)));
            lines(&mut band, (last.x, last.greatest), back);
            band.push('z');
        }
    }
    (line, band)
}

/// A limit from when it is known to the right edge, with a step where it changes.
pub fn of_limit(limit: &Limit, cut: Cut, scale: &Scale) -> String {
    let mut line = String::new();
    let mut is_down = false;
    for (i, (from, value)) in limit.steps.iter().enumerate() {
        let until = limit.steps.get(i + 1).map_or(cut.to, |(next, _)| *next);
        let Some(value) = value.filter(|_| until > cut.from && *from < cut.to) else {
            is_down = false;
            continue;
        };
        let (x, y) = ((cut.share(*from) * BOX).round(), (scale.depth(value) * BOX).round());
        let _ = match is_down {
            true => write!(line, "V{y}"),
            false => write!(line, "M{x} {y}"),
        };
        let _ = write!(line, "H{}", (cut.share(until) * BOX).round());
        is_down = true;
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUT: Cut = Cut { from: Wall(0), to: Wall(1_000_000), parts: 100 };

    fn scale() -> Scale {
        Scale::new([0.0, 100.0].into_iter(), "percent")
    }

    fn one(at: i64, value: f64) -> (Wall, Sum) {
        (Wall(at), Sum { samples: 1, count: 1, min: value, max: value, sum: value })
    }

    #[test]
    fn lines_end_at_gaps_and_single_values_are_dots() {
        let parts = [one(0, 100.0), one(10_000, 50.0), one(20_000, 50.0), one(400_000, 0.0), one(900_000, 10.0)];
        let (line, band) = of(&parts, CUT, &scale(), 10_000);
        assert_eq!(line, "M5 0l10 500h10M405 1000h0M905 900h0");
        assert_eq!(band, "", "nothing was summed up");
        // Of a check that is asked every ten minutes that is no gap.
        assert_eq!(of(&parts, CUT, &scale(), 600_000).0.matches('M').count(), 1);
        assert_eq!(of(&[], CUT, &scale(), 1), (String::new(), String::new()));
    }

    #[test]
    fn limits_change_with_their_whole() {
        let limit = |steps: &[(i64, Option<f64>)]| {
            let steps = steps.iter().map(|(at, value)| (Wall(*at), *value)).collect();
            of_limit(&Limit { text: String::new(), steps }, CUT, &scale())
        };
        for (steps, line) in [
            (&[(-5000, Some(90.0))][..], "M0 100H1000"),
            (&[(-5000, Some(80.0)), (500_000, Some(90.0))], "M0 200H500V100H1000"),
            (&[(-5000, Some(80.0)), (-10, Some(90.0))], "M0 100H1000"),
            (&[(250_000, Some(80.0)), (500_000, None), (750_000, Some(90.0))], "M250 200H500M750 100H1000"),
            (&[(2_000_000, Some(90.0))], ""),
            (&[], ""),
        ] {
            assert_eq!(limit(steps), line, "{steps:?}");
        }
    }
}
