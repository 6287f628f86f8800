//! One source file, read as text: the paths in it, and the names that it defines.

use std::collections::{BTreeMap, BTreeSet};

/// A module that is a file.
pub(crate) struct Module {
    pub(crate) file: String,
    /// The first paragraph of its doc.
    pub(crate) doc: String,
    pub(crate) no_io: bool,
    /// Whether it holds only tests.
    pub(crate) tests: bool,
    pub(crate) paths: Vec<PathAt>,
    /// The names that `use` imports, and the paths that they stand for.
    pub(crate) uses: BTreeMap<String, Vec<String>>,
    /// The modules that `use` imports with a glob.
    pub(crate) globs: Vec<Vec<String>>,
    pub(crate) items: BTreeSet<String>,
    /// The files below it that only tests have.
    pub(crate) test_modules: BTreeSet<String>,
    /// The words of the code that is not a `use` and not in a part that only tests have.
    pub(crate) words: BTreeSet<String>,
}

/// A path as it is written in the file.
pub(crate) struct PathAt {
    pub(crate) words: Vec<String>,
    /// The number of inline modules around it.
    pub(crate) inline: usize,
    /// Whether it is in a part that only tests have.
    pub(crate) test: bool,
    /// Whether it is in a `pub use`.
    pub(crate) reexport: bool,
}

impl Module {
    pub(crate) fn read(file: &str, text: &str) -> Self {
        let doc = text.lines().map_while(|line| line.strip_prefix("//!").map(str::trim));
        let first: Vec<&str> = doc.take_while(|line| !line.is_empty()).collect();
        let first = first.join(" ");
        let mut module = Self {
            file: file.to_owned(),
            no_io: first.ends_with("No I/O."),
            doc: first,
            tests: file.ends_with("/tests.rs") || file.contains("/tests/"),
            paths: Vec::new(),
            uses: BTreeMap::new(),
            globs: Vec::new(),
            items: BTreeSet::new(),
            test_modules: BTreeSet::new(),
            words: BTreeSet::new(),
        };
        Reader { words: &words(text), module: &mut module }.read();
        module
    }

    /// Returns a path with its first word replaced by its `use` path, if the file has one.
    pub(crate) fn full(&self, path: &PathAt) -> Vec<String> {
        let head = path.words.first().and_then(|first| self.uses.get(first));
        let rest = path.words.get(1..).unwrap_or_default();
        head.map_or_else(|| path.words.clone(), |head| [head.as_slice(), rest].concat())
    }
}

/// Walks a file's words and records paths and names.
struct Reader<'a> {
    words: &'a [String],
    module: &'a mut Module,
}

impl<'a> Reader<'a> {
    fn read(&mut self) {
        // The depths at which the enclosing modules end, and at which a test part ends.
        let (mut inline, mut depth, mut test) = (Vec::new(), 0usize, None);
        let mut reexport = false;
        let mut at = 0;
        while let Some(word) = self.word(at) {
            let next = self.word(at + 1).unwrap_or_default();
            let start = at;
            at += 1;
            // A method, a function or an item of another module may have the same name.
            let before = start.checked_sub(1).and_then(|before| self.word(before));
            if test.is_none() && !matches!(before, Some("." | "::" | "fn")) {
                self.module.words.insert(word.to_owned());
            }
            match word {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inline.last() == Some(&depth) {
                        inline.pop();
                    }
                    test = test.filter(|end| *end != depth);
                }
                ";" => test = test.filter(|end| *end != depth),
                "#" if self.is("# [ cfg ( test ) ]", start) => test = test.or(Some(depth)),
                "mod" if self.word(at + 1) == Some("{") => inline.push(depth),
                "mod" if test.is_some() => drop(self.module.test_modules.insert(next.to_owned())),
                "pub" => reexport = true,
                "use" => {
                    let (mut found, end) = (Vec::new(), at);
                    at = self.tree(end, &mut Vec::new(), &mut found);
                    for (name, words) in found {
                        match name.as_str() {
                            "*" => self
                                .module
                                .globs
                                .extend(words.split_last().map(|(_, path)| path.to_vec())),
                            _ if inline.is_empty() => {
                                drop(self.module.uses.insert(name, words.clone()))
                            }
                            _ => {}
                        }
                        let (inline, test) = (inline.len(), test.is_some());
                        self.module.paths.push(PathAt { words, inline, test, reexport });
                    }
                }
                "struct" | "enum" | "trait" | "fn" | "type" | "const" | "static" if depth == 0 => {
                    self.module.items.insert(next.to_owned());
                }
                _ if is_name(word) && next == "::" && !self.follows_path(start) => {
                    let mut words = vec![word.to_owned()];
                    while self.word(at) == Some("::") {
                        let Some(word) = self.word(at + 1).filter(|word| is_name(word)) else {
                            break;
                        };
                        words.push(word.to_owned());
                        at += 2;
                    }
                    let (inline, test) = (inline.len(), test.is_some());
                    self.module.paths.push(PathAt { words, inline, test, reexport: false });
                }
                _ => {}
            }
            // `pub`, `pub(crate)` and `pub(in ..)` come directly before `use`.
            reexport &= matches!(word, "pub" | "(" | "crate" | "super" | "in" | ")");
        }
    }

    fn word(&self, at: usize) -> Option<&'a str> {
        self.words.get(at).map(String::as_str)
    }

    fn is(&self, words: &str, at: usize) -> bool {
        words.split(' ').enumerate().all(|(i, word)| self.word(at + i) == Some(word))
    }

    fn follows_path(&self, at: usize) -> bool {
        at.checked_sub(1).and_then(|before| self.word(before)) == Some("::")
    }

    /// Reads one tree of a `use`. Returns the imported names with their paths, and the tree's end.
    fn tree(
        &self,
        mut at: usize,
        path: &mut Vec<String>,
        found: &mut Vec<(String, Vec<String>)>,
    ) -> usize {
        let depth = path.len();
        loop {
            match self.word(at) {
                Some("::") => at += 1,
                Some("{") => {
                    at += 1;
                    while self.word(at).is_some_and(|word| word != "}") {
                        at = self.tree(at, path, found);
                        at += usize::from(self.word(at) == Some(","));
                    }
                    path.truncate(depth);
                    return at + 1;
                }
                Some("as") => {
                    found.push((self.word(at + 1).unwrap_or_default().to_owned(), path.clone()));
                    path.truncate(depth);
                    return at + 2;
                }
                Some(word) if is_name(word) || word == "*" => {
                    path.push(word.to_owned());
                    at += 1;
                }
                _ => {
                    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
                        path.pop();
                    }
                    found.push((path.last().cloned().unwrap_or_default(), path.clone()));
                    path.truncate(depth);
                    return at;
                }
            }
        }
    }
}

fn is_name(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
}

/// Returns a file's words: names and numbers, `::`, and every other character by itself. Comments
/// and string literals are left out.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let name = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let name = &rest[..name.unwrap_or(rest.len())];
        let hashes = rest[name.len()..].bytes().take_while(|b| *b == b'#').count();
        rest = if rest.starts_with("//") {
            &rest[rest.find('\n').unwrap_or(rest.len())..]
        } else if rest.starts_with("/*") {
            after_comment(rest)
        } else if name.ends_with('r') && rest[name.len() + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            after(&rest[name.len() + hashes + 1..], &end)
        } else if !name.is_empty() {
            words.push(name.to_owned());
            &rest[name.len()..]
        } else if c == '"' {
            after_quoted(&rest[1..], '"')
        } else if c == '\'' && is_char(rest) {
            after_quoted(&rest[1..], '\'')
        } else if let Some(rest) = rest.strip_prefix("::") {
            words.push("::".to_owned());
            rest
        } else {
            if !c.is_whitespace() {
                words.push(c.to_string());
            }
            &rest[c.len_utf8()..]
        };
    }
    words
}

/// Whether a quote starts a character literal rather than a lifetime.
fn is_char(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    chars.next() == Some('\\') || chars.next() == Some('\'')
}

fn after<'a>(text: &'a str, end: &str) -> &'a str {
    text.find(end).map_or("", |at| &text[at + end.len()..])
}

fn after_quoted(text: &str, quote: char) -> &str {
    let mut escaped = false;
    let end = text.find(|c| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or("", |at| &text[at + 1..])
}

fn after_comment(text: &str) -> &str {
    let mut depth = 0usize;
    let mut rest = text;
    loop {
        let (open, close) = (rest.find("/*"), rest.find("*/"));
        (depth, rest) = match (open, close) {
            (Some(open), Some(close)) if open < close => (depth + 1, &rest[open + 2..]),
            (_, Some(close)) => (depth - 1, &rest[close + 2..]),
            (_, None) => return "",
        };
        if depth == 0 {
            return rest;
        }
    }
}
