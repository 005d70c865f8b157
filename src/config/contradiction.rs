//! Conditions that can never be true together: `x > 5 and x < 3`.

use crate::model::{Comparison, Condition, Limit, Op, Term, Test};
use std::borrow::Cow;

/// What is said about a term, if the condition says one thing about one.
struct Fact<'a> {
    comparison: &'a Comparison,
    test: Cow<'a, Test>,
    /// It is true, too, of what is absent: a comparison with that is false.
    negated: bool,
}

/// Two parts of a conjunction of which never both are true, in words.
pub(super) fn contradiction(parts: &[Condition]) -> Option<String> {
    let facts: Vec<(Fact<'_>, &Condition)> = parts.iter().filter_map(|part| Some((fact(part)?, part))).collect();
    for (i, (a, one)) in facts.iter().enumerate() {
        for (b, other) in &facts[i + 1..] {
            let same = a.comparison.term == b.comparison.term && !matches!(a.comparison.term, Term::Changed(_));
            if same && !(a.negated && b.negated) && (excludes(&a.test, &b.test) || excludes(&b.test, &a.test)) {
                return Some(format!("`{one}` and `{other}` can never be true together"));
            }
        }
    }
    None
}

fn fact(condition: &Condition) -> Option<Fact<'_>> {
    let (comparison, negated) = match condition {
        Condition::Is(comparison) => (comparison, false),
        Condition::Not(inner) => match &**inner {
            Condition::Is(comparison) => (comparison, true),
            _ => return None,
        },
        _ => return None,
    };
    let test = match &comparison.test {
        Test::Truth => Cow::Owned(Test::Compare(Op::Equal, Limit::Flag(!negated))),
        test if !negated => Cow::Borrowed(test),
        Test::Compare(op, limit) => Cow::Owned(Test::Compare(opposite(*op), limit.clone())),
        Test::Matches(_) => return None,
    };
    Some(Fact { comparison, test, negated })
}

fn opposite(op: Op) -> Op {
    match op {
        Op::Less => Op::GreaterOrEqual,
        Op::LessOrEqual => Op::Greater,
        Op::Greater => Op::LessOrEqual,
        Op::GreaterOrEqual => Op::Less,
        Op::Equal => Op::Unequal,
        Op::Unequal => Op::Equal,
    }
}

/// Whether nothing can be above the first and below the second, or equal to two things.
fn excludes(a: &Test, b: &Test) -> bool {
    let (Test::Compare(first, low), Test::Compare(second, high)) = (a, b) else { return false };
    let (low, high) = match (low, high) {
        (Limit::Number(low), Limit::Number(high)) | (Limit::PercentOfWhole(low), Limit::PercentOfWhole(high)) => {
            (low, high)
        }
        (low, high) if std::mem::discriminant(low) != std::mem::discriminant(high) => return false,
        (low, high) => {
            return match (first, second) {
                (Op::Equal, Op::Equal) => low != high,
                (Op::Equal, Op::Unequal) => low == high,
                // There is no third thing beside true and false.
                (Op::Unequal, Op::Unequal) => matches!(low, Limit::Flag(_)) && low != high,
                _ => false,
            };
        }
    };
    match (first, second) {
        (Op::Greater, Op::Less | Op::LessOrEqual | Op::Equal) => low >= high,
        (Op::GreaterOrEqual | Op::Equal, Op::Less) => low >= high,
        (Op::GreaterOrEqual | Op::Equal, Op::LessOrEqual) | (Op::GreaterOrEqual, Op::Equal) => low > high,
        (Op::Equal, Op::Equal) => low != high,
        (Op::Equal, Op::Unequal) => low == high,
        _ => false,
    }
}
