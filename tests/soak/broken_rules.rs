//! Tests of the judge: hand-made histories that each break a rule.

use crate::kept_rules::{DONE, HALTED, KILLED, Lines, POISON, SENT, verdict};

#[test]
fn judge_detects_every_broken_rule() {
    let dead = "90000 conductor dead-letter 7-0 1 5 8000";
    let again = "3100 w1 started 7-0 1 2\n3110 w1 done 7-0 2";
    let cases: [(&str, &[&str], &[Lines]); 37] = [
        ("never run", &["lost"], &[SENT]),
        ("poison without a dead letter", &["lost"], &[POISON]),
        (
            "run, killed, and never run again",
            &["lost"],
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1011 conductor killing w0\n1012 conductor ended w0 signal 9",
            ],
        ),
        (
            "lost, and not because of the restart before it",
            &["lost"],
            &[SENT, "5 conductor server-killed\n6 conductor server-back 6-0"],
        ),
        ("never sent", &["phantom"], &["1 w0 started 7-0 1 1\n2 w0 done 7-0 1"]),
        (
            "reported as not sent",
            &["phantom"],
            &[
                "1 producer sent 1 plain\n2 producer unsent 1",
                "3 w0 started 7-0 1 1\n4 w0 done 7-0 1",
            ],
        ),
        ("stored twice", &["phantom"], &[DONE, "3000 w0 started 8-0 1 1\n3010 w0 done 8-0 1"]),
        (
            "one id for two jobs",
            &["phantom"],
            &[DONE, "1000 producer sent 2 plain\n1001 producer enqueued 2 7-0"],
        ),
        ("a dead letter of a job never sent", &["phantom"], &[dead]),
        ("dead-lettered twice", &["duplicate-dead-letter"], &[POISON, dead, dead]),
        (
            "dead-lettered too early",
            &["early-dead-letter"],
            &[POISON, "90000 conductor dead-letter 7-0 1 4 8000"],
        ),
        ("not poison, and dead-lettered", &["wrong-dead-letter"], &[SENT, dead]),
        (
            "killed, then failed, and dead-lettered",
            &["wrong-dead-letter"],
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1011 conductor killing w0\n1012 conductor ended w0 signal 9",
                "3100 w1 started 7-0 1 2\n3110 w1 failed 7-0 2",
                dead,
            ],
        ),
        ("done, and dead-lettered", &["wrong-dead-letter"], &[DONE, dead]),
        (
            "poison that is done",
            &["poison-done"],
            &[
                "1 producer sent 1 fatal\n2 producer enqueued 1 7-0",
                "1010 w0 started 7-0 1 1\n1020 w0 done 7-0 1",
            ],
        ),
        (
            "an attempt above the limit",
            &["attempts", "attempts"],
            &[POISON, "1510 w1 started 7-0 1 6\n1511 w1 failed 7-0 6", dead],
        ),
        (
            "more runs than attempts",
            &["attempts", "same-attempt"],
            &[POISON, "1510 w1 started 7-0 1 5\n1511 w1 failed 7-0 5", dead],
        ),
        (
            "one attempt twice",
            &["same-attempt"],
            &[KILLED, "3100 w1 started 7-0 1 1\n3110 w1 done 7-0 1"],
        ),
        (
            "moved back twice at a server that recognizes copies",
            &["same-attempt", "twice"],
            &[
                "0 conductor recognizes-copies",
                "1 producer sent 1 fails-1\n2 producer enqueued 1 7-0",
                "10 w0 started 7-0 1 1\n11 conductor stopping w0\n12 w0 failed 7-0 1\n13 conductor ended w0 code 0",
                "520 w1 started 7-0 1 2\n521 w1 done 7-0 2",
                "540 w1 started 7-0 1 2\n541 w1 done 7-0 2",
            ],
        ),
        ("done twice, without a cause", &["twice"], &[DONE, again]),
        (
            "done twice, and only another worker had a fault",
            &["twice"],
            &[DONE, "1020 conductor reset s1\n1030 conductor cut s1", again],
        ),
        (
            "done twice, and the fault came too late",
            &["twice"],
            &[DONE, "2500 conductor reset s0", again],
        ),
        (
            "done twice, and the fault was short",
            &["twice"],
            &[DONE, "1020 conductor reset s0", again],
        ),
        (
            "done twice, and the server had it on its disk",
            &["twice"],
            &[
                DONE,
                "1019 conductor always\n1025 conductor server-killed\n1500 conductor server-back 7-0",
                again,
            ],
        ),
        (
            "done twice, after a graceful stop",
            &["twice"],
            &[DONE, "1800 conductor stopping w0\n1900 conductor ended w0 code 0", again],
        ),
        (
            "run after it was acked, and killed",
            &["acked"],
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1011 w0 done 7-0 1\n1012 w0 acked 7-0 1",
                "1013 conductor killing w0\n1014 conductor ended w0 signal 9",
                again,
            ],
        ),
        (
            "two at a time",
            &["overlap"],
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1500 w1 started 7-0 1 2\n1510 w1 done 7-0 2\n1520 w0 dropped 7-0 1 kept",
            ],
        ),
        (
            "two at a time, and the first, without a connection, could know",
            &["overlap"],
            &[
                SENT,
                "1010 w0 started 7-0 1 1\n1100 conductor refusing s0\n3500 conductor accepting s0",
                "3100 w1 started 7-0 1 2\n3110 w1 done 7-0 2\n3300 w0 dropped 7-0 1 lost",
            ],
        ),
        (
            "three continued after a halt",
            &["overstay"],
            &[
                HALTED,
                "5016 w0 done 7-0 1",
                "1 producer sent 2 plain\n2 producer enqueued 2 7-1\n1011 w0 started 7-1 2 1\n5016 w0 done 7-1 1",
                "1 producer sent 3 plain\n2 producer enqueued 3 7-2\n1012 w0 started 7-2 3 1\n5016 w0 done 7-2 1",
            ],
        ),
        ("continued after a halt", &["overstay"], &[HALTED, "5515 w0 done 7-0 1"]),
        (
            "a lease lost without a fault",
            &["lapse"],
            &[SENT, "1010 w0 started 7-0 1 1\n2700 w0 dropped 7-0 1 lost", again],
        ),
        (
            "retried too soon",
            &["too-soon"],
            &[
                "1 producer sent 1 fails-1\n2 producer enqueued 1 7-0",
                "10 w0 started 7-0 1 1\n11 w0 failed 7-0 1\n210 w1 started 7-0 1 2\n211 w1 done 7-0 2",
            ],
        ),
        ("a run without an end", &["overlap", "hung"], &[SENT, "1010 w0 started 7-0 1 1", again]),
        ("something is left", &["stuck"], &[DONE, "91000 conductor remain 1 0"]),
        ("a worker failed", &["ended"], &[DONE, "2000 conductor ended w0 code 101"]),
        (
            "a worker stayed",
            &["wrong"],
            &[
                DONE,
                "2000 conductor stopping w0\n2001 conductor stayed w0\n2002 conductor killing w0\n2003 conductor ended w0 signal 9",
            ],
        ),
        ("a process reported it", &["wrong"], &[DONE, "2000 w0 wrong 7-0 has fields of its own"]),
    ];
    for (name, rules, parts) in cases {
        let found = verdict(parts).wrong;
        let broken: Vec<_> = found.iter().map(|wrong| wrong.rule).collect();
        assert_eq!(broken, rules, "{name}: {found:#?}");
    }
}
