//! Which files a run reads, and how each is opened: plain, gzip or zstd, told by content.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use glob::Pattern;
use schemas::csv_mapping::{CsvEventId, CsvMapping};
use schemas::id::CsvMappingId;

use crate::fingerprint::Fingerprint;

/// What stands for standard input on the command line.
pub const STANDARD_INPUT: &str = "-";

/// Largest factor by which compressed input may grow, once it has grown beyond the free part.
pub const DECOMPRESSION_RATIO_MAX: u64 = 1_000;

/// Decompressed bytes that are never held against an input.
pub const DECOMPRESSION_FREE_BYTES: u64 = 64 << 20;

/// Endings of files in a directory that hold usage, or should: a CSV file without a mapping is an error.
const USAGE_ENDINGS: [&str; 4] = [".ndjson", ".jsonl", ".json", ".csv"];

/// Endings of compressed files, which come after the others.
const COMPRESSED_ENDINGS: [&str; 3] = [".gz", ".zst", ".zstd"];

/// An input of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// Its name, for messages and quarantine.
    pub name: String,
    /// The file; `None` for standard input.
    pub path: Option<PathBuf>,
    /// What the file is known by, if it can be read again; a pipe and standard input cannot.
    pub fingerprint: Option<Fingerprint>,
    /// The CSV mapping that reads it, as a position among the mappings.
    pub mapping: Option<usize>,
}

impl Input {
    /// A file, as it is now.
    #[must_use]
    pub fn file(path: PathBuf, mapping: Option<usize>) -> Self {
        let fingerprint = Fingerprint::of(&path);
        Self { name: path.display().to_string(), path: Some(path), fingerprint, mapping }
    }

    /// Standard input.
    #[must_use]
    pub fn standard(mapping: Option<usize>) -> Self {
        Self { name: "standard input".to_owned(), path: None, fingerprint: None, mapping }
    }

    /// Its size on disk, if it has one.
    #[must_use]
    pub fn bytes(&self) -> Option<u64> {
        self.fingerprint.as_ref().map(|fingerprint| fingerprint.bytes)
    }

    /// Its name without directories, by which `file_and_line` knows its rows.
    pub(crate) fn file_name(&self) -> &str {
        file_name_of(&self.name)
    }
}

/// The name of an input without directories.
pub(crate) fn file_name_of(input: &str) -> &str {
    file_name(Path::new(input)).unwrap_or(input)
}

/// Why an input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// A path that is not there.
    #[error("{0}: no such file or directory")]
    Missing(String),
    /// A pattern that fits no file.
    #[error("{0}: no file fits this pattern")]
    NoMatch(String),
    /// A pattern that is none.
    #[error("{pattern}: not a pattern: {error}")]
    BadPattern {
        /// What was given.
        pattern: String,
        /// What is wrong with it.
        error: glob::PatternError,
    },
    /// A directory without anything to read.
    #[error(
        "{0}: the directory holds no .ndjson, .jsonl, .json or .csv file (plain, .gz or .zst), and no other that a csv_mapping names"
    )]
    EmptyDirectory(String),
    /// One file, named twice.
    #[error("{first} and {second} are the same file: name every input once")]
    GivenTwice {
        /// First name.
        first: String,
        /// Second name.
        second: String,
    },
    /// Two files whose rows would share their identities.
    #[error(
        "{first} and {second} have one name, by which file_and_line knows their rows: rename one, or let event_id name a column"
    )]
    SameRows {
        /// First file.
        first: String,
        /// Second file.
        second: String,
    },
    /// No input at all.
    #[error("no input: name files, directories or patterns, or - for standard input")]
    NoInput,
    /// A CSV file nobody knows how to read.
    #[error("{0}: a CSV file needs a csv_mapping in the catalog whose files name it, or --csv-mapping")]
    UnmappedCsv(String),
    /// A mapping that is not in the catalog.
    #[error("there is no csv_mapping \"{0}\" in the catalog")]
    UnknownMapping(CsvMappingId),
    /// A CSV file whose first row is no header for its mapping.
    #[error("{name}: {error}")]
    Header {
        /// The file.
        name: String,
        /// What is wrong with it.
        error: crate::csv_rows::HeaderError,
    },
    /// It cannot be opened or read.
    #[error("{name}: {error} (after {offset} bytes)")]
    Read {
        /// The input.
        name: String,
        /// Decompressed bytes read before.
        offset: u64,
        /// What the operating system or the decompressor says.
        error: io::Error,
    },
    /// Compressed or structured data that ends before its end.
    #[error("{name}: the {what} ends in the middle, after {offset} bytes: the file is cut short")]
    Truncated {
        /// The input.
        name: String,
        /// What ends.
        what: &'static str,
        /// Decompressed bytes read before.
        offset: u64,
    },
    /// A position that is none of the input.
    #[error("{name}: cannot go on after {offset} bytes: {problem}")]
    Position {
        /// The input.
        name: String,
        /// Decompressed bytes before the position.
        offset: u64,
        /// What is wrong, and how to mend it.
        problem: &'static str,
    },
    /// Input that grows out of proportion.
    #[error(
        "{name}: decompresses to more than {DECOMPRESSION_RATIO_MAX} times its size: this is no usage data"
    )]
    DecompressionBomb {
        /// The input.
        name: String,
    },
}

/// Finds the inputs that paths, patterns and `-` name, in the order given, files of a directory or
/// pattern by name.
///
/// # Errors
/// [`InputError`] when something is not there, or named twice.
pub fn find_inputs(
    names: &[String],
    mappings: &[CsvMapping],
    forced: Option<&CsvMappingId>,
) -> Result<Vec<Input>, InputError> {
    let forced = match forced {
        None => None,
        Some(id) => {
            let position = mappings.iter().position(|mapping| mapping.id == *id);
            Some(position.ok_or_else(|| InputError::UnknownMapping(id.clone()))?)
        }
    };
    let patterns = FilePatterns::new(mappings)?;
    let mut inputs = Vec::new();
    for name in names {
        if name == STANDARD_INPUT {
            inputs.push(Input::standard(forced));
            continue;
        }
        for path in find_files(name, &patterns)? {
            let mapping = forced.or_else(|| patterns.mapping_of(&path));
            let is_csv = || file_name(&path).is_some_and(|file| has_ending(stem(file), ".csv"));
            if mapping.is_none() && is_csv() {
                return Err(InputError::UnmappedCsv(path.display().to_string()));
            }
            inputs.push(Input::file(path, mapping));
        }
    }
    if inputs.is_empty() {
        return Err(InputError::NoInput);
    }
    refuse_repeats(&inputs)?;
    refuse_shared_rows(&inputs, mappings)?;
    Ok(inputs)
}

/// Finds the files of usage below a directory; hidden directories and links to directories are left out.
fn find_event_files(
    directory: &Path,
    patterns: &FilePatterns,
    files: &mut Vec<PathBuf>,
) -> Result<(), InputError> {
    let failed = |error| InputError::Read { name: directory.display().to_string(), offset: 0, error };
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let path = entry.path();
        let is_hidden = file_name(&path).is_some_and(|name| name.starts_with('.'));
        if entry.file_type().map_err(failed)?.is_dir() {
            if !is_hidden {
                find_event_files(&path, patterns, files)?;
            }
        } else if may_be_file(&path) && patterns.is_event_file(&path) {
            files.push(path);
        }
    }
    Ok(())
}

fn find_files(name: &str, patterns: &FilePatterns) -> Result<Vec<PathBuf>, InputError> {
    let path = Path::new(name);
    if path.is_dir() {
        let mut files = Vec::new();
        find_event_files(path, patterns, &mut files)?;
        files.sort();
        return if files.is_empty() { Err(InputError::EmptyDirectory(name.to_owned())) } else { Ok(files) };
    }
    // A file may have a name that would be a pattern; the file goes first.
    if path.exists() {
        return Ok(vec![path.to_owned()]);
    }
    if !name.contains(['*', '?', '[']) {
        return Err(InputError::Missing(name.to_owned()));
    }
    let found =
        glob::glob(name).map_err(|error| InputError::BadPattern { pattern: name.to_owned(), error })?;
    let mut files = Vec::new();
    for path in found {
        let path = path.map_err(|error| InputError::Read {
            name: error.path().display().to_string(),
            offset: 0,
            error: error.into(),
        })?;
        if may_be_file(&path) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() { Err(InputError::NoMatch(name.to_owned())) } else { Ok(files) }
}

/// Is it a file, or a link to one that is missing? That one is an error when it is opened.
fn may_be_file(path: &Path) -> bool {
    path.is_file() || !path.exists()
}

fn refuse_repeats(inputs: &[Input]) -> Result<(), InputError> {
    let mut seen: HashMap<Option<PathBuf>, &str> = HashMap::new();
    for input in inputs {
        let identity = input.path.as_ref().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone()));
        if let Some(first) = seen.insert(identity, &input.name) {
            return Err(InputError::GivenTwice { first: first.to_owned(), second: input.name.clone() });
        }
    }
    Ok(())
}

/// Refuses files whose rows `file_and_line` cannot tell apart. A file and its compressed form are
/// refused as well: they hold the same rows twice.
fn refuse_shared_rows(inputs: &[Input], mappings: &[CsvMapping]) -> Result<(), InputError> {
    let mut seen: HashMap<&str, &str> = HashMap::new();
    for input in inputs {
        let mapping = input.mapping.and_then(|mapping| mappings.get(mapping));
        if mapping.is_none_or(|mapping| mapping.event_id != CsvEventId::FileAndLine) {
            continue;
        }
        if let Some(first) = seen.insert(stem(input.file_name()), &input.name) {
            return Err(InputError::SameRows { first: first.to_owned(), second: input.name.clone() });
        }
    }
    Ok(())
}

/// The file name patterns of the CSV mappings.
struct FilePatterns(Vec<(usize, Pattern)>);

impl FilePatterns {
    fn new(mappings: &[CsvMapping]) -> Result<Self, InputError> {
        let mut patterns = Vec::new();
        for (position, mapping) in mappings.iter().enumerate() {
            for pattern in &mapping.files {
                let compiled = Pattern::new(pattern)
                    .map_err(|error| InputError::BadPattern { pattern: pattern.clone(), error })?;
                patterns.push((position, compiled));
            }
        }
        Ok(Self(patterns))
    }

    fn mapping_of(&self, path: &Path) -> Option<usize> {
        let name = file_name(path)?;
        let fits = |pattern: &Pattern| pattern.matches(name) || pattern.matches(stem(name));
        self.0.iter().find(|(_, pattern)| fits(pattern)).map(|(position, _)| *position)
    }

    fn is_event_file(&self, path: &Path) -> bool {
        let is_usage = |name| USAGE_ENDINGS.iter().any(|ending| has_ending(stem(name), ending));
        file_name(path).is_some_and(is_usage) || self.mapping_of(path).is_some()
    }
}

fn file_name(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

/// Does a file name end so, in upper or lower case?
pub(crate) fn has_ending(name: &str, ending: &str) -> bool {
    before_ending(name, ending).is_some()
}

/// A file name without the ending of its compression.
pub(crate) fn stem(name: &str) -> &str {
    COMPRESSED_ENDINGS.iter().find_map(|ending| before_ending(name, ending)).unwrap_or(name)
}

fn before_ending<'a>(name: &'a str, ending: &str) -> Option<&'a str> {
    let (before, end) = name.split_at_checked(name.len().checked_sub(ending.len())?)?;
    end.eq_ignore_ascii_case(ending).then_some(before)
}

/// The decompressed bytes of an input.
pub(crate) struct ByteStream {
    stream: Box<dyn Read + Send>,
    name: String,
    compression: Option<&'static str>,
    stored: Arc<AtomicU64>,
    progress: Arc<AtomicU64>,
    offset: u64,
}

impl ByteStream {
    /// Opens an input; its stored bytes are added to `progress` as they are read.
    pub(crate) fn open(input: &Input, progress: &Arc<AtomicU64>) -> Result<Self, InputError> {
        let failed = |error| InputError::Read { name: input.name.clone(), offset: 0, error };
        let raw: Box<dyn Read + Send> = match &input.path {
            Some(path) => Box::new(File::open(path).map_err(failed)?),
            None => Box::new(io::stdin()),
        };
        let stored = Arc::new(AtomicU64::new(0));
        let mut raw = Counted { stream: raw, stored: Arc::clone(&stored), progress: Arc::clone(progress) };
        let mut magic = Vec::new();
        raw.by_ref().take(4).read_to_end(&mut magic).map_err(failed)?;
        let whole = io::Cursor::new(magic.clone()).chain(raw);
        let (stream, compression): (Box<dyn Read + Send>, _) = match magic.as_slice() {
            [0x1f, 0x8b, ..] => {
                (Box::new(flate2::bufread::MultiGzDecoder::new(io::BufReader::new(whole))), Some("gzip data"))
            }
            [0x28, 0xb5, 0x2f, 0xfd] => {
                (Box::new(zstd::Decoder::new(whole).map_err(failed)?), Some("zstd data"))
            }
            _ => (Box::new(whole), None),
        };
        let progress = Arc::clone(progress);
        Ok(Self { stream, name: input.name.clone(), compression, stored, progress, offset: 0 })
    }

    /// Are its bytes stored compressed?
    pub(crate) const fn is_compressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Goes to a place in a file that is not compressed; the bytes before it count as read.
    pub(crate) fn go_to(&mut self, path: &Path, offset: u64) -> Result<(), InputError> {
        let file = File::open(path).and_then(|mut file| file.seek(SeekFrom::Start(offset)).map(|_| file));
        let file = file.map_err(|error| self.failed(offset, error))?;
        let read = self.stored.swap(offset, Ordering::Relaxed);
        self.progress.fetch_add(offset, Ordering::Relaxed);
        self.progress.fetch_sub(read, Ordering::Relaxed);
        let (stored, progress) = (Arc::clone(&self.stored), Arc::clone(&self.progress));
        self.stream = Box::new(Counted { stream: Box::new(file), stored, progress });
        self.offset = offset;
        Ok(())
    }

    /// Fills a buffer from its front; how many bytes there were, fewer only at the end of the input.
    pub(crate) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, InputError> {
        let mut filled = 0;
        loop {
            let room = buffer.get_mut(filled..).unwrap_or_default();
            if room.is_empty() {
                break;
            }
            match self.stream.read(room) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed(self.offset + filled as u64, error)),
            }
        }
        self.offset += filled as u64;
        let limit = self.stored.load(Ordering::Relaxed).saturating_mul(DECOMPRESSION_RATIO_MAX);
        if self.compression.is_some() && self.offset > limit.max(DECOMPRESSION_FREE_BYTES) {
            return Err(InputError::DecompressionBomb { name: self.name.clone() });
        }
        Ok(filled)
    }

    fn failed(&self, offset: u64, error: io::Error) -> InputError {
        let name = self.name.clone();
        match self.compression {
            Some(what) if error.kind() == io::ErrorKind::UnexpectedEof => {
                InputError::Truncated { name, what, offset }
            }
            _ => InputError::Read { name, offset, error },
        }
    }
}

/// Counts the bytes that come from storage.
struct Counted {
    stream: Box<dyn Read + Send>,
    stored: Arc<AtomicU64>,
    progress: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.stored.fetch_add(read as u64, Ordering::Relaxed);
        self.progress.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
