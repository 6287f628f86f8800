//! The captured replies of `tests/fixtures`, and comparison with their recorded values.
//!
//! | module | contents |
//! |---|---|
//! | here | the cases of all folders, read once |
//! | [`json`] | strings and integers as `cases.json` writes them |
//! | [`tree`] | the bytes as a tree of frames: `frames` |
//! | [`meaning`] | the decoded value: `value` |
//! | [`fields`] | maps, of which no field may be left over |
//! | [`info`] | the same for XINFO |
//! | [`server`] | the same for HELLO, ROLE and CLUSTER |
//! | [`decoders`] | the decoder for each command's reply |

pub(crate) mod decoders;
pub(crate) mod fields;
pub(crate) mod info;
pub(crate) mod json;
pub(crate) mod meaning;
pub(crate) mod server;
pub(crate) mod tree;

use json::Json;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

/// Every folder of replies, by server and protocol.
pub(crate) static FOLDERS: LazyLock<Vec<Folder>> = LazyLock::new(|| {
    let replies = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/replies");
    let protocols = |server: &String| ["resp2", "resp3"].map(|protocol| (server.clone(), protocol));
    let servers = names(&replies);
    let folders = servers.iter().flat_map(protocols);
    let there = folders.filter(|(server, protocol)| replies.join(server).join(protocol).is_dir());
    there.map(|(server, protocol)| Folder::read(&replies, server, protocol)).collect()
});

/// Every case of every folder.
pub(crate) fn cases() -> impl Iterator<Item = &'static Case> {
    FOLDERS.iter().flat_map(|folder| &folder.cases)
}

/// The replies of one server in one protocol.
pub(crate) struct Folder {
    pub(crate) server: String,
    pub(crate) protocol: &'static str,
    pub(crate) cases: Vec<Case>,
    /// The names of the reply files, in order.
    pub(crate) files: Vec<String>,
}

impl Folder {
    fn read(replies: &Path, server: String, protocol: &'static str) -> Self {
        let path = replies.join(&server).join(protocol);
        let text = fs::read(path.join("cases.json")).expect("every folder has its cases.json");
        let list: Json = serde_json::from_slice(&text).expect("cases.json is JSON");
        assert_eq!(list["server"], server.as_str());
        assert_eq!(format!("resp{}", list["proto"]), protocol);
        let cases = json::list(&list["cases"]).iter().map(|json| {
            let name = json["name"].as_str().expect("a case has a name");
            let bytes = fs::read(path.join(json["file"].as_str().expect("a case has a file")));
            let bytes = bytes.unwrap_or_else(|error| panic!("{server}/{protocol}/{name}: {error}"));
            assert_eq!(json["bytes"].as_u64(), Some(bytes.len() as u64), "{server}/{name}");
            Case { label: format!("{server}/{protocol}/{name}"), json: json.clone(), bytes }
        });
        let cases = cases.collect();
        let mut files = names(&path);
        files.retain(|name| name.ends_with(".resp"));
        Self { server, protocol, cases, files }
    }
}

/// One command and the bytes of its reply.
pub(crate) struct Case {
    /// `server/protocol/name`
    pub(crate) label: String,
    /// The case's line of `cases.json`.
    pub(crate) json: Json,
    pub(crate) bytes: Vec<u8>,
}

impl Case {
    /// Returns the kind of reply, which selects the form of [`Case::value`].
    pub(crate) fn kind(&self) -> &str {
        self.json["kind"].as_str().expect("a case has a kind")
    }

    /// Returns the recorded value.
    pub(crate) fn value(&self) -> &Json {
        &self.json["value"]
    }

    /// Returns the frames of the file as trees; `None` if they are too long to be recorded.
    pub(crate) fn frames(&self) -> Option<&[Json]> {
        self.json["frames"].as_array().map(Vec::as_slice)
    }

    /// Returns the index of the frame that answers the command.
    pub(crate) fn at(&self) -> usize {
        let at = self.json["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        at.expect("a case whose bytes are whole says which frame answers")
    }

    /// Whether the bytes are whole frames: neither malformed nor truncated.
    pub(crate) fn is_whole(&self) -> bool {
        !matches!(self.kind(), "protocol_error" | "incomplete")
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("the folder of replies is there");
    let name = |entry: Result<fs::DirEntry, _>| entry.expect("it can be read").file_name();
    let mut names: Vec<_> =
        entries.map(|entry| name(entry).into_string().expect("names are ASCII")).collect();
    names.sort();
    names
}
