//! A metric over time: a line, what it kept within, the limits of rules, incidents, deaths and restarts.

pub mod axis;
mod line;

use crate::dashboard::page::span::{Cut, Span};
use crate::dashboard::page::words::{Moment, Stamp, number};
use crate::dashboard::{Curve, Sum};
use crate::model::{Incident, Wall};
use axis::{Scale, Tick, times};
use std::fmt::Write;

/// The box in which lines are drawn, in its own unit.
const BOX: f64 = 1000.0;
/// Where it begins and how high it is, in pixels, as the template has it.
const TOP: f64 = 18.0;
const HIGH: f64 = 120.0;
/// Marks of a kind that are closer than this share of the width are drawn as one.
const TOGETHER: f64 = 0.012;
/// Values are given to the script with so many significant digits.
const DIGITS: usize = 4;

/// What is drawn.
pub struct Given<'a> {
    pub check: &'a str,
    pub metric: &'a str,
    pub unit: &'a str,
    /// The latest value, in words.
    pub latest: String,
    pub curve: &'a Curve,
    pub limits: Vec<Limit>,
    /// How often there should be a value, in milliseconds.
    pub every: i64,
}

/// A limit that a rule sets.
pub struct Limit {
    /// As the rule has it: `> 500MB`.
    pub text: String,
    /// What it is from when on, the oldest first; of one in percent it changes with the whole.
    pub steps: Vec<(Wall, Option<f64>)>,
}

/// What is drawn behind and below all charts of a service.
pub struct Ground<'a> {
    pub span: Span,
    /// The time, in as many parts as the curves have.
    pub cut: Cut,
    pub incidents: &'a [Incident],
    pub marks: Vec<Mark>,
    pub moment: &'a Moment,
}

/// Something that happened at a moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Mark {
    pub at: Wall,
    /// `died` or `restarted`.
    pub kind: &'static str,
    pub words: String,
}

/// A chart as the template draws it.
pub struct Chart {
    pub id: String,
    pub metric: String,
    pub latest: String,
    pub unit: String,
    /// What it shows, for those who do not see it.
    pub label: String,
    /// Path data of the means.
    pub line: String,
    /// Path data of the band from the least to the greatest; empty where they are the same.
    pub band: String,
    pub limits: Vec<LimitLine>,
    pub grid: Vec<GridLine>,
    pub times: Vec<Tick>,
    pub shades: Vec<Shade>,
    pub marks: Vec<PlacedMark>,
    pub data: Data,
    pub rows: Vec<Row>,
}

/// A limit in a chart.
pub struct LimitLine {
    pub line: String,
    /// Where it ends, in pixels.
    pub y: String,
    /// How far below that its words are, in pixels.
    pub beside: i32,
    pub text: String,
}

/// A line of the grid.
pub struct GridLine {
    /// In the box, and in pixels.
    pub y: String,
    pub at: String,
    pub words: String,
}

/// An incident, as far as it is seen.
#[derive(Debug, PartialEq)]
pub struct Shade {
    pub x: String,
    pub width: String,
    pub class: String,
    pub title: String,
}

/// Marks that fall together.
#[derive(Debug, PartialEq)]
pub struct PlacedMark {
    pub x: String,
    pub kind: &'static str,
    pub title: String,
}

/// The numbers themselves, for the script that reads them out.
pub struct Data {
    pub from: i64,
    pub step: i64,
    pub parts: usize,
    pub bottom: f64,
    pub top: f64,
    pub mean: String,
    pub least: String,
    pub greatest: String,
    /// The latest value, and when it was: what is read out first.
    pub words: String,
}

/// A row of the table of values.
pub struct Row {
    pub from: Stamp,
    pub to: Stamp,
    /// Least, mean and greatest.
    pub values: Option<[String; 3]>,
}

/// Incidents in the order of time, cut at the edges.
fn shades(ground: &Ground<'_>) -> Vec<Shade> {
    let Ground { cut, moment, .. } = ground;
    let seen =
        ground.incidents.iter().filter(|i| i.opened < cut.to && i.closed.is_none_or(|closed| closed >= cut.from));
    let mut seen: Vec<&Incident> = seen.collect();
    seen.sort_by_key(|incident| incident.opened);
    let shade = |incident: &Incident| {
        let (from, to) = (cut.share(incident.opened), cut.share(incident.closed.unwrap_or(moment.now)));
        // A short one is still to be seen.
        let width = (to - from).max(0.004);
        let until = match &incident.closed {
            Some(closed) => format!("until {}", moment.full(closed)),
            None => "still open".to_owned(),
        };
        Shade {
            x: tenths(from.min(1.0 - width) * BOX),
            width: tenths(width * BOX),
            class: incident.severity.to_string(),
            title: format!(
                "incident {}: {}, from {}, {until}",
                incident.id,
                incident.title,
                moment.full(&incident.opened)
            ),
        }
    };
    seen.into_iter().map(shade).collect()
}

fn marks(ground: &Ground<'_>) -> Vec<PlacedMark> {
    let Ground { cut, moment, .. } = ground;
    let mut placed = Vec::new();
    for kind in ["restarted", "died"] {
        let of_kind = ground.marks.iter().filter(|mark| mark.kind == kind && cut.from <= mark.at && mark.at < cut.to);
        let mut of_kind: Vec<&Mark> = of_kind.collect();
        of_kind.sort_by_key(|mark| mark.at);
        let close = |a: &&Mark, b: &&Mark| cut.share(b.at) - cut.share(a.at) < TOGETHER;
        for together in of_kind.chunk_by(close) {
            let Some((last, rest)) = together.split_last() else { continue };
            let more = if rest.is_empty() { String::new() } else { format!(", the last of {}", together.len()) };
            let title = format!("{}: {}{more}", moment.full(&last.at), last.words);
            placed.push(PlacedMark { x: format!("{:.2}", cut.share(last.at) * 100.0), kind, title });
        }
    }
    placed
}

fn tenths(value: f64) -> String {
    let rounded = (value * 10.0).round() / 10.0;
    format!("{rounded}")
}

/// In few letters, with [`DIGITS`] significant digits.
fn few(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let scale = 10f64.powi(DIGITS as i32 - 1 - value.abs().log10().floor() as i32);
    let rounded = (value * scale).round() / scale;
    let rounded = if rounded.is_finite() { rounded } else { value };
    let (plain, short) = (format!("{rounded}"), format!("{:.*e}", DIGITS - 1, rounded));
    if plain.len() <= short.len() { plain } else { short }
}

fn data(given: &Given<'_>, ground: &Ground<'_>, scale: &Scale) -> Data {
    let cut = ground.cut;
    let mut cells: Vec<Option<&Sum>> = vec![None; cut.parts];
    for (at, sum) in &given.curve.parts {
        if let Some(cell) = cut.place(*at).and_then(|i| cells.get_mut(i)) {
            *cell = Some(sum);
        }
    }
    let list = |value: fn(&Sum) -> Option<f64>| {
        let words = cells.iter().map(|sum| sum.and_then(value).map(few).unwrap_or_default());
        words.collect::<Vec<_>>().join(",")
    };
    let is_band = given.curve.parts.iter().any(|(_, sum)| sum.min < sum.max);
    let latest = given.curve.parts.last().map(|(at, sum)| {
        let value = number(sum.mean().unwrap_or_default(), given.unit);
        format!("{}: {value}", ground.span.part(*at, cut.step(), ground.moment))
    });
    Data {
        from: cut.from.0,
        step: cut.step(),
        parts: cut.parts,
        bottom: scale.bottom,
        top: scale.top,
        mean: list(Sum::mean),
        least: if is_band { list(|sum| Some(sum.min)) } else { String::new() },
        greatest: if is_band { list(|sum| Some(sum.max)) } else { String::new() },
        words: latest.unwrap_or_else(|| "nothing recorded".to_owned()),
    }
}

fn rows(given: &Given<'_>, ground: &Ground<'_>) -> Vec<Row> {
    let cut = ground.cut.into(ground.span.rows());
    let mut sums = vec![Sum::NONE; cut.parts];
    for (at, sum) in &given.curve.parts {
        if let Some(into) = cut.place(*at).and_then(|i| sums.get_mut(i)) {
            *into = into.and(sum);
        }
    }
    let row = |(i, sum): (usize, Sum)| {
        let start = cut.start(i);
        let values = sum.mean().map(|mean| [sum.min, mean, sum.max].map(|value| number(value, given.unit)));
        let (from, to) = (ground.moment.at(&start), ground.moment.at(&Wall(start.0 + cut.step())));
        Row { from, to, values }
    };
    let begun = |(i, _): &(usize, Sum)| cut.start(*i) <= ground.moment.now;
    sums.into_iter().enumerate().filter(begun).map(row).collect()
}

/// Words stand above their limit's line, or below it where the line of the values would cross them.
fn beside(limit: f64, parts: &[(Wall, Sum)], cut: Cut, scale: &Scale) -> i32 {
    let (above, below) = (-4, 14);
    // The words take up to a third of the width, at its end.
    let near = parts.iter().filter(|(at, _)| cut.share(*at) > 0.66);
    let heights = near.flat_map(|(_, sum)| [sum.min, sum.max]).map(|value| TOP + scale.depth(value) * HIGH);
    let (upper, lower) = heights.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), y| (a.min(y), b.max(y)));
    let is_free = |from: f64, to: f64| lower < from || upper > to;
    let fits = limit + 18.0 < TOP + HIGH;
    if !is_free(limit - 15.0, limit - 1.0) && is_free(limit + 3.0, limit + 17.0) && fits { below } else { above }
}

impl Chart {
    pub fn new(given: &Given<'_>, ground: &Ground<'_>) -> Chart {
        let cut = ground.cut;
        let values = given.curve.parts.iter().flat_map(|(_, sum)| [sum.min, sum.max]);
        let limits = given.limits.iter().flat_map(|limit| limit.steps.iter().filter_map(|(_, value)| *value));
        let scale = Scale::new(values.chain(limits), given.unit);
        let y = |value: f64| scale.depth(value) * BOX;
        let pixels = |value: f64| tenths(TOP + scale.depth(value) * HIGH);
        let (line, band) = line::of(&given.curve.parts, cut, &scale, given.every);
        let limit = |limit: &Limit| {
            let now = limit.steps.iter().rev().find_map(|(_, value)| *value)?;
            let line = line::of_limit(limit, cut, &scale);
            let beside = beside(TOP + scale.depth(now) * HIGH, &given.curve.parts, cut, &scale);
            Some(LimitLine { line, y: pixels(now), beside, text: limit.text.clone() })
        };
        let limits: Vec<LimitLine> = given.limits.iter().filter_map(limit).collect();
        let mut label = format!("{} of {}, {}, now {}", given.metric, given.check, ground.span.words(), given.latest);
        for (i, limit) in limits.iter().enumerate() {
            let _ = write!(label, "{} {}", if i == 0 { "; bad if" } else { " or" }, limit.text);
        }
        let grid = |tick: &f64| GridLine { y: tenths(y(*tick)), at: pixels(*tick), words: scale.words(*tick) };
        Chart {
            id: format!("chart-{}-{}", given.check, given.metric),
            metric: given.metric.to_owned(),
            latest: given.latest.clone(),
            unit: given.unit.to_owned(),
            label,
            line,
            band,
            limits,
            grid: scale.ticks.iter().map(grid).collect(),
            times: times(ground.span, cut, ground.moment),
            shades: shades(ground),
            marks: marks(ground),
            data: data(given, ground, &scale),
            rows: rows(given, ground),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Severity;
    use jiff::tz::TimeZone;

    fn moment() -> Moment {
        Moment { now: Wall(900_000), zone: TimeZone::UTC }
    }

    fn ground<'a>(incidents: &'a [Incident], marks: Vec<Mark>, moment: &'a Moment) -> Ground<'a> {
        let cut = Cut { from: Wall(0), to: Wall(1_000_000), parts: 100 };
        Ground { span: Span::Hour, cut, incidents, marks, moment }
    }

    #[test]
    fn incidents_are_shaded_from_edge_to_edge_and_short_ones_are_seen() {
        let incident = |id, opened, closed: Option<i64>| Incident {
            id,
            service: "web".into(),
            opened: Wall(opened),
            closed: closed.map(Wall),
            severity: Severity::Warning,
            title: "slow".into(),
            rules: Default::default(),
            told: Default::default(),
            ack: None,
            escalated: 0,
        };
        let incidents = [
            incident(6, 999_999, Some(999_999)),
            incident(5, 700_000, None),
            incident(4, 500_000, Some(500_001)),
            incident(3, -9_000_000, Some(100_000)),
            incident(2, -9_000_000, Some(-1)),
            incident(7, 1_000_000, None),
        ];
        let moment = moment();
        let shades = shades(&ground(&incidents, Vec::new(), &moment));
        let places: Vec<(&str, &str)> = shades.iter().map(|s| (s.x.as_str(), s.width.as_str())).collect();
        assert_eq!(places, [("0", "100"), ("500", "4"), ("700", "200"), ("996", "4")]);
        assert_eq!(shades[2].title, "incident 5: slow, from 1970-01-01 00:11:40, still open");
        assert_eq!(shades[2].class, "warning");
    }

    #[test]
    fn the_words_of_a_limit_stand_where_no_line_crosses_them() {
        let scale = Scale::new([100.0].into_iter(), "percent");
        let cut = Cut { from: Wall(0), to: Wall(1000), parts: 100 };
        let part = |at, low, high| (Wall(at), Sum { samples: 2, count: 2, min: low, max: high, sum: low + high });
        // The limit is 90 %, at 30 pixels.
        for (parts, expected) in [
            (vec![], -4),
            (vec![part(900, 20.0, 40.0)], -4),
            (vec![part(900, 93.0, 94.0)], 14),
            (vec![part(100, 93.0, 94.0)], -4),
            (vec![part(900, 60.0, 94.0)], -4),
        ] {
            assert_eq!(beside(30.0, &parts, cut, &scale), expected, "{parts:?}");
        }
    }

    #[test]
    fn marks_that_fall_together_are_one() {
        let mark = |at, kind, words: &str| Mark { at: Wall(at), kind, words: words.into() };
        let moment = moment();
        let all = vec![
            mark(505_000, "died", "pid 3 exited with code 1"),
            mark(500_000, "died", "pid 2 exited with code 1"),
            mark(506_000, "restarted", "up as pid 4"),
            mark(-1, "died", "before"),
            mark(1_000_000, "died", "after"),
        ];
        let placed = marks(&ground(&[], all, &moment));
        let seen: Vec<(&str, &str, &str)> = placed.iter().map(|m| (m.x.as_str(), m.kind, m.title.as_str())).collect();
        assert_eq!(
            seen,
            [
                ("50.60", "restarted", "1970-01-01 00:08:26: up as pid 4"),
                ("50.50", "died", "1970-01-01 00:08:25: pid 3 exited with code 1, the last of 2"),
            ]
        );
    }

    #[test]
    fn numbers_for_the_script_are_short_and_true_to_four_digits() {
        for (value, words) in [
            (0.0, "0"),
            (512_345_678.0, "5.123e8"),
            (0.001_234_56, "0.001235"),
            (23.0, "23"),
            (-1.5, "-1.5"),
            (1.234_567e18, "1.235e18"),
            (99.999_9, "100"),
        ] {
            assert_eq!(few(value), words);
            assert!((few(value).parse::<f64>().unwrap() - value).abs() <= value.abs() * 1e-3);
        }
        for value in [1e300, f64::MIN_POSITIVE, -1e300] {
            assert!(few(value).parse::<f64>().unwrap().is_finite(), "{value}");
        }
    }

    #[test]
    fn a_chart_covers_the_whole_time_though_its_data_began_later() {
        let moment = moment();
        let ground = ground(&[], Vec::new(), &moment);
        let sum = |value| Sum { samples: 2, count: 2, min: value - 1.0, max: value + 1.0, sum: 2.0 * value };
        let curve =
            Curve { metric: "memory".into(), parts: vec![(Wall(800_000), sum(5.0)), (Wall(810_000), sum(7.0))] };
        let given = Given {
            check: "process",
            metric: "memory",
            unit: "count",
            latest: "7".into(),
            curve: &curve,
            limits: vec![Limit { text: "> 10".into(), steps: vec![(Wall(0), Some(10.0))] }],
            every: 10_000,
        };
        let chart = Chart::new(&given, &ground);
        assert_eq!(chart.line, "M805 500l10 -200");
        assert_eq!(chart.band, "M805 400l10 -200v200l-10 200z");
        assert_eq!(chart.limits[0].line, "M0 0H1000");
        assert_eq!(chart.label, "memory of process, last hour, now 7; bad if > 10");
        assert_eq!(chart.data.mean.matches(',').count(), 99);
        assert!(chart.data.mean.starts_with(",,") && chart.data.mean.contains(",5,7,"));
        // The last that has begun: 54 of the 60 minutes are over.
        assert_eq!(chart.rows.len(), 11);
        let last = chart.rows.iter().filter_map(|row| row.values.as_ref()).collect::<Vec<_>>();
        assert_eq!(last, [&["4".to_owned(), "6".to_owned(), "8".to_owned()]]);
        let empty = Curve { metric: "memory".into(), parts: Vec::new() };
        let chart = Chart::new(&Given { curve: &empty, ..given }, &ground);
        assert_eq!((chart.line.as_str(), chart.data.words.as_str()), ("", "nothing recorded"));
    }
}
