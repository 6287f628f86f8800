//! The tables of the layers: who may import whom, and which files do no I/O.

/// The allowed imports of each module. A new arrow is a design change, not a fix to the test.
pub(crate) const ARROWS: [(&str, &[&str]); 17] = [
    ("random", &[]),
    ("resp", &[]),
    ("server", &[]),
    ("error", &["resp", "server", "id"]),
    ("id", &["resp"]),
    ("record", &["id"]),
    ("entry", &["resp", "id", "record"]),
    ("command", &["resp", "server", "error", "id", "entry", "record"]),
    ("config", &["resp", "error"]),
    ("connection", &["random", "resp", "server", "error", "command", "config"]),
    ("sentinel", &["random", "resp", "error", "command", "config", "connection"]),
    (
        "cluster",
        &["random", "resp", "server", "error", "command", "config", "connection", "sentinel"],
    ),
    (
        "reader",
        &[
            "random",
            "resp",
            "server",
            "error",
            "id",
            "entry",
            "command",
            "config",
            "connection",
            "cluster",
        ],
    ),
    (
        "client",
        &[
            "random",
            "resp",
            "server",
            "error",
            "id",
            "command",
            "config",
            "connection",
            "cluster",
            "reader",
        ],
    ),
    (
        "queue",
        &[
            "random", "resp", "server", "error", "id", "entry", "record", "command", "config",
            "client", "reader",
        ],
    ),
    ("testing", &["resp", "error", "id", "config", "client", "random"]),
    ("guide", &[]),
];

/// The allowed imports of each file and folder of the queue from others of it. `guide` pages and
/// the module's own list of public items are exempt.
pub(crate) const QUEUE_ARROWS: [(&str, &[&str]); 19] = [
    ("first", &[]),
    ("first_use", &[]),
    ("cause", &[]),
    ("lanes", &[]),
    ("codec", &["cause"]),
    ("policy", &["cause"]),
    ("error", &["codec"]),
    ("event", &["cause"]),
    ("settings", &["codec", "policy"]),
    ("other_groups", &["policy", "settings"]),
    (
        "shared",
        &["first_use", "lanes", "codec", "policy", "error", "event", "settings", "other_groups"],
    ),
    ("builder", &["codec", "policy", "error", "settings", "shared"]),
    ("operation", &["cause", "codec", "policy", "event", "settings", "shared"]),
    ("producer", &["lanes", "codec", "error", "settings", "shared", "operation"]),
    (
        "admin",
        &[
            "first",
            "cause",
            "codec",
            "policy",
            "error",
            "settings",
            "other_groups",
            "shared",
            "operation",
        ],
    ),
    ("maintenance", &["first", "policy", "event", "settings", "shared", "operation", "admin"]),
    (
        "consumer",
        &[
            "first",
            "cause",
            "codec",
            "policy",
            "error",
            "event",
            "settings",
            "shared",
            "operation",
            "admin",
            "maintenance",
        ],
    ),
    (
        "worker",
        &["first", "cause", "codec", "policy", "error", "settings", "shared", "consumer", "admin"],
    ),
    (
        "partitioned",
        &[
            "first",
            "codec",
            "error",
            "shared",
            "builder",
            "operation",
            "producer",
            "consumer",
            "admin",
            "worker",
        ],
    ),
];

/// Files and folders that must do no I/O, and say so in their module doc.
pub(crate) const NO_IO: [&str; 38] = [
    "record",
    "resp",
    "server",
    "error",
    "id",
    "entry",
    "command",
    "config",
    "connection/pipeline",
    "connection/handshake",
    "connection/handshake_history",
    "connection/backoff",
    "connection/window",
    "cluster/redirect",
    "cluster/refresh",
    "cluster/table",
    "cluster/topology",
    "sentinel/answers",
    "sentinel/messages",
    "queue/cause",
    "queue/codec",
    "queue/error",
    "queue/policy",
    "queue/settings",
    "queue/worker/fail",
    "testing/clock",
    "testing/commands",
    "testing/dispatch",
    "testing/engine",
    "testing/fault",
    "testing/link",
    "testing/output",
    "testing/readers",
    "testing/request",
    "testing/settings",
    "testing/state",
    "testing/store",
    "testing/users",
];

/// The ends of the first paragraph of a file of the queue: the kind of its code.
pub(crate) const KINDS: [&str; 4] = ["No I/O.", "An operation.", "A task.", "Part of the tasks."];

/// Files that await, in modules that otherwise do no I/O.
pub(crate) const AWAITING: [&str; 3] = ["resp/codec.rs", "config/handle.rs", "config/runtime.rs"];

/// Paths that a file marked `No I/O.` must not name, except in parts that only tests have.
pub(crate) const IO_PATHS: [&[&str]; 10] = [
    &["crate", "random"],
    &["tokio"],
    &["tokio_util"],
    &["fastrand"],
    &["socket2"],
    &["std", "net"],
    &["std", "fs"],
    &["std", "thread"],
    &["std", "time", "Instant", "now"],
    &["std", "time", "SystemTime", "now"],
];

/// Paths that one file alone may name, except in tests: what all others take from it, a test can
/// set.
pub(crate) const ONE_SOURCE: [(&[&str], &[&str]); 2] = [
    (&["fastrand"], &["random.rs"]),
    // The resolver's thread belongs to no runtime.
    (&["std", "time", "Instant", "now"], &["connection/addresses.rs"]),
];
