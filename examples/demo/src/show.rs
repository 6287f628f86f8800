//! Text and progress bars. On a terminal the bars are removed when they are done; elsewhere there
//! is only text.

use crate::mail::POISON;
use indicatif::{
    HumanCount, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle,
};
use std::fmt;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use std::time::Duration;

/// The pause before an act, on a terminal.
const PAUSE: Duration = Duration::from_millis(600);

/// The screen.
#[derive(Debug, Clone)]
pub struct Show {
    bars: MultiProgress,
    is_terminal: bool,
}

impl Show {
    pub fn new() -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let target =
            if is_terminal { ProgressDrawTarget::stdout() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), is_terminal }
    }

    /// Prints a line, above the bars if there are any.
    pub fn say(&self, text: impl fmt::Display) {
        self.bars.suspend(|| println!("{text}"));
    }

    /// Prints the title of an act after a pause to read what came before.
    pub async fn act(&self, title: &str) {
        if self.is_terminal {
            tokio::time::sleep(PAUSE).await;
        }
        self.say(format_args!("\n{title}"));
    }

    /// Adds a bar.
    pub fn bar(&self, name: &'static str, len: u64) -> ProgressBar {
        let style = ProgressStyle::with_template(
            "   {prefix:10} {bar:32} {human_pos:>7} sent {rate:>7}/s  {msg}",
        );
        let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
        let rate = |state: &ProgressState, f: &mut dyn fmt::Write| {
            let _ =
                write!(f, "{}", Rate { count: state.pos(), time: state.elapsed() }.per_second());
        };
        let bar = ProgressBar::new(len).with_style(style.with_key("rate", rate)).with_prefix(name);
        self.bars.add(bar)
    }

    /// Removes all bars.
    pub fn clear(&self) {
        let _ = self.bars.clear();
    }

    /// Prints the panic of a poison job in one line. Any other panic is a bug and is printed as
    /// usual.
    pub fn catch_poison(&self) {
        let show = self.clone();
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match message(panic) {
            Some(text) if text.starts_with(POISON) => {
                show.say(format_args!("   the handler panicked, and the worker caught it: {text}"));
            }
            _ => usual(panic),
        }));
    }
}

fn message<'a>(panic: &'a PanicHookInfo<'_>) -> Option<&'a str> {
    let payload = panic.payload();
    payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied())
}

/// A count, and the time that it took.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub count: u64,
    pub time: Duration,
}

impl Rate {
    /// The count per second, without decimals.
    pub fn per_second(self) -> HumanCount {
        HumanCount((self.count as f64 / self.time.as_secs_f64().max(0.001)) as u64)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, time) = (HumanCount(self.count), self.time.as_secs_f64());
        write!(f, "{count} in {time:.1} s, {}/s", self.per_second())
    }
}
