//! The rows, and the methods that define them.

use crate::db::Db;
use crate::want::{Since, Want};
use bourn::{Error, Feature};
use std::pin::Pin;
use std::rc::Rc;

/// The result of a row: the reply as a short text, or the error.
pub(crate) type Answer = Result<String, Error>;

type Run = Box<dyn Fn(Db) -> Pin<Box<dyn Future<Output = Answer>>>>;

/// The kind of answer that a row expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// A reply.
    Reply,
    /// An empty reply: null, 0, or without elements.
    Nothing,
    /// An error.
    Error,
}

/// One command with one option: a line of the printed table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) command: &'static str,
    pub(crate) option: &'static str,
    pub(crate) since: Option<Since>,
    /// The reason why there is no case with an empty reply.
    pub(crate) always: Option<&'static str>,
    pub(crate) rows: Vec<Row>,
}

/// One case.
pub(crate) struct Row {
    pub(crate) case: Case,
    /// The condition or effect.
    pub(crate) what: &'static str,
    pub(crate) want: Want,
    pub(crate) run: Run,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.case, self.what)
    }
}

/// All lines. New rows belong to the command and option that were named last.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) lines: Vec<Line>,
    command: &'static str,
}

impl Table {
    /// Starts the rows of a command, without an option.
    pub(crate) fn command(&mut self, command: &'static str) -> &mut Self {
        self.command = command;
        self.option("")
    }

    /// Starts the rows of an option.
    pub(crate) fn option(&mut self, option: &'static str) -> &mut Self {
        // A command that needs an option has no row without one.
        self.lines.retain(|line| !line.rows.is_empty());
        let command = self.command;
        self.lines.push(Line { command, option, since: None, always: None, rows: Vec::new() });
        self
    }

    /// Limits the option to some servers: see [`Since`]. `word` is its name in the error, empty for
    /// the command itself.
    pub(crate) fn since(
        &mut self,
        since: &'static str,
        feature: Feature,
        word: &'static str,
    ) -> &mut Self {
        let name = [self.command, word].join(" ").trim().to_owned();
        self.last().since = Some(Since::read(since, feature, name));
        self
    }

    /// Declares that there is no empty reply, with the reason.
    pub(crate) fn always(&mut self, why: &'static str) -> &mut Self {
        self.last().always = Some(why);
        self
    }

    /// Adds a row that expects a reply.
    pub(crate) fn reply(
        &mut self,
        what: &'static str,
        want: impl Into<Want>,
        run: impl AsyncFn(Db) -> Answer + 'static,
    ) -> &mut Self {
        self.row(Case::Reply, what, want.into(), run)
    }

    /// Adds a row that expects an empty reply.
    pub(crate) fn nothing(
        &mut self,
        what: &'static str,
        want: impl Into<Want>,
        run: impl AsyncFn(Db) -> Answer + 'static,
    ) -> &mut Self {
        self.row(Case::Nothing, what, want.into(), run)
    }

    /// Adds a row that expects an error. A code alone matches any text; a final `...` matches any
    /// rest.
    pub(crate) fn error(
        &mut self,
        what: &'static str,
        want: impl Into<Want>,
        run: impl AsyncFn(Db) -> Answer + 'static,
    ) -> &mut Self {
        self.row(Case::Error, what, want.into(), run)
    }

    fn row(
        &mut self,
        case: Case,
        what: &'static str,
        want: Want,
        run: impl AsyncFn(Db) -> Answer + 'static,
    ) -> &mut Self {
        let run = Rc::new(run);
        let run: Run = Box::new(move |db| {
            let run = Rc::clone(&run);
            Box::pin(async move { run(db).await })
        });
        self.last().rows.push(Row { case, what, want, run });
        self
    }

    fn last(&mut self) -> &mut Line {
        self.lines.last_mut().expect("a command was named before")
    }
}
