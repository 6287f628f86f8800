//! The captured replies of `tests/fixtures`, and the means to compare them with what they say.
//!
//! | Room | What is in it |
//! |---|---|
//! | here | the cases of all folders, read once |
//! | [`json`] | strings and integers as `cases.json` writes them |
//! | [`tree`] | the bytes as a tree of frames: `frames` |
//! | [`meaning`] | what a reply means: `value` |
//! | [`fields`] | maps, of which no field may be left over |
//! | [`info`] | the same of what XINFO says |
//! | [`server`] | the same of what servers say of themselves and of their cluster |
//! | [`decoders`] | which decoder reads the reply of which command |

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

/// What one server sent in one protocol.
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

/// One command and the bytes that came of it.
pub(crate) struct Case {
    /// `server/protocol/name`
    pub(crate) label: String,
    /// The case's line of `cases.json`.
    pub(crate) json: Json,
    pub(crate) bytes: Vec<u8>,
}

impl Case {
    /// What kind of reply it is, which says how to read [`Case::value`].
    pub(crate) fn kind(&self) -> &str {
        self.json["kind"].as_str().expect("a case has a kind")
    }

    /// What the reply means.
    pub(crate) fn value(&self) -> &Json {
        &self.json["value"]
    }

    /// The frames of the file as trees; `None` if they are too long to be written down.
    pub(crate) fn frames(&self) -> Option<&[Json]> {
        self.json["frames"].as_array().map(Vec::as_slice)
    }

    /// The place among the frames of the one that answers the command.
    pub(crate) fn at(&self) -> usize {
        let at = self.json["at"].as_u64().and_then(|at| usize::try_from(at).ok());
        at.expect("a case whose bytes are whole says which frame answers")
    }

    /// Whether the bytes are whole frames: neither broken nor cut.
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
