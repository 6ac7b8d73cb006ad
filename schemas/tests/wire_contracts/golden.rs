//! Committed text: compared with what the code makes, or rewritten on request.

use std::fs;
use std::path::{Path, PathBuf};

/// A directory of this crate.
pub(crate) fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares files of a directory with what they should hold, and refuses files nothing makes.
///
/// With `UPDATE_GOLDEN=1` the files are written instead.
pub(crate) fn check(folder: &str, expected: &[(String, String)]) {
    let directory = directory(folder);
    if std::env::var("UPDATE_GOLDEN").is_ok_and(|value| value == "1") {
        for (name, text) in expected {
            fs::write(directory.join(name), text).unwrap();
        }
    }
    let mut problems = Vec::new();
    for (name, text) in expected {
        match fs::read_to_string(directory.join(name)) {
            Ok(committed) if committed == *text => {}
            Ok(committed) => {
                problems.push(format!("{name} differs:\n{}", first_difference(&committed, text)));
            }
            Err(error) => problems.push(format!("{name} cannot be read: {error}")),
        }
    }
    for entry in fs::read_dir(&directory).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if !expected.iter().any(|(known, _)| *known == name) {
            problems.push(format!("{name} belongs to nothing; delete it, or make it again"));
        }
    }
    assert!(
        problems.is_empty(),
        "schemas/{folder} is not what the types say.\n\n{}\n\n\
         If readers of the contract can live with the change (fields added, nothing renamed, removed or \
         narrowed), accept it with\n\n    UPDATE_GOLDEN=1 cargo test -p schemas\n\nand commit the files. \
         If they cannot, it is a new version of the contract: keep the old type and files, and add a v2.\n",
        problems.join("\n")
    );
}

fn first_difference(committed: &str, made: &str) -> String {
    let (mut left, mut right) = (committed.lines(), made.lines());
    for number in 1.. {
        let pair = (left.next(), right.next());
        if pair.0 != pair.1 || pair.0.is_none() {
            let shown = |line: Option<&str>| line.unwrap_or("(end of file)").to_owned();
            return format!("  line {number}\n  - {}\n  + {}", shown(pair.0), shown(pair.1));
        }
    }
    String::new()
}
