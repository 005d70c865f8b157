//! Names that the language allows, each once.

/// The longest that is taken as it is; a number may have to follow.
const LONGEST: usize = 58;

/// Names that have been given.
#[derive(Default)]
pub struct Names(Vec<String>);

impl Names {
    /// A name like this one that is allowed and not taken.
    pub fn give(&mut self, wanted: &str, fallback: &str) -> String {
        let sign = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
        let clean: String = wanted.chars().map(sign).take(LONGEST).collect();
        let base = if clean.chars().any(|c| c.is_ascii_alphanumeric()) { clean } else { fallback.to_owned() };
        let numbered = (2..).map(|n| format!("{base}-{n}"));
        let name =
            std::iter::once(base.clone()).chain(numbered).find(|name| !self.0.contains(name)).unwrap_or_default();
        self.0.push(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_allowed_and_unique() {
        let mut names = Names::default();
        let given = ["web", "web", "my app/1", "my-app:1", "..", "größe", &"x".repeat(70)]
            .map(|name| names.give(name, "service"));
        assert_eq!(given, ["web", "web-2", "my-app-1", "my-app-1-2", "service", "gr--e", &"x".repeat(58)]);
    }
}
