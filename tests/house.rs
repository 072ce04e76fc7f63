//! Automated checks of the project's structure: file locations, the direction of dependencies, and the file
//! and promise lists in `CONTRIBUTING.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The maximum number of lines in a file without its tests. A longer file needs a reason, or must be split.
const LONGEST: usize = 500;

/// The layers from top to bottom. A file imports only from its own layer and from lower layers. Entries in
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

/// What the rules must not use.
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

/// The text of a file before its tests.
fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\n").next().unwrap()
}

#[test]
fn every_file_begins_with_a_description_of_its_content() {
    for (name, text) in sources() {
        let opening: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(opening.len() > 60, "{name} does not say what belongs in it: {opening}");
    }
}

#[test]
fn no_file_exceeds_the_line_limit() {
    for (name, text) in sources() {
        let lines = without_tests(&text).lines().count();
        assert!(lines <= LONGEST, "{name} has {lines} lines without its tests");
    }
}

/// The layer of a file or a module: its folder, or its own name if it is at the root.
fn layer_of(path: &str) -> usize {
    let name = path.split(['/', ':', '.']).next().unwrap();
    let found = LAYERS.iter().position(|layer| layer.contains(&name));
    found.unwrap_or_else(|| panic!("{path} is in no layer: add its folder to LAYERS"))
}

/// The path of every project module in a text, without `crate::`; names in braces are listed one by one.
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

/// The invalid imports of one file.
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
fn every_import_is_from_the_same_or_a_lower_layer() {
    let found: Vec<String> =
        sources().iter().flat_map(|(name, text)| upward_imports(name, text)).collect();
    assert!(found.is_empty(), "{found:#?}");
    // the check detects an invalid import
    let planted = upward_imports("rules/planted.rs", "use crate::engine::run::Task;\n");
    assert_eq!(planted, ["rules/planted.rs imports engine::run::Task"]);
    let planted = upward_imports("store/planted.rs", "fn f() { crate::sources::http::json(&[]); }");
    assert_eq!(planted, ["store/planted.rs imports sources::http::json"]);
    let planted = upward_imports("error.rs", "use crate::commands::Exit;");
    assert_eq!(planted, ["error.rs imports commands::Exit"]);
}

/// The file of a module path among `names`: the one that matches its longest prefix.
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

/// Files that form an import cycle, if any. A folder's `mod.rs` and the files beside it count as one, because
/// `mod.rs` is their table of contents.
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
fn there_are_no_circular_imports() {
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
fn rules_use_no_io_and_no_clock() {
    for (name, text) in sources().iter().filter(|(name, _)| name.starts_with("rules/")) {
        for outside in OUTSIDE {
            assert!(!without_tests(text).contains(outside), "{name} uses {outside}");
        }
    }
}

#[test]
fn only_the_store_uses_sql_and_only_one_client_uses_http() {
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
fn contributing_lists_every_file() {
    let map = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    for (name, _) in sources() {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let named = map.contains(&format!("`src/{name}`"))
            || (!folder.is_empty() && map.contains(&format!("`src/{folder}/`")));
        assert!(named, "CONTRIBUTING.md does not say what src/{name} is for");
    }
}

#[test]
fn each_promise_lists_an_existing_test() {
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
fn links_between_documents_are_valid() {
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

#[test]
fn each_test_file_belongs_to_a_test_program() {
    let all = fs::read_to_string(root().join("tests/all.rs")).unwrap();
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let is_program = manifest.contains(&format!("[[test]]\nname = \"{name}\""));
            let is_module = all.contains(&format!("\nmod {name};\n"));
            assert!(is_program != is_module, "no test program has {}", path.display());
        }
    }
}

#[test]
fn no_table_of_contributing_has_a_row_twice() {
    let map = fs::read_to_string(root().join("CONTRIBUTING.md")).unwrap();
    let mut of_table = BTreeSet::new();
    for line in map.lines() {
        if !line.starts_with("| ") {
            of_table.clear();
        } else if let Some((first, _)) = line.split_once(" | ") {
            assert!(of_table.insert(first), "{first} is there twice");
        }
    }
}
