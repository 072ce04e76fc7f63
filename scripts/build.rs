//! The build script: gives `settle --version -v` the commit and the target. Cargo.toml names it. The commit is
//! recorded in release builds only, as each commit would else compile a debug build again.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=scripts/build.rs");
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    println!("cargo::rustc-env=SETTLE_TARGET={}", variable("TARGET"));
    let commit = match variable("PROFILE").as_str() {
        "release" => commit(Path::new(&variable("CARGO_MANIFEST_DIR"))),
        _ => None,
    };
    println!("cargo::rustc-env=SETTLE_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

/// The commit of this folder. None without git, and where the folder is not a repository's top, as when the sources
/// lie in a folder of another repository.
fn commit(folder: &Path) -> Option<String> {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").arg("-C").arg(folder).args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        (output.status.success() && !text.is_empty()).then_some(text)
    };
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != folder.canonicalize().ok()? {
        return None;
    }
    // each commit and each checkout adds a line to it
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    if folder.join(&log).exists() {
        println!("cargo::rerun-if-changed={log}");
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}
