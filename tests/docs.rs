//! Checks the documents against the repository: the tests, files and links that they name exist.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Returns the parts of a text between single back-quotes.
fn quoted(text: &str) -> Vec<&str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

#[test]
fn every_cited_test_exists_in_the_cited_file() {
    let page = text(&root().join("docs/reliability.md"));
    let (mut file, mut source, mut cited) = ("", String::new(), 0);
    for word in quoted(&page) {
        let is_file = word.ends_with(".rs") && word.contains('/');
        if is_file {
            (file, source) = (word, text(&root().join(word)));
        } else if word.matches('_').count() >= 2
            && word.chars().all(|c| c.is_alphanumeric() || c == '_')
        {
            assert!(source.contains(&format!("fn {word}(")), "{file} has no test {word}");
            cited += 1;
        }
    }
    assert!(cited > 50, "only {cited} tests were found: is this the page?");
}

#[test]
fn every_named_path_exists() {
    for page in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/reliability.md"] {
        for word in quoted(&text(&root().join(page))) {
            let starts = ["src/", "tests/", "docs/", "examples/", "scripts/", "benches/", ".ci/"];
            if starts.iter().any(|start| word.starts_with(start)) {
                let path = word.split_whitespace().next().unwrap_or(word);
                // Some paths are files that a contributor will create.
                let is_made_up = path.contains("xfoo");
                assert!(is_made_up || root().join(path).exists(), "{page}: there is no {path}");
            }
        }
    }
}

#[test]
fn every_relative_link_leads_to_a_file() {
    let mut pages = vec![root().join("docs"), root().join("examples"), root().join("src/guide")];
    let mut files: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(root()).expect("the root can be read") {
        files.push(entry.expect("an entry").path());
    }
    while let Some(folder) = pages.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            files.push(entry.expect("an entry").path());
        }
    }
    let mut links = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "md")) {
        let text = text(file);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let target = target.split('#').next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || target.contains("::") || target.is_empty();
            let is_item = !target.contains('.') && !target.contains('/');
            if !is_elsewhere && !is_item {
                let path = file.parent().expect("a folder").join(target);
                assert!(path.exists(), "{}: no file behind {target}", file.display());
                links += 1;
            }
        }
    }
    assert!(links >= 10, "only {links} links were found");
}

#[test]
fn every_named_metric_is_published() {
    let metrics = text(&root().join("src/queue/admin/metrics.rs"));
    let mut named = 0;
    for page in ["docs/grafana-dashboard.json", "src/guide/operations.md"] {
        let text = text(&root().join(page));
        for word in text.split(|c: char| !c.is_alphanumeric() && c != '_') {
            // Exporters append these to a histogram's name.
            let name = word.trim_end_matches("_bucket");
            if name.starts_with("redis_streams_") || name.starts_with("bourn_") {
                assert!(
                    metrics.contains(&format!("\"{name}\"")),
                    "{page}: there is no metric {name}"
                );
                named += 1;
            }
        }
    }
    assert!(named > 10, "only {named} metrics were found");
}
