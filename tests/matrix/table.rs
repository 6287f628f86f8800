//! The rows, and how they are written down.

use crate::db::Db;
use crate::want::{Since, Want};
use bourn::{Error, Feature};
use std::pin::Pin;
use std::rc::Rc;

/// What a row's command told: the reply as a short text, or the error.
pub(crate) type Told = Result<String, Error>;

type Run = Box<dyn Fn(Db) -> Pin<Box<dyn Future<Output = Told>>>>;

/// Which kind of answer a row asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    /// There is something to answer.
    Reply,
    /// There is not: null, 0, nothing in it.
    Nothing,
    /// It is refused.
    Error,
}

/// One command with one option: a line of the printed table.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) command: &'static str,
    pub(crate) option: &'static str,
    pub(crate) since: Option<Since>,
    /// Why there is no case in which it answers with nothing.
    pub(crate) always: Option<&'static str>,
    pub(crate) rows: Vec<Row>,
}

/// One thing to try.
pub(crate) struct Row {
    pub(crate) case: Case,
    /// In which state of affairs, or with what effect.
    pub(crate) what: &'static str,
    pub(crate) want: Want,
    pub(crate) run: Run,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}: {}", self.case, self.what)
    }
}

/// All lines. What is added belongs to the command and the option that were named last.
#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) lines: Vec<Line>,
    command: &'static str,
}

impl Table {
    /// What follows is about this command; first, without an option.
    pub(crate) fn command(&mut self, command: &'static str) -> &mut Self {
        self.command = command;
        self.option("")
    }

    /// What follows is about this option.
    pub(crate) fn option(&mut self, option: &'static str) -> &mut Self {
        // A command that does nothing without an option has no row there.
        self.lines.retain(|line| !line.rows.is_empty());
        let command = self.command;
        self.lines.push(Line { command, option, since: None, always: None, rows: Vec::new() });
        self
    }

    /// Not every server has the option: see [`Since`]. `word` is what the error calls it, empty for the command itself.
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

    /// It never answers that there is nothing; and why.
    pub(crate) fn always(&mut self, why: &'static str) -> &mut Self {
        self.last().always = Some(why);
        self
    }

    /// It answers with something.
    pub(crate) fn reply(
        &mut self,
        what: &'static str,
        want: impl Into<Want>,
        run: impl AsyncFn(Db) -> Told + 'static,
    ) -> &mut Self {
        self.row(Case::Reply, what, want.into(), run)
    }

    /// It answers that there is nothing.
    pub(crate) fn nothing(
        &mut self,
        what: &'static str,
        want: impl Into<Want>,
        run: impl AsyncFn(Db) -> Told + 'static,
    ) -> &mut Self {
        self.row(Case::Nothing, what, want.into(), run)
    }

    /// It is refused. A code alone stands for it with any text, and `...` at the end for anything.
    pub(crate) fn error(
        &mut self,
        what: &'static str,
        want: impl Into<Want>,
        run: impl AsyncFn(Db) -> Told + 'static,
    ) -> &mut Self {
        self.row(Case::Error, what, want.into(), run)
    }

    fn row(
        &mut self,
        case: Case,
        what: &'static str,
        want: Want,
        run: impl AsyncFn(Db) -> Told + 'static,
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
