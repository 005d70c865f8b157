//! YAML text to nodes that know where they stand. Bounded: text from outside can neither nest nor multiply without end.

use super::diagnostic::{Diagnostic, Place, quoted};
use super::trap::{scan_error, trap_at};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, Tag};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

/// Nothing in the rule language nests deeper than a dozen levels.
const DEPTH: usize = 64;
/// Nodes of all files together, those that aliases repeat included.
pub(super) const NODES: usize = 500_000;
/// More mistakes than this in one file are not looked for.
const MISTAKES: usize = 200;

/// A value with its place.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub value: Value,
    /// Of a list or map that spans lines, only the first line.
    pub place: Place,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar {
        text: String,
        /// Without quotes: only such may be a number, `true` or nothing at all.
        plain: bool,
    },
    Seq(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub text: String,
    pub place: Place,
}

impl Node {
    /// Nothing was written after the key or dash.
    pub fn is_empty(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if text.is_empty())
    }
    /// The text of a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_empty() => Some(text),
            _ => None,
        }
    }
    /// The value of a map's key.
    pub fn get(&self, name: &str) -> Option<(&Key, &Node)> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(key, _)| key.text == name).map(|(key, node)| (key, node)),
            _ => None,
        }
    }
    /// What it is, in words.
    pub fn describe(&self) -> String {
        match &self.value {
            _ if self.is_empty() => "nothing".to_owned(),
            Value::Scalar { text, .. } => quoted(text),
            Value::Seq(_) => "a list".to_owned(),
            Value::Map(_) => "a map".to_owned(),
        }
    }
}

/// A list or map that is not complete yet.
struct Frame {
    anchor: usize,
    start: usize,
    value: Value,
    key: Option<Key>,
    /// The keys of a map so far.
    seen: HashMap<String, Place>,
}

struct Builder<'a> {
    text: &'a str,
    file: usize,
    /// Byte offsets of characters; nothing where the text is ASCII, and they are the same.
    offsets: Option<Vec<usize>>,
    frames: Vec<Frame>,
    anchors: BTreeMap<usize, (Node, usize)>,
    root: Option<Node>,
    /// So many more may be made.
    nodes_left: &'a mut usize,
    found: Vec<Diagnostic>,
}

/// Reads a text; the tree is missing if it cannot be built at all. A byte order mark must have been taken off. What it
/// makes is taken from the nodes that are left.
pub(super) fn parse(text: &str, file: usize, nodes_left: &mut usize) -> (Option<Node>, Vec<Diagnostic>) {
    let offsets = (!text.is_ascii())
        .then(|| text.char_indices().map(|(i, _)| i).chain(std::iter::once(text.len())).collect::<Vec<_>>());
    let mut builder = Builder {
        text,
        file,
        offsets,
        frames: Vec::new(),
        anchors: BTreeMap::new(),
        root: None,
        nodes_left,
        found: Vec::new(),
    };
    let outcome = builder.run();
    let mut found = builder.found;
    match outcome {
        Err(diagnostic) => {
            found.push(*diagnostic);
            (None, found)
        }
        Ok(()) if builder.root.as_ref().is_none_or(Node::is_empty) => {
            let at = Place { file, start: 0, end: 0 };
            found.push(
                Diagnostic::new(at, "this file is empty")
                    .help("a rule file begins with `version: 1`, then `services:`"),
            );
            (None, found)
        }
        Ok(()) => (builder.root, found),
    }
}

type Outcome<T> = Result<T, Box<Diagnostic>>;

impl Builder<'_> {
    fn run(&mut self) -> Outcome<()> {
        let mut parser = Parser::new_from_str(self.text);
        let mut documents = 0;
        while let Some(event) = parser.next_event() {
            let (event, span) = event.map_err(|e| Box::new(self.scan_error(&e)))?;
            match event {
                Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
                Event::StreamEnd => break,
                Event::DocumentStart(_) => {
                    documents += 1;
                    if documents > 1 {
                        return Err(Box::new(
                            Diagnostic::new(self.place(span), "a second document begins here")
                                .help("a rule file is one document: put the rest into a file of its own"),
                        ));
                    }
                }
                Event::Alias(anchor) => {
                    let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                        return Err(Box::new(Diagnostic::new(self.place(span), "this alias is within its own anchor")));
                    };
                    self.count(size, span)?;
                    self.add(node, span, true)?;
                }
                Event::Scalar(text, style, anchor, tag) => {
                    self.refuse_tag(tag.as_ref(), span);
                    self.count(1, span)?;
                    let plain = style == ScalarStyle::Plain;
                    let place = self.trimmed(span);
                    let node = Node { value: Value::Scalar { text: text.into_owned(), plain }, place };
                    if anchor != 0 {
                        let size = size(&node);
                        self.count(size, span)?;
                        self.anchors.insert(anchor, (node.clone(), size));
                    }
                    self.add(node, span, false)?;
                }
                Event::SequenceStart(anchor, tag) => self.open(Value::Seq(Vec::new()), anchor, tag.as_ref(), span)?,
                Event::MappingStart(anchor, tag) => self.open(Value::Map(Vec::new()), anchor, tag.as_ref(), span)?,
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
            }
        }
        Ok(())
    }

    fn open(&mut self, value: Value, anchor: usize, tag: Option<&Cow<'_, Tag>>, span: Span) -> Outcome<()> {
        self.refuse_tag(tag, span);
        self.count(1, span)?;
        if self.frames.len() >= DEPTH {
            return Err(Box::new(Diagnostic::new(
                self.place(span),
                format!("lists and maps are nested deeper than {DEPTH} levels"),
            )));
        }
        self.frames.push(Frame {
            anchor,
            start: self.byte(span.start.index()),
            value,
            key: None,
            seen: HashMap::new(),
        });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Outcome<()> {
        let Some(frame) = self.frames.pop() else { return Ok(()) };
        let end = match self.text.as_bytes().get(frame.start) {
            // The scanner counts white space and comments behind the bracket to it.
            Some(b'[' | b'{') => (self.byte(span.start.index()) + 1).min(self.text.len()),
            _ => self.byte(span.end.index()),
        };
        let place = self.first_line(frame.start, end);
        let node = Node { value: frame.value, place };
        if frame.anchor != 0 {
            let size = size(&node);
            self.count(size, span)?;
            self.anchors.insert(frame.anchor, (node.clone(), size));
        }
        self.add(node, span, false)
    }

    /// Puts a finished node where it belongs.
    fn add(&mut self, mut node: Node, span: Span, alias: bool) -> Outcome<()> {
        let place = if alias { self.place(span) } else { node.place };
        let Some(frame) = self.frames.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.value {
            Value::Seq(items) => items.push(node),
            Value::Map(entries) => match frame.key.take() {
                Some(key) => {
                    if key.text == "<<" {
                        self.found.push(
                            Diagnostic::new(key.place, "merging maps with `<<` is not part of the rule language")
                                .help("write the keys out, or put them under `defaults`"),
                        );
                    } else if let Some(first) = frame.seen.get(&key.text) {
                        self.found.push(
                            Diagnostic::new(key.place, format!("the key {} stands here twice", quoted(&key.text)))
                                .label("second")
                                .also(*first, "first"),
                        );
                    } else {
                        // Nothing has no place of its own.
                        if node.is_empty() {
                            node.place = key.place;
                        }
                        frame.seen.insert(key.text.clone(), key.place);
                        entries.push((key, node));
                    }
                }
                None => match node.value {
                    Value::Scalar { text, .. } => frame.key = Some(Key { text, place }),
                    _ => {
                        return Err(Box::new(trap_at(
                            Diagnostic::new(place, "a key must be a text, not a list or map"),
                            self.text,
                        )));
                    }
                },
            },
            Value::Scalar { .. } => {}
        }
        Ok(())
    }

    fn count(&mut self, nodes: usize, span: Span) -> Outcome<()> {
        match self.nodes_left.checked_sub(nodes) {
            Some(left) if self.found.len() < MISTAKES => *self.nodes_left = left,
            Some(_) => {
                return Err(Box::new(Diagnostic::new(self.place(span), "too many mistakes: this file is not read on")));
            }
            None => {
                let message =
                    format!("more than {NODES} values, those of other files and those that aliases repeat included");
                let diagnostic = Diagnostic::new(self.place(span), message);
                return Err(Box::new(diagnostic.help("a long text that an alias repeats counts as several")));
            }
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Cow<'_, Tag>>, span: Span) {
        if tag.is_some() {
            let place = self.trimmed(span);
            let diagnostic = Diagnostic::new(place, "a YAML tag (`!`) has no meaning in a rule file");
            self.found.push(trap_at(diagnostic, self.text));
        }
    }

    fn byte(&self, index: usize) -> usize {
        match &self.offsets {
            None => index.min(self.text.len()),
            Some(offsets) => offsets.get(index).copied().unwrap_or(self.text.len()),
        }
    }

    fn place(&self, span: Span) -> Place {
        let start = self.byte(span.start.index());
        Place { file: self.file, start, end: self.byte(span.end.index()).max(start) }
    }

    /// Without the white space that the scanner counts to a plain scalar.
    fn trimmed(&self, span: Span) -> Place {
        let place = self.place(span);
        let text = &self.text[place.start..place.end];
        Place { end: place.start + text.trim_end().len(), ..place }
    }

    fn scan_error(&self, e: &ScanError) -> Diagnostic {
        let start = self.byte(e.marker().index());
        let end = self.text[start..].chars().next().filter(|c| *c != '\n').map_or(start, |c| start + c.len_utf8());
        let at = Place { file: self.file, start, end };
        scan_error(self.text, at, e.info(), self.frames.last().map(|frame| frame.start))
    }

    fn first_line(&self, start: usize, end: usize) -> Place {
        let text = &self.text[start..end.max(start)];
        let line = text.lines().next().unwrap_or("").trim_end();
        Place { file: self.file, start, end: start + line.len() }
    }
}

/// How many values a text counts for, where it is repeated: a long one costs more.
pub(super) fn weight(text: &str) -> usize {
    1 + text.len() / 64
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { text, .. } => weight(text),
        Value::Seq(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(key, node)| size(node) + key.text.len() / 64).sum::<usize>(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<String> {
        fn walk(node: &Node, text: &str, out: &mut Vec<String>) {
            out.push(text[node.place.start..node.place.end].to_owned());
            match &node.value {
                Value::Scalar { .. } => {}
                Value::Seq(items) => items.iter().for_each(|item| walk(item, text, out)),
                Value::Map(entries) => {
                    for (key, node) in entries {
                        out.push(text[key.place.start..key.place.end].to_owned());
                        walk(node, text, out);
                    }
                }
            }
        }
        let (root, found) = parse(text, 0, &mut { NODES });
        assert!(found.is_empty(), "{found:?}");
        let mut out = Vec::new();
        walk(&root.unwrap(), text, &mut out);
        out
    }

    #[test]
    fn every_key_and_value_knows_its_place() {
        assert_eq!(
            places("é: [ä, 'b c']  # x\nd:\n  - e f \n  - \"g\"\n"),
            ["é: [ä, 'b c']  # x", "é", "[ä, 'b c']", "ä", "'b c'", "d", "- e f", "e f", "\"g\""]
        );
        assert_eq!(places("a: 1\r\nb:  two \r\n"), ["a: 1", "a", "1", "b", "two"]);
    }

    #[test]
    fn bombs_and_depths_are_refused_at_once() {
        let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let aliases = vec![format!("*a{}", i - 1); 10].join(", ");
            bomb.push_str(&format!("a{i}: &a{i} [{aliases}]\n"));
        }
        let anchors = format!("{}{}", (0..60).map(|i| format!("&a{i} [")).collect::<String>(), "x, ".repeat(100_000));
        for text in
            [bomb, anchors, "[".repeat(200_000), "- ".repeat(200_000), "{a: ".repeat(200_000), "? ".repeat(100_000)]
        {
            let (root, found) = parse(&text, 0, &mut { NODES });
            assert!(root.is_none() && found.len() == 1, "{found:?}");
        }
    }

    #[test]
    fn an_alias_repeats_its_anchor_and_not_itself() {
        let (root, found) = parse("a: &x [1, 2]\nb: *x\n", 0, &mut { NODES });
        assert!(found.is_empty());
        assert!(matches!(&root.unwrap().get("b").unwrap().1.value, Value::Seq(items) if items.len() == 2));
        assert!(parse("a: &x [1, *x]\n", 0, &mut { NODES }).0.is_none());
    }
}
