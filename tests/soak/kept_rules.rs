//! Tests of the judge: hand-made histories that break no rule. Those in `broken_rules` do.

use crate::history::{History, What};
use crate::judge::{Verdict, judge};

/// The lines of a history; times are in milliseconds.
pub(crate) type Lines = &'static str;

/// The start of each history: two workers.
pub(crate) const BEGIN: Lines = "
0 conductor spawned w0 s0
0 conductor spawned w1 s1
";

/// Job 1, confirmed.
pub(crate) const SENT: Lines = "
1000 producer sent 1 plain
1001 producer enqueued 1 7-0
";

/// Job 1, confirmed and done.
pub(crate) const DONE: Lines = "
1000 producer sent 1 plain
1001 producer enqueued 1 7-0
1010 w0 started 7-0 1 1
1020 w0 done 7-0 1
";

/// Job 1, poison that fails until the attempt limit.
pub(crate) const POISON: Lines = "
1000 producer sent 1 fatal
1001 producer enqueued 1 7-0
1010 w0 started 7-0 1 1
1011 w0 failed 7-0 1
1110 w1 started 7-0 1 2
1111 w1 failed 7-0 2
1210 w0 started 7-0 1 3
1211 w0 failed 7-0 3
1310 w1 started 7-0 1 4
1311 w1 failed 7-0 4
1410 w0 started 7-0 1 5
1411 w0 failed 7-0 5
";

/// Job 1, whose worker was halted for two leases; another worker did it.
pub(crate) const HALTED: Lines = "
1000 producer sent 1 plain
1001 producer enqueued 1 7-0
1010 w0 started 7-0 1 1
1015 conductor halting w0
3500 w1 started 7-0 1 2
3510 w1 done 7-0 2
5015 conductor continued w0
";

/// Job 1 was done, and then w0 was killed.
pub(crate) const KILLED: Lines = "
1000 producer sent 1 plain
1001 producer enqueued 1 7-0
1010 w0 started 7-0 1 1
1020 w0 done 7-0 1
1021 conductor killing w0
1022 conductor ended w0 signal 9
";

/// Workers that did not end are stopped; the stream is empty.
const END: [(Lines, Lines); 3] = [
    (" ended w0", "90000 conductor stopping w0\n90100 conductor ended w0 code 0"),
    (" ended w1", "90000 conductor stopping w1\n90100 conductor ended w1 code 0"),
    (" remain ", "91000 conductor remain 0 0"),
];

/// Judges a history, after adding a missing end.
pub(crate) fn verdict(parts: &[Lines]) -> Verdict {
    let mut all = [&[BEGIN], parts].concat();
    for (has, end) in END {
        if !all.iter().any(|part| part.contains(has)) {
            all.push(end);
        }
    }
    judge(&History::read(all.iter().flat_map(|part| part.lines()).filter(|line| !line.is_empty())))
}

#[test]
fn judge_accepts_valid_histories() {
    let unknown = "1 producer sent 2 plain\n2 producer unknown 2";
    let cases: [(&str, &[Lines], Option<What>); 17] = [
        ("done", &[DONE], None),
        ("dead-lettered", &[POISON, "90000 conductor dead-letter 7-0 1 5 1412"], None),
        (
            "not poison, and dead-lettered because its worker was killed each time",
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1011 conductor killing w0\n1012 conductor ended w0 signal 9",
                "90000 conductor dead-letter 7-0 1 5 8000",
            ],
            None,
        ),
        (
            "killed before the dead letter of the last failure, and run alone",
            &[
                POISON,
                "1411 conductor killing w0\n1412 conductor ended w0 signal 9",
                "3510 w1 started 7-0 1 6\n3511 w1 failed 7-0 6",
                "90000 conductor dead-letter 7-0 1 6 3512",
            ],
            None,
        ),
        (
            "delayed in the wheel, and moved back twice",
            &[
                "1 producer sent 1 fails-1\n2 producer enqueued 1 7-0",
                "10 w0 started 7-0 1 1\n11 conductor stopping w0\n12 w0 failed 7-0 1\n13 conductor ended w0 code 0",
                "520 w1 started 7-0 1 2\n521 w1 done 7-0 2\n522 w1 acked 7-0 2",
                "540 w1 started 7-0 1 2\n541 w1 done 7-0 2",
            ],
            None,
        ),
        (
            "moved back twice, and dead-lettered twice",
            &[
                POISON,
                "1311 conductor stopping w1\n1312 conductor ended w1 code 0",
                "1415 w0 started 7-0 1 5\n1416 w0 failed 7-0 5",
                "90000 conductor dead-letter 7-0 1 5 1412\n90000 conductor dead-letter 7-0 1 5 1417",
            ],
            None,
        ),
        (
            "killed before the ack",
            &[KILLED, "3100 w1 started 7-0 1 2\n3110 w1 done 7-0 2"],
            Some(What::Death),
        ),
        ("halted, then dropped", &[HALTED, "5016 w0 dropped 7-0 1 lost"], None),
        ("halted, and both did it", &[HALTED, "5016 w0 done 7-0 1"], Some(What::Halt)),
        ("unknown, and never stored", &[DONE, unknown], None),
        (
            "unknown, sent again, and both done",
            &[
                unknown,
                "3 producer sent 2 plain\n4 producer enqueued 2 8-0",
                "5 w0 started 6-0 2 1\n6 w0 done 6-0 1\n7 w0 started 8-0 2 1\n8 w0 done 8-0 1",
            ],
            None,
        ),
        (
            "the ack lost with the server",
            &[
                DONE,
                "1020 conductor server-killed\n1500 conductor server-back 7-0",
                "3100 w1 started 7-0 1 2\n3110 w1 done 7-0 2",
            ],
            Some(What::ServerKilled),
        ),
        (
            "the ack delayed until the worker left",
            &[
                DONE,
                "1019 conductor stalling s0\n1800 conductor stopping w0\n1900 conductor ended w0 code 0",
                "1900 conductor flowing s0",
                "3100 w1 started 7-0 1 2\n3110 w1 done 7-0 2",
            ],
            Some(What::Stalled),
        ),
        (
            "rolled back by the server",
            &[SENT, "1500 conductor server-killed\n1700 conductor server-back 6-0"],
            None,
        ),
        (
            "released, and run again",
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1500 w0 dropped 7-0 1 kept",
                "1600 w1 started 7-0 1 1\n1700 w1 done 7-0 1",
            ],
            None,
        ),
        (
            "dropped when it could not connect, and claimed",
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1020 conductor refusing s0\n2700 w0 dropped 7-0 1 lost",
                "3100 w1 started 7-0 1 2\n3200 w1 done 7-0 2\n3300 conductor accepting s0",
            ],
            None,
        ),
        (
            "failed at first, and retried in time",
            &[
                "1 producer sent 1 fails-1\n2 producer enqueued 1 7-0",
                "10 w0 started 7-0 1 1\n11 w0 failed 7-0 1\n420 w1 started 7-0 1 2\n421 w1 done 7-0 2",
            ],
            None,
        ),
    ];
    for (name, parts, twice) in cases {
        let verdict = verdict(parts);
        assert_eq!(verdict.wrong, [], "{name}");
        assert_eq!(verdict.twice.first().map(|(what, _)| *what), twice, "{name}");
    }
}

#[test]
fn job_excerpt_names_its_faults() {
    let lines = [
        BEGIN,
        HALTED,
        "1020 conductor reset s0\n1020 conductor reset s1\n99999 conductor reset s0",
    ];
    let history =
        History::read(lines.iter().flat_map(|part| part.lines()).filter(|line| !line.is_empty()));
    let excerpt = history.excerpt("7-0");
    for (line, is_included) in [
        ("1001 producer enqueued 1 7-0", true),
        ("1015 conductor halting w0", true),
        ("1020 conductor reset s0", true),
        ("3510 w1 done 7-0 2", true),
        ("1000 producer sent 1 plain", false),
        ("99999 conductor reset s0", false),
    ] {
        assert_eq!(excerpt.contains(line), is_included, "{line} in:\n{excerpt}");
    }
}
