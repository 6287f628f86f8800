//! The shortest list of faults with which a history fails.

use crate::history::Which;
use crate::plan::STEPS;
use crate::run;

/// Leaves out faults as long as the history still fails.
fn shortest(seed: u64) -> Vec<usize> {
    let fails = |steps: &[usize]| {
        !run(&Which { seed, steps: Some(steps.to_vec()), ..Which::default() }).wrong.is_empty()
    };
    let mut steps: Vec<usize> = (0..STEPS).collect();
    let mut size = steps.len();
    while size > 0 {
        let mut from = 0;
        while from < steps.len() {
            let mut fewer = steps.clone();
            fewer.drain(from..(from + size).min(steps.len()));
            if fails(&fewer) {
                steps = fewer;
            } else {
                from += size;
            }
        }
        size /= 2;
    }
    steps
}

/// Describes the failure with the fewest faults, and how to repeat it.
pub(crate) fn tell(seed: u64) -> String {
    let steps = shortest(seed);
    let report = run(&Which { seed, steps: Some(steps.clone()), tells: true, ..Which::default() });
    let list: Vec<String> = steps.iter().map(usize::to_string).collect();
    let list = if list.is_empty() { "none".to_owned() } else { list.join(",") };
    format!(
        "{}\n\n{}\n\nrepeat it: BOURN_SEED={seed} BOURN_STEPS={list} \
         cargo test --release --all-features --test simulation -- --nocapture no_job",
        report.tale.join("\n"),
        report.wrong.join("\n")
    )
}
