//! The rules of the house that a machine can hold: where things are, which way dependencies point, and
//! that what `CONTRIBUTING.md` says of files and promises is so.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::pedantic)]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines of a file without its tests; more want a reason, or a seam to part it at.
const LONGEST: usize = 500;

/// The layers from the top to the bottom: a file imports from its own layer and from those below it. Those of
/// one line do not import each other.
const LAYERS: [&[&str]; 10] = [
    &["main", "lib", "guide"],
    &["cli"],
    &["commands"],
    &["settings"],
    &["monitoring"],
    &["output"],
    &["engine"],
    &["store", "sources"],
    &["rules"],
    &["error", "interrupt"],
];

/// What no decision may touch.
const OUTSIDE: [&str; 10] = [
    "std::fs",
    "std::net",
    "std::process",
    "std::env",
    "std::time",
    "std::thread",
    "rusqlite",
    "reqwest",
    "Utc::now",
    "Local::",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_under(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_under(&path, end));
        } else if path.to_str().unwrap().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn sources() -> Vec<(String, String)> {
    let folder = root().join("src");
    let files = files_under(&folder, ".rs").into_iter();
    let named = files.map(|path| {
        let name = path.strip_prefix(&folder).unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    });
    named.collect()
}

/// A file up to its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\n").next().unwrap()
}

#[test]
fn every_file_begins_by_saying_what_belongs_in_it() {
    for (name, text) in sources() {
        let opening: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(opening.len() > 60, "{name} does not say what belongs in it: {opening}");
    }
}

#[test]
fn no_file_outgrows_its_readers() {
    for (name, text) in sources() {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines without its tests");
    }
}

/// The layer of a file or a module: its folder, or its own name at the root.
fn layer_of(path: &str) -> usize {
    let name = path.split(['/', ':', '.']).next().unwrap();
    let found = LAYERS.iter().position(|layer| layer.contains(&name));
    found.unwrap_or_else(|| panic!("{path} is in no layer: add its folder to LAYERS"))
}

/// Every module of ours that a text names, by its path behind `crate::`, those in braces one by one.
fn named_modules(text: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let path = &text[at + "crate::".len()..];
        let (path, rest) = path.split_at(path.find(|c| !is_path(c)).unwrap_or(path.len()));
        let in_braces = rest.strip_prefix('{').and_then(|rest| Some(rest.split_once('}')?.0));
        match in_braces {
            Some(items) => {
                found.extend(items.split(',').map(|item| format!("{path}{}", item.trim())))
            }
            None => found.push(path.trim_end_matches(':').to_owned()),
        }
    }
    found
}

/// What is wrong with the imports of one file.
fn upward_imports(name: &str, text: &str) -> Vec<String> {
    let own = layer_of(name);
    let folder = name.split(['/', '.']).next().unwrap();
    let is_upward = |module: &String| {
        let other = layer_of(module);
        other < own || (other == own && module.split(':').next().unwrap() != folder)
    };
    let modules = named_modules(without_tests(text)).into_iter();
    modules.filter(is_upward).map(|module| format!("{name} imports {module}")).collect()
}

#[test]
fn every_import_points_downwards() {
    let found: Vec<String> =
        sources().iter().flat_map(|(name, text)| upward_imports(name, text)).collect();
    assert!(found.is_empty(), "{found:#?}");
    // and the check finds one that does not
    let planted = upward_imports("rules/planted.rs", "use crate::engine::run::Task;\n");
    assert_eq!(planted, ["rules/planted.rs imports engine::run::Task"]);
    let planted = upward_imports("store/planted.rs", "fn f() { crate::sources::http::json(&[]); }");
    assert_eq!(planted, ["store/planted.rs imports sources::http::json"]);
    let planted = upward_imports("error.rs", "use crate::commands::Exit;");
    assert_eq!(planted, ["error.rs imports commands::Exit"]);
}

/// The file of a module path, of those in `names`: that of the longest beginning that has one.
fn file_of<'a>(module: &str, names: &'a [String]) -> Option<&'a String> {
    let mut parts: Vec<&str> = module.split("::").collect();
    while !parts.is_empty() {
        let path = parts.join("/");
        let own = [format!("{path}.rs"), format!("{path}/mod.rs")];
        if let Some(found) = names.iter().find(|name| own.contains(name)) {
            return Some(found);
        }
        parts.pop();
    }
    None
}

/// Files that import each other in a circle, if there are any. A folder's `mod.rs` and the files beside it
/// are one: it is their table of contents.
fn cycle(imports: &[(String, Vec<String>)]) -> Option<Vec<String>> {
    fn visit(
        name: &str,
        imports: &[(String, Vec<String>)],
        path: &mut Vec<String>,
        done: &mut Vec<String>,
    ) -> Option<Vec<String>> {
        if let Some(at) = path.iter().position(|earlier| earlier == name) {
            return Some(path[at..].to_vec());
        }
        if done.iter().any(|other| other == name) {
            return None;
        }
        path.push(name.to_owned());
        let own = imports.iter().find(|(other, _)| other == name);
        for import in own.into_iter().flat_map(|(_, imports)| imports) {
            if let Some(found) = visit(import, imports, path, done) {
                return Some(found);
            }
        }
        path.pop();
        done.push(name.to_owned());
        None
    }
    let mut done = Vec::new();
    imports.iter().find_map(|(name, _)| visit(name, imports, &mut Vec::new(), &mut done))
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources = sources();
    let names: Vec<String> = sources.iter().map(|(name, _)| name.clone()).collect();
    let imports: Vec<(String, Vec<String>)> = sources
        .iter()
        .filter(|(name, _)| !name.ends_with("mod.rs"))
        .map(|(name, text)| {
            let modules = named_modules(without_tests(text));
            let files = modules.iter().filter_map(|module| file_of(module, &names));
            let files = files.filter(|file| !file.ends_with("mod.rs") && *file != name);
            (name.clone(), files.cloned().collect())
        })
        .collect();
    assert_eq!(cycle(&imports), None);
    let planted = [("a.rs", "b.rs"), ("b.rs", "c.rs"), ("c.rs", "a.rs")]
        .map(|(name, import)| (name.to_owned(), vec![import.to_owned()]));
    assert_eq!(cycle(&planted).map(|circle| circle.len()), Some(3));
}

#[test]
fn what_decides_touches_nothing_outside() {
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("rules/")) {
        for outside in OUTSIDE {
            assert!(!without_tests(text).contains(outside), "{name} uses {outside}");
        }
    }
}

#[test]
fn only_the_store_speaks_sql_and_only_one_client_http() {
    for (name, text) in sources() {
        let is_store = name.starts_with("store/");
        let has_sql = ["SELECT ", "UPDATE trades", "INSERT INTO", "DELETE FROM"]
            .iter()
            .any(|sql| without_tests(&text).contains(&format!("\"{sql}")));
        assert!(is_store || !has_sql, "{name} speaks SQL");
        let asks = text.contains("reqwest::blocking");
        assert!(name == "sources/http.rs" || !asks, "{name} asks over HTTP by itself");
    }
}

#[test]
fn contributing_says_where_each_file_is() {
    let map = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    for (name, _) in sources() {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = map.contains(&format!("`src/{name}`"))
            || (!folder.is_empty() && map.contains(&format!("`src/{folder}/`")));
        assert!(named, "CONTRIBUTING.md does not say what src/{name} is for");
    }
}

#[test]
fn each_promise_names_a_test_that_there_is() {
    let map = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let promises = map.split("## What is promised").nth(1).expect("a list of promises");
    let promises = promises.split("\n## ").next().unwrap();
    let tests: String = files_under(&root().join("tests"), ".rs")
        .into_iter()
        .chain(files_under(&root().join("src"), ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let rows = promises.lines().filter(|line| line.starts_with("| ")).skip(1);
    let mut named = 0;
    for row in rows {
        for test in row.rsplit_once(" | ").unwrap().1.split('`').skip(1).step_by(2) {
            assert!(tests.contains(&format!("fn {test}(")), "no test {test}: {row}");
            named += 1;
        }
    }
    assert!(named > 30, "only {named} tests are named");
}

#[test]
fn links_between_the_projects_texts_lead_somewhere() {
    let mut texts = files_under(&root().join("src"), ".md");
    texts.extend(
        ["README.md", "CONTRIBUTING.md", "benches/README.md"].map(|name| root().join(name)),
    );
    for text in texts {
        let content = fs::read_to_string(&text).unwrap();
        for link in content.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let file = link.split('#').next().unwrap();
            let target = text.parent().unwrap().join(file);
            assert!(target.exists(), "{} links to {link}", text.display());
        }
    }
}
