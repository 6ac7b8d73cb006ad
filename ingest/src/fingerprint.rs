//! What tells whether a file is the one that was read before.

use std::fmt::Write;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// A file as it was when it was found. Positions belong to a fingerprint: a file that grew or was written
/// anew has another, and is read from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint {
    /// Its path from the root, behind links; `%` and what is no readable text is percent-encoded.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was last written, in nanoseconds since 1970.
    pub modified_ns: i64,
}

impl Fingerprint {
    /// The fingerprint of a file; what is no regular file, or is not there, has none.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let metadata = path.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let path = path_text(path.canonicalize().ok()?.as_os_str().as_encoded_bytes());
        Some(Self { path, bytes: metadata.len(), modified_ns: nanoseconds(metadata.modified().ok()?) })
    }
}

/// A path as text; different paths are different texts.
fn path_text(path: &[u8]) -> String {
    let mut text = String::new();
    let encode = |text: &mut String, bytes: &[u8]| {
        for byte in bytes {
            // Writing to a text never fails.
            let _ = write!(text, "%{byte:02X}");
        }
    };
    for chunk in path.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character == '%' || character.is_control() {
                encode(&mut text, character.encode_utf8(&mut [0; 4]).as_bytes());
            } else {
                text.push(character);
            }
        }
        encode(&mut text, chunk.invalid());
    }
    text
}

/// Nanoseconds since 1970; times before are negative, and those no file has are the first or the last.
fn nanoseconds(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_nanos()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_nanos()).map_or(i64::MIN, |before| -before),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::Duration;

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_file_that_is_written_anew_has_another_fingerprint_and_a_link_has_the_files() {
        let place = tempfile::tempdir().unwrap();
        let (file, link) = (place.path().join("100%\nusage"), place.path().join("link"));
        fs::write(&file, b"{}\n").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let set_time = |time| File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
        set_time(UNIX_EPOCH + Duration::new(5, 7));
        let first = Fingerprint::of(&file).unwrap();
        assert!(first.path.starts_with('/') && first.path.ends_with("/100%25%0Ausage"), "{}", first.path);
        assert_eq!((first.bytes, first.modified_ns), (3, 5_000_000_007));
        assert_eq!(Fingerprint::of(&link).as_ref(), Some(&first));
        set_time(UNIX_EPOCH - Duration::new(0, 1));
        assert_eq!(Fingerprint::of(&file), Some(Fingerprint { modified_ns: -1, ..first.clone() }));
        fs::write(&file, b"{}\n{}\n").unwrap();
        assert_ne!(Fingerprint::of(&file), Some(first));
        assert_eq!(Fingerprint::of(place.path()), None);
        assert_eq!(Fingerprint::of(&place.path().join("missing")), None);
    }

    /// The path that a text stands for.
    fn decoded(text: &str) -> Vec<u8> {
        let mut parts = text.split('%');
        let mut path = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            path.push(u8::from_str_radix(&part[..2], 16).unwrap());
            path.extend_from_slice(&part.as_bytes()[2..]);
        }
        path
    }

    proptest! {
        #[test]
        fn the_text_of_a_path_says_the_whole_path(path in prop::collection::vec(any::<u8>(), 0..40)) {
            let text = path_text(&path);
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(decoded(&text), path);
        }
    }
}
