//! The published package: every link in its documents leads to something that readers can open.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the files of the package.
fn packaged() -> BTreeSet<PathBuf> {
    let mut list = Command::new(env!("CARGO"));
    list.args(["package", "--list", "--allow-dirty", "--offline"]).current_dir(root());
    let output = list.output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).lines().map(PathBuf::from).collect()
}

/// Returns the text outside code blocks, line by line, without code spans.
fn prose(text: &str) -> String {
    let mut prose = String::new();
    let mut is_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            // Every second piece is between backticks.
            prose.extend(line.split('`').step_by(2));
            prose.push('\n');
        }
    }
    prose
}

/// Returns the targets of links and images: `[text](target)`, `[label]: target`, `<target>`,
/// `src="target"`, `href="target"`.
fn links(text: &str) -> Vec<String> {
    let prose = prose(text);
    let mut links = Vec::new();
    for (start, end) in [("](", ")"), ("<http", ">"), ("src=\"", "\""), ("href=\"", "\"")] {
        for rest in prose.split(start).skip(1) {
            let target = rest.split(end).next().unwrap_or_default();
            let target = target.split_whitespace().next().unwrap_or_default();
            links.push(if start == "<http" { format!("http{target}") } else { target.to_owned() });
        }
    }
    let labels = prose.lines().filter(|line| line.starts_with('['));
    links.extend(labels.filter_map(|line| Some(line.split_once("]: ")?.1.trim().to_owned())));
    links
}

/// Returns the anchors of a document: its headings, as registries and code hosts name them.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut is_code = false;
    let mut anchors = BTreeSet::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let title = line.trim_start_matches('#');
        if !is_code && line.starts_with('#') && title.starts_with(' ') {
            let kept = title.trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
            anchors
                .insert(kept.map(|c| c.to_ascii_lowercase()).collect::<String>().replace(' ', "-"));
        }
    }
    anchors
}

/// Returns a path without `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => drop(plain.pop()),
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Returns the fault of a link; `None` if it is valid.
fn fault(document: &Path, text: &str, link: &str, packaged: &BTreeSet<PathBuf>) -> Option<String> {
    if let Some((_, address)) = link.split_once("://") {
        let is_own = address.contains("bourn");
        let is_known =
            address.starts_with("docs.rs/bourn") || address.starts_with("docs.rs/crate/bourn");
        return (is_own && !is_known).then(|| "this address does not exist".to_owned());
    }
    let (path, anchor) = link.split_once('#').map_or((link, None), |(path, a)| (path, Some(a)));
    let folder = document.parent().unwrap_or_else(|| Path::new(""));
    let target = plain(&folder.join(path));
    let is_there = path.is_empty()
        || packaged.contains(&target)
        || (path.ends_with('/') && packaged.iter().any(|file| file.starts_with(&target)));
    if !is_there {
        return Some("it is not in the package".to_owned());
    }
    let anchor = anchor?;
    let text = if path.is_empty() {
        text.to_owned()
    } else {
        fs::read_to_string(root().join(target)).ok()?
    };
    (!anchors(&text).contains(anchor)).then(|| format!("there is no heading {anchor}"))
}

#[test]
fn links_of_packaged_documents_lead_into_the_package_or_to_known_addresses() {
    let packaged = packaged();
    // rustdoc checks the links below `src`.
    let is_document = |file: &&PathBuf| {
        file.extension().is_some_and(|extension| extension == "md") && !file.starts_with("src")
    };
    let documents: Vec<_> = packaged.iter().filter(is_document).collect();
    for name in ["README.md", "CHANGELOG.md"] {
        assert!(packaged.contains(Path::new(name)), "{name} is not in the package");
    }
    let mut faults = Vec::new();
    let mut followed = 0;
    for document in documents {
        let text = fs::read_to_string(root().join(document)).expect("a document is text");
        for link in links(&text) {
            followed += 1;
            if let Some(fault) = fault(document, &text, &link, &packaged) {
                faults.push(format!("{}: {link}: {fault}", document.display()));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(followed > 0, "no link was found: is this a document?");
}

#[test]
fn faults_of_links_are_found() {
    let text = "# A title, `code`\n[a](#a-title-code) [b](gone.md) [c](docs/b.md#none)\n\
                <https://example.org/bourn>\n[d]: https://docs.rs/bourn/latest\n```\n[e](gone.md)\n```\n";
    let packaged = BTreeSet::from([PathBuf::from("README.md"), PathBuf::from("docs/b.md")]);
    let links = links(text);
    let faulty: Vec<_> = links
        .iter()
        .filter(|link| fault(Path::new("README.md"), text, link, &packaged).is_some())
        .collect();
    assert_eq!(links.len(), 5, "{links:?}");
    assert_eq!(faulty, ["gone.md", "https://example.org/bourn"]);
    let other = fault(Path::new("docs/b.md"), text, "../README.md#none", &packaged);
    assert_eq!(other.as_deref(), Some("there is no heading none"));
}
